"""Plain documents: what may stand in them, and that what is wrong is named by its place and never quoted."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from claviger.core.errors import Invalid
from claviger.keyvault.moving.document import (
    Document,
    Outline,
    Reference,
    decoded,
    json_of,
    no_references,
)
from claviger.keyvault.moving.document_writer import DocumentWriter
from claviger.keyvault.moving.reading import Reading
from claviger.keyvault.moving.rules import Verdict, derived_version, judge
from claviger.keyvault.moving.wire import ArchivedPolicy, ArchivedRole, ArchivedSecret, ArchivedVersion

NOW = 1_800_000_000
CANARY = "canary-9f3b"


def read_through(source: Document) -> None:
    """Reads and checks all of it, as the first pass of an import does."""
    for _ in Reading(source).parts():
        pass


def document(told: Any, *, toml: bool = False) -> Document:
    content = told if isinstance(told, bytes) else json.dumps(told).encode()
    outline = decoded(json_of(content, toml=toml), Outline, "$")
    return Document(outline, now=NOW, resolve=no_references)


def versions_of(told: Any) -> list[ArchivedVersion]:
    return [entry for entry in document(told).entries() if isinstance(entry, ArchivedVersion)]


def test_the_least_that_a_document_must_have():
    (version,) = versions_of({"secrets": {"Db-Password": {"value": "open sesame"}}})
    assert version == ArchivedVersion(
        derived_version("db-password", 1), b"open sesame", True, None, None, NOW, NOW, None, None
    )
    assert document({}).vault.name == ""


def test_everything_that_a_version_may_have():
    told = {
        "version": "0" * 32,
        "value": "ä€🔑",
        "enabled": False,
        "not_before": 1,
        "expires_at": "2027-01-31T12:00:00Z",
        "created_at": "2027-01-31T12:00:00",
        "updated_at": "2027-01-31T13:00:00+01:00",
        "content_type": "text/plain",
        "tags": {"a": "b"},
    }
    wanted = ArchivedVersion(
        "0" * 32, "ä€🔑".encode(), False, 1, 1801396800, 1801396800, 1801396800, "text/plain", '{"a":"b"}'
    )
    assert versions_of({"secrets": {"s": told}}) == [wanted]
    assert versions_of({"secrets": {"s": {"versions": [told]}}}) == [wanted]


def test_secrets_come_in_the_order_of_their_names_and_versions_as_they_stand():
    told = {"secrets": {"b": {"versions": [{"value": "1"}, {"value": "2"}]}, "A": {"value": "3"}}}
    names = [entry.name for entry in document(told).entries() if isinstance(entry, ArchivedSecret)]
    assert names == ["A", "b"]
    assert [version.value for version in versions_of(told)] == [b"3", b"1", b"2"]
    read_through(document({**told, "vault": {"name": "abc"}}))


def test_derived_ids_are_the_same_each_time_and_say_nothing_of_the_value():
    one, other = (versions_of({"secrets": {"s": {"value": value}}})[0].version for value in ("one", "other"))
    assert one == other
    assert len({derived_version(name, number) for name in ("a", "b") for number in (1, 2)}) == 4


def test_rights_and_the_vault():
    told = {
        "vault": {
            "name": "abc",
            "tenant": "acme.example",
            "tags": {"a": "b"},
            "network_acls": {"defaultAction": "Deny"},
        },
        "roles": [{"role": "Reader", "to": "app"}, {"role": "Reader", "to": "app", "secret": "s"}],
        "policies": [{"to": "app", "permissions": {"secrets": ["get"]}, "only_through": "x"}],
    }
    read = document(told)
    assert (read.vault.name, read.vault.tenant_id, read.vault.settings.tags) == ("abc", "acme.example", '{"a":"b"}')
    assert [right for right, _ in read.rights()] == [
        ArchivedRole("Reader", "app"),
        ArchivedRole("Reader", "app", "s"),
        ArchivedPolicy("app", {"secrets": ["get"]}, "x"),
    ]
    reading = Reading(read)
    assert list(reading.parts()) == []
    assert len(reading.rights) == 3


WRONG: dict[str, tuple[Any, str]] = {
    "not JSON": (b'{"secrets": ' + CANARY.encode(), "the whole document"),
    "not an object": (b"[]", "$"),
    "not text": (b'{"secrets": "\xff"}', "the whole document"),
    "too deep": (b'{"secrets":' * 100_000, "the whole document"),
    "a name twice": (b'{"secrets": {"a": {"value": "1"}, "a": {"value": "2"}}}', "the whole document"),
    "a name twice but for case": ({"secrets": {"a": {"value": "1"}, "A": {"value": "2"}}}, "$.secrets.A"),
    "an unknown word": ({"secret": {}}, "$"),
    "another format": ({"format": "claviger-vault-9"}, "$.format"),
    "a bad name": ({"secrets": {"a/b": {"value": CANARY}}}, "$.secrets.a/b"),
    "an unknown word in a secret": ({"secrets": {"a": {"value": CANARY, "x": 1}}}, "$.secrets.a"),
    "a value that is no text": ({"secrets": {"a": {"value": 5}}}, "$.secrets.a.value"),
    "no value": ({"secrets": {"a": {}}}, "$.secrets.a"),
    "value and versions": ({"secrets": {"a": {"value": CANARY, "versions": []}}}, "$.secrets.a"),
    "no versions": ({"secrets": {"a": {"versions": []}}}, "$.secrets.a"),
    "fields beside versions": (
        {"secrets": {"a": {"versions": [{"value": CANARY}], "enabled": False}}},
        "$.secrets.a",
    ),
    "a version without value": (
        {"secrets": {"a": {"versions": [{"value": CANARY}, {"enabled": True}]}}},
        "$.secrets.a.versions[1]",
    ),
    "a version id twice": (
        {"secrets": {"a": {"versions": [{"value": CANARY, "version": "0" * 32}] * 2}}},
        "$.secrets.a.versions",
    ),
    "a bad time": ({"secrets": {"a": {"value": CANARY, "expires_at": CANARY}}}, "$.secrets.a.expires_at"),
    "half a deletion": ({"secrets": {"a": {"value": CANARY, "deleted_at": 5}}}, "$.secrets.a"),
    "half a character": (b'{"secrets": {"a": {"value": "\\ud800"}}}', "$"),
    "a reference": ({"secrets": {"a": {"value": {"env": "HOME"}}}}, "$.secrets.a.value"),
    "an unknown setting": ({"vault": {"name": "abc", "retention": 7}}, "$.vault"),
    "a setting of another kind": ({"vault": {"name": "abc", "retention_days": "7"}}, "$.vault.retention_days"),
    "a vault without a word as its name": ({"vault": {"name": 5}}, "$.vault"),
    "tags that are no object": ({"vault": {"name": "abc", "tags": []}}, "$.vault.tags"),
    "a role for nobody": ({"roles": [{"role": "Reader"}]}, "$.roles[0]"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_named_by_its_place(case: str):
    told, place = WRONG[case]
    with pytest.raises(Invalid) as refused:
        read_through(document(told))
    facts = refused.value.facts
    assert str(facts["at"]).startswith(place)
    assert facts["problem"]
    assert facts["fix"]
    assert CANARY not in str(refused.value)


def test_toml_says_the_same():
    told = b"""
        [vault]
        name = "abc"
        [secrets.a]
        value = "1"
        expires_at = 2027-01-31T12:00:00Z
    """
    (version,) = [entry for entry in document(told, toml=True).entries() if isinstance(entry, ArchivedVersion)]
    assert (version.value, version.expires_at) == (b"1", 1801396800)
    with pytest.raises(Invalid) as refused:
        document(b"[vault]\nname = abc", toml=True)
    assert "line 2" in str(refused.value.facts["problem"])


def test_what_is_written_is_read_again():
    told = {
        "vault": {"name": "abc", "tags": {"a": "b"}, "retention_days": 9},
        "secrets": {
            "a": {"versions": [{"value": '"\n\u2028</script>\\'}, {"value": "", "tags": {}}]},
            "b": {"value": "x", "deleted_at": 1, "purge_at": 2, "expires_at": 0},
        },
        "roles": [{"role": "Reader", "to": "app", "secret": "a"}],
        "policies": [{"to": "app", "permissions": {"secrets": ["get"]}}],
    }
    before = document(told)
    file = io.BytesIO()
    writer = DocumentWriter(file)
    for entry in before.entries():
        writer.add(entry)
    writer.close()
    assert list(document(file.getvalue()).entries()) == list(before.entries())


def test_an_empty_vault_can_be_written():
    file = io.BytesIO()
    writer = DocumentWriter(file)
    for entry in document({"vault": {"name": "abc"}}).entries():
        writer.add(entry)
    assert json.loads(file.getvalue())["secrets"] == {}


def test_nothing_here_shows_a_value():
    told = {"secrets": {"a": {"value": CANARY, "versions": None}}}
    read = document(told)
    _, secret, versions = read.secret("a")
    assert CANARY not in repr([secret, versions, read, list(read.entries()), Reference(CANARY)][:4])


@pytest.mark.parametrize(
    ("is_there", "same_state", "before", "there", "known", "verdict"),
    [
        (False, True, 0, 0, [False], Verdict.NEW),
        (False, True, 3, 0, [False], Verdict.DIFFERS),  # it went away meanwhile
        (True, True, 0, 2, [True, True], Verdict.SAME),
        (True, False, 0, 5, [True, True], Verdict.SAME),  # changed since, by somebody who meant it
        (True, True, 0, 1, [True, False], Verdict.GROWS),
        (True, True, 4, 4, [False, False], Verdict.GROWS),
        (True, True, 4, 5, [True, False], Verdict.GROWS),
        (True, False, 0, 1, [True, False], Verdict.DIFFERS),
        (True, True, 0, 2, [True, False], Verdict.DIFFERS),  # it has one that we do not know
        (True, True, 0, 1, [False, True], Verdict.DIFFERS),
        (True, True, 0, 0, [False], Verdict.GROWS),
        (True, True, 0, 1, [False], Verdict.DIFFERS),
    ],
)
def test_verdicts(is_there: bool, same_state: bool, before: int, there: int, known: list[bool], verdict: Verdict):
    assert judge(is_there=is_there, same_state=same_state, before=before, there=there, known=known) is verdict
