"""How a connection of any cloud is changed by what is asked for, and tested (CCKM contract, common §7.2, §7.5)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, TypeVar

import msgspec
from msgspec import UNSET

from claviger.cckm.connections.records import Connected
from claviger.cckm.connections.wire import CommonIn, TestResult
from claviger.cckm.errors import validation
from claviger.core.errors import Invalid, Refusal
from claviger.crypto import certificates

D = TypeVar("D", bound=msgspec.Struct)

_MERGED = ("meta", "labels")
_WORDS_ONLY = ("description", "meta", "labels", "products")


class Reachable(Protocol):
    """A cloud that is being tried out."""

    async def check(self) -> None:
        """Raises why it cannot be reached."""
        ...

    async def close(self) -> None:
        """Ends the way to it."""
        ...


def check_name_stays(known: Connected, asked: CommonIn) -> None:
    """Raises Invalid where another name is asked for."""
    if asked.name is not UNSET and asked.name != known.name:
        raise validation({"name": "cannot be changed"})


def with_given(details: D, asked: CommonIn, fields: Sequence[str]) -> D:
    """The details with what is given of `fields`. In meta and labels, null takes an entry away (§7.2)."""
    given = {field: getattr(asked, field) for field in fields if getattr(asked, field) is not UNSET}
    for field in _MERGED:
        if getattr(asked, field) is not UNSET:
            merged = {**getattr(details, field), **getattr(asked, field)}
            given[field] = {name: value for name, value in merged.items() if value is not None}
    return msgspec.structs.replace(details, **given)


def is_new_way(before: D, after: D) -> bool:
    """Whether the cloud is reached in another way: something changed that is more than a word about the connection."""
    words: dict[str, Any] = {field: getattr(after, field) for field in _WORDS_ONLY}
    return msgspec.structs.replace(before, **words) != after


def add_certificate_problem(problems: dict[str, str], field: str, pem: str | None) -> None:
    """Notes what is wrong with a certificate, where nothing was found wrong with the field before."""
    if pem and field not in problems:
        try:
            certificates.read_certificates(pem)
        except Invalid as refusal:
            problems[field] = str(refusal.facts["message"])


async def tried(cloud: Reachable) -> TestResult:
    """How a test of the way to a cloud ends; the way is closed then."""
    try:
        await cloud.check()
    except Refusal as refusal:
        return TestResult(connection_ok=False, connection_error=str(refusal.facts.get("message", refusal.reason)))
    finally:
        await cloud.close()
    return TestResult(connection_ok=True)
