"""The pure rules of access: names, ids, lock-outs, refresh tokens, entries of ACLs, metadata."""

from __future__ import annotations

from typing import Any

import pytest

from claviger.cckm.access.acls import rules as acls
from claviger.cckm.access.acls.wire import AclEntry
from claviger.cckm.access.domains import rules as domains
from claviger.cckm.access.groups import rules as groups
from claviger.cckm.access.metadata import merged
from claviger.cckm.access.sessions import rules as sessions
from claviger.cckm.access.users import rules as users
from claviger.core.errors import Invalid

ID = "57a191ec-0000-4000-8000-00000000abcd"
KNOWN = frozenset({"view", "secretview", "secretcreate"})


@pytest.mark.parametrize("text", [ID, f"local|{ID}", ID.upper(), f"local|{ID.upper()}"])
def test_an_id_is_a_uuid_with_or_without_its_prefix(text: str) -> None:
    assert users.plain_user_id(text) == ID


@pytest.mark.parametrize("text", ["", "local|", "admin", f"ldap|{ID}", f"{ID}x", f"local|local|{ID}", f"{ID}\n", "*"])
def test_nothing_else_is_an_id(text: str) -> None:
    assert users.plain_user_id(text) is None


def test_usernames_are_compared_in_any_case_and_spelling() -> None:
    assert users.username_key("Ada") == users.username_key("aDA")
    assert users.username_key("STRASSE") == users.username_key("straße")
    assert users.username_key("Jose\u0301") == users.username_key("jos\u00e9")
    assert users.username_key("ada") != users.username_key("adb")


@pytest.mark.parametrize("name", ["", " ada", "ada ", "a\nb", "a\0b", "local|x", 'a"b', "a/b", "x" * 129, "a\u200bb"])
def test_a_username_that_is_refused(name: str) -> None:
    assert users.username_problem(name)


@pytest.mark.parametrize("name", ["a", "ada@example.org", "Ada Lovelace", "ädä", "x" * 128])
def test_a_username_that_is_good(name: str) -> None:
    assert users.username_problem(name) is None


@pytest.mark.parametrize(
    ("failures", "seconds"),
    [(0, 0), (4, 0), (5, 60), (6, 120), (7, 240), (8, 480), (9, 960), (10, 1800), (11, 1800), (10_000, 1800)],
)
def test_five_failures_lock_for_a_minute_which_doubles_to_thirty(failures: int, seconds: float) -> None:
    assert sessions.locked_for(failures) == seconds


@pytest.mark.parametrize(
    ("minutes", "seconds"), [(None, 86_400), (0, 86_400), (-5, 86_400), (10, 600), (10**12, 2_592_000)]
)
def test_a_refresh_token_lives_a_day_or_what_was_asked_up_to_thirty(minutes: int | None, seconds: int) -> None:
    assert sessions.refresh_life(minutes) == seconds


@pytest.mark.parametrize(("minutes", "seconds"), [(None, None), (0, None), (30, 1800)])
def test_without_an_asked_limit_an_unused_refresh_token_stays(minutes: int | None, seconds: int | None) -> None:
    assert sessions.unused_limit(minutes) == seconds


def test_a_refresh_token_is_a_selector_and_a_secret() -> None:
    selector, digest = sessions.parts_of(b"s" * 16 + b"x" * 48) or ("", b"")
    assert selector == "s" * 16
    assert digest != (sessions.parts_of(b"s" * 16 + b"y" * 48) or ("", b""))[1]
    assert sessions.parts_of(b"s" * 63) is None
    assert sessions.parts_of("ü".encode() * 32) is None


@pytest.mark.parametrize(
    ("path", "name"), [("/", "root"), ("", "root"), ("/tenant", "tenant"), ("/a/b/", "b"), ("b", "b")]
)
def test_a_path_leads_to_its_last_domain(path: str, name: str) -> None:
    assert domains.last_of_path(path) == name


@pytest.mark.parametrize("name", ["", " x", "x ", "a/b", "x" * 65, "ü", ID])
def test_a_domain_name_that_is_refused(name: str) -> None:
    assert domains.name_problem(name)


def test_names_of_domains_and_groups_that_are_good() -> None:
    assert domains.name_problem("A domain-1_x.y") is None
    assert groups.name_problem("Ops / Köln 100%") is None
    assert groups.name_problem("a\tb")
    assert all(groups.name_problem(name) is None for name in groups.SYSTEM_GROUPS)


@pytest.mark.parametrize(
    ("entry", "field"),
    [
        (AclEntry(actions=["view"]), "acls[0]"),
        (AclEntry(user_id=ID, group="g", actions=["view"]), "acls[0]"),
        (AclEntry(user_id="admin", actions=["view"]), "acls[0].user_id"),
        (AclEntry(group="g", actions=[]), "acls[0].actions"),
        (AclEntry(group="g", actions=["view", "fly"]), "acls[0].actions"),
    ],
)
def test_an_entry_that_is_refused(entry: AclEntry, field: str) -> None:
    with pytest.raises(Invalid) as refused:
        acls.check([entry], KNOWN)
    assert f"\n{field}: " in str(refused.value.facts["message"])


def test_an_entry_adds_and_takes_away() -> None:
    assert acls.changed(frozenset({"view"}), AclEntry(group="g", actions=["secretview"])) == {"view", "secretview"}
    assert acls.changed(frozenset({"view"}), AclEntry(group="g", permit=False, actions=["view", "secretview"])) == set()


@pytest.mark.parametrize(
    ("changes", "after"),
    [
        (None, {"a": 1, "b": {"c": 2}}),
        ({}, {"a": 1, "b": {"c": 2}}),
        ({"a": None}, {"b": {"c": 2}}),
        ({"b": {"d": 3}, "e": ""}, {"a": 1, "b": {"d": 3}, "e": ""}),
    ],
)
def test_metadata_are_merged_and_null_removes(changes: Any, after: Any) -> None:
    assert merged("meta", {"a": 1, "b": {"c": 2}}, changes) == after


def test_metadata_do_not_grow_without_end() -> None:
    with pytest.raises(Invalid, match="Validation"):
        merged("meta", {"a": "x" * 20_000}, {"b": "x" * 20_000})
