"""The seed file: what a server makes sure of at each start, in JSON or TOML. docs/seed.md describes it.

A plain document of one vault is a seed file too; beside it, or instead, there may be `tenants`, `applications` and
several `vaults`. Values may stand in environment variables and in other files. All of it is read and checked here,
before anything is applied.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, NoReturn

import msgspec

from claviger.core.errors import Invalid, Misconfigured, Refusal
from claviger.core.sensitive import Sensitive
from claviger.keyvault.moving.document import (
    Document,
    Outline,
    PolicyDocument,
    Reference,
    RoleDocument,
    decoded,
    fault,
    json_of,
    with_place,
)
from claviger.keyvault.moving.reading import Reading
from claviger.keyvault.secrets.rules import MAX_VALUE_BYTES

MAX_SEED = 16 << 20
SHORTEST_CLIENT_SECRET = 16
_OUTLINE = ("format", "vault", "secrets", "roles", "policies")


class TenantDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A tenant."""

    name: str
    domain: str
    id: str | None = None


class ApplicationDocument(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An application, with ids and a secret of one's own choice where they are given."""

    name: str
    tenant: str | None = None
    kind: Literal["application", "managed-identity"] = "application"
    client_id: str | None = None
    object_id: str | None = None
    client_secret: str | Reference | None = None

    def __repr__(self) -> str:
        return f"<application {self.name}>"


class SeedOutline(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A whole seed file."""

    tenants: list[TenantDocument] = msgspec.field(default_factory=list)
    applications: list[ApplicationDocument] = msgspec.field(default_factory=list)
    vaults: list[Outline] = msgspec.field(default_factory=list)
    format: str | None = None
    vault: dict[str, object] | None = None
    secrets: dict[str, msgspec.Raw] | None = None
    roles: list[RoleDocument] | None = None
    policies: list[PolicyDocument] | None = None


class SeedApplication(msgspec.Struct, frozen=True):
    """An application to be there, its secret resolved."""

    told: ApplicationDocument
    secret: Sensitive | None
    at: str


class SeedVault(msgspec.Struct, frozen=True):
    """A vault to be there, with the compared names of the secrets whose value is to be what the file says."""

    document: Document
    name: str
    enforced: frozenset[str]
    has_deleted: bool
    at: str


class Seed(msgspec.Struct, frozen=True):
    """A seed file that was read, resolved and found to be right in itself."""

    path: Path
    tenants: list[TenantDocument]
    applications: list[SeedApplication]
    vaults: list[SeedVault]


def read_seed(path: Path, environment: Mapping[str, str], now: int) -> Seed:
    """The seed in a file; TOML where its name ends in `.toml`, else JSON.

    Raises Misconfigured("Seed") with the file, the place in it, the problem and the fix.
    """
    content = _content(path, path, MAX_SEED, "name a readable file with --seed or CLAVIGER_SEED")
    references = References(path, environment)
    try:
        outline = decoded(json_of(content, toml=path.suffix.lower() == ".toml"), SeedOutline, "$")
        applications = [
            _application(each, f"$.applications[{number}]", references)
            for number, each in enumerate(outline.applications)
        ]
        vaults = [_vault(each, at, references, now) for each, at in _outlines(outline)]
    except Refusal as refusal:
        raise_for(path, refusal)
    return Seed(path, outline.tenants, applications, vaults)


def raise_for(path: Path, refusal: Refusal) -> NoReturn:
    """Raises Misconfigured("Seed") for what is wrong in a seed file."""
    told = dict(refusal.facts)
    if refusal.reason not in ("Document", "Seed"):
        told = {"problem": refusal.reason, "fix": "see docs/seed.md", **told}
    raise Misconfigured("Seed", **{"file": path, **told}) from None


class References:
    """Finds the values that a seed file refers to; files are looked for beside the seed file."""

    def __init__(self, seed: Path, environment: Mapping[str, str]) -> None:
        self._folder = seed.parent
        self._environment = environment

    def resolve(self, reference: Reference, at: str) -> str:
        """The value. Raises Invalid("Document") naming the place and the fix."""
        if (reference.env is None) == (reference.file is None):
            raise fault(at, "a reference to nothing, or to two things", 'give {"env": NAME} or {"file": PATH}')
        if reference.env is not None:
            value = self._environment.get(reference.env)
            if value is None:
                raise fault(at, f"the variable {reference.env[:100]} is not set", "set it for the server")
            return value
        path = self._folder / Path(str(reference.file)).expanduser()
        try:
            content = _content(path, path, 2 * MAX_VALUE_BYTES, "name a readable file")
            text = content.decode()
        except Misconfigured as refusal:
            raise fault(at, f"{path}: {refusal.facts['problem']}", str(refusal.facts["fix"])) from None
        except UnicodeDecodeError:
            raise fault(at, f"{path}: not text in UTF-8", "encode it, for example as base64") from None
        return text.removesuffix("\n").removesuffix("\r")


def _content(path: Path, file: Path, most: int, fix: str) -> bytes:
    try:
        with path.open("rb") as opened:
            content = opened.read(most + 1)
    except OSError as failure:
        problem = failure.strerror or type(failure).__name__
        raise Misconfigured("Seed", file=file, problem=problem, fix=fix) from None
    if len(content) > most:
        raise Misconfigured("Seed", file=file, problem=f"over {most} bytes", fix="split it, or use claviger import")
    return content


def _outlines(outline: SeedOutline) -> list[tuple[Outline, str]]:
    """The vaults of a seed with their places; the one at the top first."""
    told = {name: getattr(outline, name) for name in _OUTLINE if getattr(outline, name) is not None}
    single = [(Outline(**told), "$")] if told else []
    return single + [(each, f"$.vaults[{number}]") for number, each in enumerate(outline.vaults)]


def _application(told: ApplicationDocument, at: str, references: References) -> SeedApplication:
    given = told.client_secret
    if isinstance(given, Reference):
        given = references.resolve(given, f"{at}.client_secret")
    if given is not None and len(given.encode()) < SHORTEST_CLIENT_SECRET:
        raise fault(
            f"{at}.client_secret",
            f"under {SHORTEST_CLIENT_SECRET} bytes",
            "choose a random one: only a hash of it is kept, which must not be guessed",
        )
    return SeedApplication(told, None if given is None else Sensitive(given), at)


def _vault(outline: Outline, at: str, references: References, now: int) -> SeedVault:
    document = Document(outline, now=now, resolve=references.resolve, at=at)
    if not document.vault.name:
        raise fault(f"{at}.vault.name", "missing", "name the vault")
    enforced = set()
    has_deleted = False
    for name_key in document.names:
        secret, told, _ = document.secret(name_key)
        has_deleted = has_deleted or secret.deleted_at is not None
        if told.keep is False:
            if told.value is None or told.deleted_at is not None:
                problem = "keep: false on other than a live secret with one value"
                raise fault(f"{at}.secrets.{secret.name}", problem, "give it a value, or leave keep out")
            enforced.add(name_key)

    def check() -> None:
        if any(part.before for part in Reading(document).parts()):
            raise Invalid("TooManyVersions", fix="bring a history of this length in with claviger import")

    with_place(f"{at}.secrets", check)
    return SeedVault(document, document.vault.name, frozenset(enforced), has_deleted, at)
