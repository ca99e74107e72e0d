"""How the entries of an ACL are read: whom they name, which actions they may name, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from claviger.cckm.access.users.rules import plain_user_id
from claviger.cckm.errors import validation

MOST_ENTRIES = 1_000
USER = "user:"
GROUP = "group:"


class Entry(Protocol):
    """One entry of an update, as `wire.AclEntry` is one."""

    @property
    def user_id(self) -> str | None: ...
    @property
    def group(self) -> str | None: ...
    @property
    def permit(self) -> bool: ...
    @property
    def actions(self) -> list[str]: ...


def user_grantee(user_id: str) -> str:
    """How the table of ACLs names a user."""
    return USER + user_id


def group_grantee(name: str) -> str:
    """How the table of ACLs names a group."""
    return GROUP + name


def grantee_of(entry: Entry) -> str:
    """How the table of ACLs names whom an entry is for, once `check` has found it good."""
    return group_grantee(entry.group) if entry.group else user_grantee(plain_user_id(entry.user_id or "") or "")


def check(entries: Sequence[Entry], known: Collection[str]) -> None:
    """Raises Invalid("Validation") for an entry without exactly one of user and group, or with an unknown action."""
    if len(entries) > MOST_ENTRIES:
        raise validation({"acls": f"may have at most {MOST_ENTRIES} entries"})
    problems: dict[str, str] = {}
    for at, entry in enumerate(entries):
        place = f"acls[{at}]"
        if bool(entry.user_id) == bool(entry.group):
            problems[place] = "give either user_id or group"
        elif entry.user_id and plain_user_id(entry.user_id) is None:
            problems[f"{place}.user_id"] = "must be a user's id, such as local|57a191ec-0000-4000-8000-000000000000"
        unknown = sorted({action for action in entry.actions if action not in known})
        if not entry.actions:
            problems[f"{place}.actions"] = "is required"
        elif unknown:
            shown = ", ".join(repr(action[:40]) for action in unknown[:5])
            problems[f"{place}.actions"] = f"unknown: {shown}; known are {', '.join(sorted(known))}"
    if problems:
        raise validation(problems)


def changed(present: frozenset[str], entry: Entry) -> frozenset[str]:
    """The actions of a user or group after an entry was applied to those that were there."""
    return present | set(entry.actions) if entry.permit else present - set(entry.actions)
