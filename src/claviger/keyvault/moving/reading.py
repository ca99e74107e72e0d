"""Reads the entries of a moved vault in the order they must have, checks each, and gathers secrets into parts.

A part is a secret with its whole history, or with a stretch of it where that is too long for one transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

import msgspec

from claviger.core.errors import Damaged, Invalid, Refusal
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
)
from claviger.keyvault.secrets.rules import check_name

PART_VERSIONS = 500
PART_BYTES = 16 << 20

_tags = msgspec.json.Decoder(dict[str, str])


class Source(Protocol):
    """Where entries come from: an archive or a document."""

    def entries(self) -> Iterator[Entry]:
        """All of them from the start, the same each time."""
        ...


class Part(msgspec.Struct):
    """Consecutive versions of one secret; `before` of them were in earlier parts."""

    secret: ArchivedSecret
    name_key: str
    before: int
    versions: list[ArchivedVersion]
    size: int = 0


class Reading:
    """One pass over a source. `vault` is known at once, `rights` once all `parts` have been had."""

    def __init__(self, source: Source) -> None:
        """Raises Damaged("ArchiveContents") and what the source raises."""
        self._entries = source.entries()
        vault = next(self._entries, None)
        if not isinstance(vault, ArchivedVault):
            raise _misplaced()
        if vault.format != FORMAT:
            raise Invalid("NewerArchive", fix="import it with the version of Claviger that wrote it, or a newer one")
        self.vault = vault
        self.rights: list[ArchivedRole | ArchivedPolicy] = []

    def parts(self) -> Iterator[Part]:
        """Every secret, by name. Raises Invalid naming the secret, Damaged, and what the source raises."""
        part: Part | None = None
        secrets = versions = 0
        for entry in self._entries:
            if isinstance(entry, ArchivedSecret) and not self.rights:
                yield from _finished(part)
                part = _begun(entry, part)
                secrets += 1
            elif isinstance(entry, ArchivedVersion) and part is not None and not self.rights:
                versions += 1
                if len(part.versions) >= PART_VERSIONS or part.size >= PART_BYTES:
                    yield from _finished(part)
                    part = Part(part.secret, part.name_key, part.before + len(part.versions), [])
                part.versions.append(_checked(entry, part.secret))
                part.size += len(entry.value)
            elif isinstance(entry, ArchivedRole | ArchivedPolicy) and len(self.rights) < rules.MAX_RIGHTS:
                self.rights.append(entry)
            elif isinstance(entry, ArchivedEnd) and (entry.secrets, entry.versions) == (secrets, versions):
                yield from _finished(part)
                return self._nothing_follows()
            else:
                raise _misplaced()
        raise _misplaced()

    def _nothing_follows(self) -> None:
        """Lets the source come to its end, where an archive is found to be whole."""
        for _ in self._entries:
            raise _misplaced()


def _begun(secret: ArchivedSecret, last: Part | None) -> Part:
    try:
        name_key = check_name(secret.name)
        rules.check_deletion(secret.deleted_at, secret.purge_at)
    except Invalid as refusal:
        raise _in_secret(secret, refusal) from None
    if last is not None and name_key <= last.name_key:
        raise _misplaced()
    return Part(secret, name_key, 0, [])


def _finished(part: Part | None) -> Iterable[Part]:
    if part is None:
        return ()
    if not part.versions:
        raise Invalid("SecretWithoutVersions", secret=part.secret.name)
    if len({each.version for each in part.versions}) != len(part.versions):
        raise Invalid("VersionTwice", secret=part.secret.name)
    return (part,)


def _checked(version: ArchivedVersion, secret: ArchivedSecret) -> ArchivedVersion:
    """The version with its tags as we would have written them."""
    try:
        rules.check_version(version.version)
        rules.check_value(version.value)
        rules.check_times(
            not_before=version.not_before,
            expires_at=version.expires_at,
            created_at=version.created_at,
            updated_at=version.updated_at,
        )
        tags = None if version.tags is None else _tags.decode(version.tags)
        rules.check_metadata(version.content_type, tags)
    except Refusal as refusal:
        raise _in_secret(secret, refusal) from None
    except (msgspec.MsgspecError, UnicodeError):
        raise _in_secret(secret, Invalid("Property", property="tags")) from None
    if tags is None:
        return version
    return msgspec.structs.replace(version, tags=msgspec.json.encode(tags).decode())


def _in_secret(secret: ArchivedSecret, refusal: Refusal) -> Invalid:
    return Invalid(refusal.reason, **{"secret": secret.name[:130], **refusal.facts})


def _misplaced() -> Damaged:
    return Damaged("ArchiveContents", fix="its entries do not follow one another: it was not written by Claviger")
