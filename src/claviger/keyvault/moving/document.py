"""Plain documents: a vault as JSON (or TOML) that people can read and write by hand. docs/import.md describes them.

A document is read in two steps, so that what is wrong in it can be named by its place: first its outline, then each
secret when its turn comes. Errors name places and kinds, never what stands there.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec

from claviger.core.errors import Invalid, Refusal
from claviger.keyvault.moving import rules
from claviger.keyvault.moving.wire import (
    FORMAT,
    ArchivedEnd,
    ArchivedPolicy,
    ArchivedRole,
    ArchivedSecret,
    ArchivedVault,
    ArchivedVersion,
    Entry,
    VaultSettings,
)
from claviger.keyvault.secrets.rules import check_name

FORMAT_NAME = f"claviger-vault-{FORMAT}"
MAX_DOCUMENT = 256 << 20
_MAX_SEARCHED_FOR_DUPLICATES = 16 << 20
JSON_TEXTS = ("network_acls", "tags", "other")

T = TypeVar("T")
Moment = int | datetime


class Reference(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A value that stands elsewhere: in an environment variable, or in a file beside the document."""

    env: str | None = None
    file: str | None = None


class VersionDocument(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """One version. Only `value` must be there."""

    version: str | None = None
    value: str | Reference
    enabled: bool = True
    not_before: Moment | None = None
    expires_at: Moment | None = None
    created_at: Moment | None = None
    updated_at: Moment | None = None
    content_type: str | None = None
    tags: dict[str, str] | None = None

    def __repr__(self) -> str:
        return "<version>"


class SecretDocument(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """A secret: one version written straight into it, or all of them, oldest first, in `versions`."""

    version: str | None = None
    value: str | Reference | None = None
    enabled: bool = True
    not_before: Moment | None = None
    expires_at: Moment | None = None
    created_at: Moment | None = None
    updated_at: Moment | None = None
    content_type: str | None = None
    tags: dict[str, str] | None = None
    versions: list[VersionDocument] | None = None
    deleted_at: Moment | None = None
    purge_at: Moment | None = None
    keep: bool | None = None

    def __repr__(self) -> str:
        return "<secret>"


class RoleDocument(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A role: its name or id, to an application (name, client id or object id), on one secret or on the vault."""

    role: str
    to: str
    secret: str | None = None


class PolicyDocument(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """An access policy: what an application may do with secrets, keys and so on."""

    to: str
    permissions: dict[str, list[str]]
    only_through: str | None = None


class Outline(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """A whole document. Its secrets are still text."""

    format: str = FORMAT_NAME
    vault: dict[str, Any] = msgspec.field(default_factory=dict)
    secrets: dict[str, msgspec.Raw] = msgspec.field(default_factory=dict)
    roles: list[RoleDocument] = msgspec.field(default_factory=list)
    policies: list[PolicyDocument] = msgspec.field(default_factory=list)


Resolve = Callable[[Reference, str], str]


class Document:
    """A vault in a plain document, as entries. `now` dates what the document does not date; `at` is where it stands."""

    def __init__(self, outline: Outline, *, now: int, resolve: Resolve, at: str = "$") -> None:
        """Raises Invalid("Document") for a fault of the outline."""
        if outline.format != FORMAT_NAME:
            raise fault(f"{at}.format", f"not {FORMAT_NAME}", "import it with the version of Claviger that wrote it")
        self._outline = outline
        self._at = at
        self._now = now
        self._resolve = resolve
        self.vault = vault_of(outline.vault, f"{at}.vault", now)
        self.names = _compared_names(outline.secrets, f"{at}.secrets")

    def secret(self, name_key: str) -> tuple[ArchivedSecret, SecretDocument, list[ArchivedVersion]]:
        """One secret of `names`. Raises Invalid("Document")."""
        name = self.names[name_key]
        at = f"{self._at}.secrets.{name}"
        told = decoded(self._outline.secrets[name], SecretDocument, at)
        secret = ArchivedSecret(name, _epoch_s(told.deleted_at), _epoch_s(told.purge_at))
        with_place(at, lambda: rules.check_deletion(secret.deleted_at, secret.purge_at))
        if (told.value is None) == (told.versions is None):
            raise fault(at, "neither value nor versions, or both", "give one of them")
        if told.versions is None:
            return secret, told, [self._version(told, name_key, 1, at)]
        if not told.versions or told != SecretDocument(
            versions=told.versions, deleted_at=told.deleted_at, purge_at=told.purge_at, keep=told.keep
        ):
            raise fault(at, "versions beside fields of a single version, or none", "put them into the versions")
        every = [
            self._version(each, name_key, number, f"{at}.versions[{number - 1}]")
            for number, each in enumerate(told.versions, 1)
        ]
        if len({each.version for each in every}) != len(every):
            raise fault(f"{at}.versions", "two of the same version id", "give each its own, or none")
        return secret, told, every

    def rights(self) -> list[tuple[ArchivedRole | ArchivedPolicy, str]]:
        """The roles and access policies, each with its place."""
        roles = [
            (ArchivedRole(each.role, each.to, each.secret), f"{self._at}.roles[{number}]")
            for number, each in enumerate(self._outline.roles)
        ]
        policies = [
            (ArchivedPolicy(each.to, each.permissions, each.only_through or ""), f"{self._at}.policies[{number}]")
            for number, each in enumerate(self._outline.policies)
        ]
        return [*roles, *policies]

    def entries(self) -> Iterator[Entry]:
        """Everything in the order of an archive."""
        yield self.vault
        versions = 0
        for name_key in self.names:
            secret, _, every = self.secret(name_key)
            versions += len(every)
            yield secret
            yield from every
        yield from (right for right, _ in self.rights())
        yield ArchivedEnd(len(self.names), versions)

    def _version(self, told: SecretDocument | VersionDocument, name_key: str, number: int, at: str) -> ArchivedVersion:
        value = self._resolve(told.value, f"{at}.value") if isinstance(told.value, Reference) else told.value or ""
        created_at = _epoch_s(told.created_at)
        created_at = self._now if created_at is None else created_at
        updated_at = _epoch_s(told.updated_at)
        try:
            content = value.encode()
        except UnicodeEncodeError:
            raise fault(f"{at}.value", "not text in UTF-8", "encode it, for example as base64") from None
        return ArchivedVersion(
            rules.derived_version(name_key, number) if told.version is None else told.version,
            content,
            told.enabled,
            _epoch_s(told.not_before),
            _epoch_s(told.expires_at),
            created_at,
            created_at if updated_at is None else updated_at,
            told.content_type,
            None if told.tags is None else msgspec.json.encode(told.tags).decode(),
        )


def json_of(content: bytes, *, toml: bool = False) -> bytes:
    """A document as JSON without doubled names. Raises Invalid("Document") for what is none."""
    try:
        if toml:
            return msgspec.json.encode(tomllib.loads(content.decode()))
        if len(content) <= _MAX_SEARCHED_FOR_DUPLICATES:
            json.loads(content, object_pairs_hook=_without_doubles)
    except tomllib.TOMLDecodeError as problem:
        raise fault("the whole document", str(problem), "mend the TOML") from None
    except (ValueError, OverflowError, RecursionError) as problem:
        told = str(problem) if isinstance(problem, json.JSONDecodeError) else "not text in UTF-8"
        raise fault("the whole document", told, "mend the JSON") from None
    return content


def decoded(content: bytes | msgspec.Raw, kind: type[T], at: str) -> T:
    """A part of a document. Raises Invalid("Document") with its place; no problem quotes what stands there."""
    try:
        return msgspec.json.decode(content, type=kind)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as problem:
        told, _, place = str(problem).partition(" - at `$")
        raise fault(at + place.rstrip("`"), told, "see docs/import.md for what may stand there") from None


def fault(at: str, problem: str, fix: str) -> Invalid:
    """What is wrong in a document, where, and what to do."""
    return Invalid("Document", at=at, problem=problem, fix=fix)


def with_place(at: str, check: Callable[[], T]) -> T:
    """The answer of `check`, whose refusals are told with their place in the document."""
    try:
        return check()
    except Refusal as refusal:
        told = {name: value for name, value in refusal.facts.items() if name not in ("fix", "at")}
        problem = ", ".join([refusal.reason, *(f"{name}: {value}" for name, value in told.items())])
        raise fault(at, problem, str(refusal.facts.get("fix", "see docs/import.md for what may stand there"))) from None


def vault_of(told: Mapping[str, Any], at: str, now: int) -> ArchivedVault:
    """The vault of a document; its name is empty where none is given. Raises Invalid("Document")."""
    fields = dict(told)
    name, tenant = fields.pop("name", ""), fields.pop("tenant", None)
    if not isinstance(name, str) or not isinstance(tenant, str | None):
        raise fault(at, "name and tenant are text", "put them in quotes")
    for text in JSON_TEXTS:
        if fields.get(text) is not None:
            if not isinstance(fields[text], dict):
                raise fault(f"{at}.{text}", "not an object", "give an object, or leave it out")
            fields[text] = msgspec.json.encode(fields[text]).decode()
    settings = decoded(msgspec.json.encode(fields), VaultSettings, at)
    return ArchivedVault(FORMAT, name, tenant, now, settings)


def no_references(reference: Reference, at: str) -> str:
    """For documents that come from elsewhere: they may not name files or variables of this machine."""
    raise fault(at, "a reference", "write the value itself: only a seed file may refer to files and variables")


def _compared_names(secrets: Mapping[str, msgspec.Raw], at: str) -> dict[str, str]:
    """Compared name to name, sorted."""
    names: dict[str, str] = {}
    for name in secrets:
        name_key = with_place(f"{at}.{name[:130]}", lambda name=name: check_name(name))  # type: ignore[misc]
        if name_key in names:
            raise fault(f"{at}.{name}", "a name that stands there twice", "names differ by more than case")
        names[name_key] = name
    return dict(sorted(names.items()))


def _epoch_s(at: Moment | None) -> int | None:
    """Whole seconds; a time without a zone is UTC."""
    if isinstance(at, datetime):
        return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp())
    return at


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        double = next(name for name in names if names.count(name) > 1)
        raise fault("the whole document", f"the name {double[:130]} stands twice in one object", "keep one of them")
    return found
