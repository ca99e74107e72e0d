"""The file that a backup is: a head that says what it is of and which data key opens it, and the sealed contents.

The contents are bound to the head, so a key's backup is no vault's. The data key is kept for good, since nobody knows
how long a file will be: it opens here, whatever became of the vault and its own data keys (docs/formats.md).
"""

from __future__ import annotations

from typing import Literal

from claviger.audit.trail import silently
from claviger.core.errors import Damaged, Invalid
from claviger.core.ids import new_uuid
from claviger.crypto.envelope import associated_data
from claviger.ocikms.backups import records, rules
from claviger.ocikms.backups.wire import Packed, pack, unpack
from claviger.ocikms.calls import MAX_FILE_BYTES
from claviger.sealing.keyring import Keyring
from claviger.store.contract import Store

MAGIC = b"claviger-oci-backup-1\0"
SCOPE = "ocikms-backups"
MAX_MARK_LENGTH = 64
VAULT: Literal["vault"] = "vault"
KEY: Literal["key"] = "key"
Kind = Literal["vault", "key"]
_LETTERS: dict[Kind, bytes] = {VAULT: b"V", KEY: b"K"}
_NAMES: dict[bytes, Kind] = {letter: kind for kind, letter in _LETTERS.items()}


class SealedFiles:
    """Seals backups into files, and opens them."""

    def __init__(self, store: Store, keyring: Keyring) -> None:
        self._store = store
        self._keyring = keyring

    async def sealed(self, kind: Kind, contents: Packed) -> bytes:
        """The file. Raises Invalid where it would be larger than one that can be restored."""
        data_key_id = await self._keyring.ensure_data_key(SCOPE)
        head = head_of(kind, await self._mark_of(data_key_id, contents.made_at))
        await self._keyring.loaded(data_key_id)
        made = head + self._keyring.seal(data_key_id, pack(contents), _binding(head))
        if len(made) > MAX_FILE_BYTES:
            raise rules.too_large(MAX_FILE_BYTES)
        return made

    async def opened(self, kind: Kind, raw: bytes) -> Packed:
        """What a file holds. Raises Invalid for whatever is not exactly a file of this kind that was made here."""
        mark_at = len(MAGIC) + 2
        if not raw.startswith(MAGIC) or len(raw) <= mark_at:
            raise rules.unusable()
        sealed_at = mark_at + raw[mark_at - 1]
        mark = raw[mark_at:sealed_at]
        data_key_id = await records.backup_key(self._store, mark.decode("latin-1")) if _is_mark(mark) else None
        if data_key_id is None:
            raise rules.unusable()
        found = _NAMES.get(raw[len(MAGIC) : len(MAGIC) + 1])
        try:
            packed = await self._keyring.open(data_key_id, raw[sealed_at:], _binding(raw[:sealed_at]))
        except Damaged:
            raise rules.unusable() from None
        if found != kind:
            raise Invalid("Value", message=f"The backup is of a {found}, not of a {kind}.")
        contents = unpack(packed)
        if contents is None or contents.version_count > rules.MAX_VERSIONS or (kind == KEY and len(contents.keys) != 1):
            raise rules.unusable()
        return contents

    async def _mark_of(self, data_key_id: int, now: float) -> str:
        mark = await records.backup_key_uid(self._store, data_key_id)
        if mark is not None:
            return mark
        fresh = new_uuid()
        with silently():
            return await self._store.write(lambda tx: records.add_backup_key(tx, fresh, data_key_id, now))


def head_of(kind: Kind, mark: str) -> bytes:
    """What stands before the sealed contents."""
    return MAGIC + _LETTERS[kind] + bytes([len(mark)]) + mark.encode("ascii")


def _binding(head: bytes) -> bytes:
    return associated_data("oci-backup", head)


def _is_mark(mark: bytes) -> bool:
    return 0 < len(mark) <= MAX_MARK_LENGTH and mark.isascii() and b"\0" not in mark
