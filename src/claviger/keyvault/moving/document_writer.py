"""Writes a vault as a plain document, entry by entry: readable, and importable again as it is (docs/import.md)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec

from claviger.crypto.stream import Sink
from claviger.keyvault.moving.document import FORMAT_NAME, JSON_TEXTS, PolicyDocument, RoleDocument
from claviger.keyvault.moving.wire import (
    ArchivedEnd,
    ArchivedPolicy,
    ArchivedRole,
    ArchivedSecret,
    ArchivedVault,
    ArchivedVersion,
    Entry,
)

_encode = msgspec.json.Encoder().encode


class DocumentWriter:
    """Takes entries in the order of an archive. Secrets go out at once; only rights wait for the end."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._open = ""  # what closes the secret that is being written
        self._first = True
        self._roles: list[RoleDocument] = []
        self._policies: list[PolicyDocument] = []

    def add(self, entry: Entry) -> None:
        """Writes one entry."""
        match entry:
            case ArchivedVault():
                told = msgspec.json.format(_encode(_vault(entry)), indent=2).decode().replace("\n", "\n  ")
                self._write(f'{{\n  "format": "{FORMAT_NAME}",\n  "vault": {told},\n  "secrets": {{')
            case ArchivedSecret():
                self._secret(entry)
            case ArchivedVersion():
                self._write(f"{'' if self._first else ','}\n        ")
                self._first = False
                self._sink.write(_encode(_version(entry)))
            case ArchivedRole():
                self._roles.append(RoleDocument(entry.role, entry.principal, entry.secret))
            case ArchivedPolicy():
                self._policies.append(PolicyDocument(entry.principal, entry.permissions, entry.application_id or None))
            case ArchivedEnd():
                self._end()

    def close(self) -> None:
        """Nothing is left to be written after the last entry."""

    def _secret(self, entry: ArchivedSecret) -> None:
        self._write(f"{self._open}{',' if self._open else ''}\n    {_encode(entry.name).decode()}: {{")
        if entry.deleted_at is not None:
            dates = {"deleted_at": _shown(entry.deleted_at), "purge_at": _shown(entry.purge_at)}
            self._write("".join(f'\n      "{name}": "{at}",' for name, at in dates.items()))
        self._write('\n      "versions": [')
        self._open = "\n      ]\n    }"
        self._first = True

    def _end(self) -> None:
        self._write(f"{self._open}\n  }}" if self._open else "}")
        for name, rights in (("roles", self._roles), ("policies", self._policies)):
            if rights:
                lines = ",\n    ".join(_encode(right).decode() for right in rights)
                self._write(f',\n  "{name}": [\n    {lines}\n  ]')
        self._write("\n}\n")

    def _write(self, text: str) -> None:
        self._sink.write(text.encode())


def _vault(entry: ArchivedVault) -> dict[str, Any]:
    told = {"name": entry.name, "tenant": entry.tenant_id, **msgspec.to_builtins(entry.settings)}
    for text in JSON_TEXTS:
        if told[text] is not None:
            told[text] = msgspec.Raw(told[text])
    return {name: value for name, value in told.items() if value is not None}


def _version(entry: ArchivedVersion) -> dict[str, Any]:
    told = {
        "version": entry.version,
        "value": entry.value.decode(),
        "enabled": entry.enabled,
        "not_before": _shown(entry.not_before),
        "expires_at": _shown(entry.expires_at),
        "created_at": _shown(entry.created_at),
        "updated_at": _shown(entry.updated_at),
        "content_type": entry.content_type,
        "tags": None if entry.tags is None else msgspec.Raw(entry.tags),
    }
    return {name: value for name, value in told.items() if value is not None}


def _shown(at: int | None) -> str | None:
    return None if at is None else datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
