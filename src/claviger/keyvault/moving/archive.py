"""Sealed archives as files: a head that says how they open, then one sealed stream of entries (docs/formats.md).

The stream's key is random and stands in the head, sealed: under a key made of a passphrase, or under a data key of the
server that wrote it. Nothing is read into memory but the chunk at hand.
"""

from __future__ import annotations

import struct
from collections.abc import Awaitable, Callable, Iterator
from typing import BinaryIO, Protocol

from claviger.core.clock import Clock
from claviger.core.errors import Damaged, Invalid, Misconfigured
from claviger.core.sensitive import Sensitive
from claviger.crypto.envelope import KEY_LENGTH, OVERHEAD, associated_data, new_key
from claviger.crypto.passphrase_lock import LOCK_LENGTH, PassphraseLock
from claviger.crypto.stream import Sink, StreamReader, StreamWriter
from claviger.keyvault.moving.wire import ArchivedEnd, Entry, pack, unpack
from claviger.keyvault.secrets import records as secret_records
from claviger.keyvault.secrets.backup import BACKUP_SCOPE, mark_of
from claviger.sealing.keyring import Keyring
from claviger.store.contract import Store

MAGIC = b"claviger-vault-archive-1\0"
MAX_ENTRY = 1 << 20
BY_PASSPHRASE = b"P"
BY_SERVER = b"S"
_SEALED_KEY_LENGTH = KEY_LENGTH + OVERHEAD
_length = struct.Struct(">I")


ServerKey = Callable[[str, bytes, bytes], Awaitable[bytes | None]]
"""See `ByServer.open`."""


class Lock(Protocol):
    """How an archive's key is sealed and opened again."""

    async def seal(self, key: bytes) -> bytes:
        """The head of an archive with this key, `MAGIC` and all."""
        ...


class ByPassphrase:
    """For whoever has the passphrase."""

    def __init__(self, passphrase: Sensitive, *, log2_n: int = 15) -> None:
        """`log2_n` is the cost of new archives only."""
        self._passphrase = passphrase
        self._log2_n = log2_n

    async def seal(self, key: bytes) -> bytes:
        """See `Lock`. Raises Misconfigured("PassphraseTooShort")."""
        lock = PassphraseLock.fresh(self._log2_n)
        bare = MAGIC + BY_PASSPHRASE + lock.packed()
        return bare + lock.key(self._passphrase).seal(key, key_bound(bare))


class ByServer:
    """For the server that writes it: its key lies beside those of its backups, and is kept for good."""

    def __init__(self, store: Store, keyring: Keyring, clock: Clock) -> None:
        self._store = store
        self._keyring = keyring
        self._clock = clock

    async def seal(self, key: bytes) -> bytes:
        """See `Lock`."""

        async def attempt(data_key_id: int) -> bytes:
            mark = (await mark_of(self._store, self._clock, data_key_id)).encode("ascii")
            await self._keyring.loaded(data_key_id)
            bare = MAGIC + BY_SERVER + bytes([len(mark)]) + mark
            return bare + self._keyring.seal(data_key_id, key, key_bound(bare))

        return await self._keyring.with_data_key(BACKUP_SCOPE, attempt)

    async def open(self, mark: str, sealed_key: bytes, bound_to: bytes) -> bytes | None:
        """The key of an archive of this server; None where the mark is not ours. Raises Damaged("SealBroken")."""
        data_key_id = await secret_records.backup_key(self._store, mark)
        return None if data_key_id is None else await self._keyring.open(data_key_id, sealed_key, bound_to)


class ArchiveWriter:
    """Writes entries into a sealed archive; without `close` it has no end and does not open."""

    def __init__(self, stream: StreamWriter) -> None:
        self._stream = stream

    @classmethod
    async def begun(cls, sink: Sink, lock: Lock) -> ArchiveWriter:
        """An archive with its head written."""
        key = new_key()
        head = await lock.seal(key)
        sink.write(head)
        return cls(StreamWriter(key, stream_bound(head), sink))

    def add(self, entry: Entry) -> None:
        """Adds one entry. Raises Invalid("EntryTooLarge")."""
        packed = pack(entry)
        if len(packed) > MAX_ENTRY:
            raise Invalid("EntryTooLarge", kind=type(entry).__name__, most=MAX_ENTRY)
        self._stream.write(_length.pack(len(packed)) + packed)

    def close(self) -> None:
        """Ends the archive."""
        self._stream.close()


class Archive:
    """An archive whose key has been had: `entries` reads it from the start, as often as wanted."""

    def __init__(self, file: BinaryIO, head: bytes, key: bytes) -> None:
        self._file = file
        self._head = head
        self._key = key

    def entries(self) -> Iterator[Entry]:
        """Every entry. Raises Damaged("ArchiveBroken" | "ArchiveContents") as soon as something is wrong.

        That nothing is missing is known only once all of them have been had.
        """
        self._file.seek(len(self._head))
        stream = StreamReader(self._key, stream_bound(self._head), self._file)
        ended = False
        while prefix := self._read(stream, _length.size):
            length = _length.unpack(prefix)[0] if len(prefix) == _length.size else MAX_ENTRY + 1
            packed = self._read(stream, length) if length <= MAX_ENTRY else b""
            if ended or not packed or len(packed) != length:
                raise Damaged(
                    "ArchiveContents", fix="its entries do not follow one another: it was not written by Claviger"
                )
            entry = unpack(packed)
            ended = isinstance(entry, ArchivedEnd)
            yield entry
        if not ended:
            raise Damaged("ArchiveContents", fix="its last entry is missing: it was not written by Claviger")

    @staticmethod
    def _read(stream: StreamReader, count: int) -> bytes:
        try:
            return stream.read(count)
        except Damaged:
            raise Damaged(
                "ArchiveBroken", fix="the file was changed or cut off: take another copy of it, or export again"
            ) from None


def is_archive(start: bytes) -> bool:
    """Whether a file that starts like this is an archive, of whatever version."""
    return start.startswith(b"claviger-vault-archive-")


async def open_archive(
    file: BinaryIO,
    *,
    passphrase: Callable[[], Sensitive],
    server_key: ServerKey,
) -> Archive:
    """The archive in `file`, its key had. `passphrase` is asked only where it takes one.

    Raises Invalid("NotAnArchive" | "NewerArchive"), Misconfigured("WrongPassphrase" | "ForeignArchive"), and what
    `passphrase` raises.
    """
    file.seek(0)
    kind = _kind(file.read(len(MAGIC) + 1))
    if kind == BY_PASSPHRASE:
        packed = _exactly(file, LOCK_LENGTH)
        bare = MAGIC + kind + packed
        sealed = _exactly(file, _SEALED_KEY_LENGTH)
        key = _by_passphrase(packed, sealed, bare, passphrase)
    else:
        length = _exactly(file, 1)
        mark = _exactly(file, length[0])
        bare = MAGIC + kind + length + mark
        sealed = _exactly(file, _SEALED_KEY_LENGTH)
        key = await _by_server(mark, sealed, bare, server_key)
    return Archive(file, bare + sealed, key)


def key_bound(bare_head: bytes) -> bytes:
    """What the sealed key of a stream is bound to: all of the head before it."""
    return associated_data("keyvault-archive-key", bare_head)


def stream_bound(head: bytes) -> bytes:
    """What every chunk is bound to: all of the head."""
    return associated_data("keyvault-archive", head)


def _kind(start: bytes) -> bytes:
    if not is_archive(start):
        raise Invalid("NotAnArchive", fix="name a file that claviger export has written, or a JSON document")
    if not start.startswith(MAGIC) or start[len(MAGIC) :] not in (BY_PASSPHRASE, BY_SERVER):
        raise Invalid("NewerArchive", fix="import it with the version of Claviger that wrote it, or a newer one")
    return start[len(MAGIC) :]


def _by_passphrase(packed: bytes, sealed: bytes, bare: bytes, passphrase: Callable[[], Sensitive]) -> bytes:
    try:
        lock = PassphraseLock.unpacked(packed)
    except Damaged:
        raise _cut_off() from None
    try:
        return lock.key(passphrase()).open(sealed, key_bound(bare))
    except Damaged:
        raise Misconfigured(
            "WrongPassphrase",
            fix="give the passphrase under which this archive was made; if it is the right one, the file is damaged",
        ) from None


async def _by_server(mark: bytes, sealed: bytes, bare: bytes, server_key: ServerKey) -> bytes:
    plain = mark.isascii() and b"\0" not in mark
    try:
        key = await server_key(mark.decode("ascii"), sealed, key_bound(bare)) if plain else None
    except Damaged:
        raise _cut_off() from None
    if key is None:
        raise Misconfigured(
            "ForeignArchive",
            fix="it was sealed for the server that wrote it: import it there, or export it with a passphrase",
        )
    return key


def _exactly(file: BinaryIO, count: int) -> bytes:
    content = file.read(count)
    if len(content) != count:
        raise _cut_off()
    return content


def _cut_off() -> Damaged:
    return Damaged("ArchiveBroken", fix="its head was changed or cut off: take another copy of it, or export again")
