"""Root keys in a file: plain with mode 0600 (`KeyFile`), or sealed under a passphrase (`PassphraseFile`).

Both are short text files, one line a key, described byte by byte in docs/formats.md. They change only under a
lock, by writing a whole new file beside the old one and moving it into place once it is on disk: a crash
leaves the old file or the new one, and two processes that rotate at once never lose each other's key.
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from claviger.core.errors import Damaged, Misconfigured
from claviger.core.sensitive import Sensitive
from claviger.crypto.durable_lines import DurableLines
from claviger.crypto.envelope import KEY_LENGTH, SealingKey, associated_data, new_key
from claviger.crypto.root_key import RootKey, following, root_key_id, root_key_of

SHORTEST_PASSPHRASE = 12
SALT_LENGTH = 16
_MOST_SCRYPT_MEMORY = 1 << 30  # bytes; what a tampered file could make us allocate


class KeyFile:
    """Root keys in the clear in a file that only its owner may read."""

    def __init__(self, path: Path) -> None:
        self._lines = DurableLines(
            path,
            header="claviger-root-keys 1",
            notice="With this file and the database every secret can be read. Keep a copy apart.",
            private=True,
        )
        self.description = f"the key file {path}"

    def read(self) -> list[RootKey]:
        """The keys of the file, or none where there is no file.

        Raises Misconfigured("RootKeyFileExposed") where group or others may touch the file,
        Damaged("RootKeyFile").
        """
        return [self._parsed(line) for line in self._lines.read()]

    def next_after(self, current_id: str | None, now: float) -> RootKey:
        """See `RootKeySource`. Makes the file where there is none."""

        def with_next(lines: list[str]) -> list[str]:
            if following([self._parsed(line).id for line in lines], current_id):
                return lines
            key = new_key()
            return [*lines, f"{root_key_id(key)} {int(now)} {_base64(key)}"]

        keys = [self._parsed(line) for line in self._lines.change(with_next)]
        ids = following([key.id for key in keys], current_id)
        return next(key for key in keys if key.id == ids[0])

    def remove(self, root_key_ids: Collection[str]) -> None:
        """See `RootKeySource`."""
        _remove(self._lines, root_key_ids)

    def _parsed(self, line: str) -> RootKey:
        try:
            told_id, created_at, encoded = line.split(" ")
            key = root_key_of(base64.b64decode(encoded, validate=True), int(created_at))
        except (ValueError, binascii.Error):
            raise self._lines.damaged() from None
        if key.id != told_id:
            raise self._lines.damaged()
        return key


@dataclass(frozen=True, slots=True)
class _Entry:
    """A line of a passphrase file."""

    id: str
    created_at: int
    log2_n: int
    r: int
    p: int
    salt: bytes
    sealed: bytes

    def line(self) -> str:
        cost = (self.log2_n, self.r, self.p)
        words = (self.id, self.created_at, "scrypt", *cost, _base64(self.salt), _base64(self.sealed))
        return " ".join(str(word) for word in words)

    def bound(self) -> bytes:
        return associated_data("root-key", self.id, self.created_at, "scrypt", self.log2_n, self.r, self.p, self.salt)

    def sealing_key(self, passphrase: Sensitive) -> SealingKey:
        """The key that the passphrase makes; takes some 0.3 s and `128 * r * 2**log2_n` bytes."""
        kdf = Scrypt(salt=self.salt, length=KEY_LENGTH, n=1 << self.log2_n, r=self.r, p=self.p)
        return SealingKey(kdf.derive(passphrase.reveal()))


class PassphraseFile:
    """Random root keys, each sealed under a key that scrypt makes of a passphrase.

    While a rotation changes the passphrase, `new_passphrase` stands beside the present one: new keys are
    sealed under the new one, and both open. The file alone is worth nothing, so its mode is not checked.
    """

    def __init__(
        self, path: Path, passphrase: Sensitive, new_passphrase: Sensitive | None = None, *, log2_n: int = 15
    ) -> None:
        """Raises Misconfigured("PassphraseTooShort"). `log2_n` is the cost of new entries only."""
        for given in (passphrase, new_passphrase):
            if given is not None and len(given) < SHORTEST_PASSPHRASE:
                fix = f"choose a root passphrase of at least {SHORTEST_PASSPHRASE} bytes"
                raise Misconfigured("PassphraseTooShort", fix=fix)
        self._lines = DurableLines(
            path,
            header="claviger-passphrase-keys 1",
            notice="Root keys under the passphrase, worth nothing without this file. Keep a copy.",
            private=False,
        )
        self._passphrase = passphrase
        self._new_passphrase = new_passphrase
        self._log2_n = log2_n
        self._opened: dict[tuple[str, bool], RootKey | None] = {}  # by line, and whether by the new passphrase
        self.description = f"the passphrase and its file {path}"

    def read(self) -> list[RootKey]:
        """The keys that the passphrases open, or none where there is no file.

        Raises Misconfigured("WrongPassphrase") where they open none of several keys, Damaged("RootKeyFile").
        """
        lines = self._lines.read()
        keys = [key for line in lines if (key := self._open(line, new=False) or self._open(line, new=True))]
        if lines and not keys:
            raise Misconfigured(
                "WrongPassphrase",
                path=str(self._lines.path),
                fix="give the passphrase under which the root keys in this file were made",
            )
        return keys

    def next_after(self, current_id: str | None, now: float) -> RootKey:
        """See `RootKeySource`.

        A key left over from an earlier try counts only if the wanted passphrase opens it.
        """
        new = self._new_passphrase is not None and current_id is not None
        found: list[RootKey] = []

        def with_next(lines: list[str]) -> list[str]:
            ids = [self._parsed(line).id for line in lines]
            for line in lines[len(lines) - len(following(ids, current_id)) :]:
                key = self._open(line, new=new)
                if key is not None:
                    found.append(key)
                    return lines
            if current_id is None and lines:  # a first key is there, and the passphrase does not open it
                self.read()
            entry, key = self._made(int(now), new=new)
            found.append(key)
            return [*lines, entry.line()]

        self._lines.change(with_next)
        return found[0]

    def remove(self, root_key_ids: Collection[str]) -> None:
        """See `RootKeySource`."""
        _remove(self._lines, root_key_ids)

    def _made(self, now: int, *, new: bool) -> tuple[_Entry, RootKey]:
        passphrase = self._new_passphrase if new and self._new_passphrase is not None else self._passphrase
        key = new_key()
        blank = _Entry(root_key_id(key), now, self._log2_n, 8, 3, os.urandom(SALT_LENGTH), b"")
        sealed = blank.sealing_key(passphrase).seal(key, blank.bound())
        entry = _Entry(blank.id, now, blank.log2_n, blank.r, blank.p, blank.salt, sealed)
        return entry, root_key_of(key, now)

    def _open(self, line: str, *, new: bool) -> RootKey | None:
        """The line's key, or None where this passphrase is not the line's.

        Remembers, for scrypt is dear on purpose.
        """
        passphrase = self._new_passphrase if new else self._passphrase
        entry = self._parsed(line)
        if passphrase is None:
            return None
        if (line, new) not in self._opened:
            try:
                key = entry.sealing_key(passphrase).open(entry.sealed, entry.bound())
                self._opened[line, new] = root_key_of(key, entry.created_at)
            except Damaged:
                self._opened[line, new] = None
        return self._opened[line, new]

    def _parsed(self, line: str) -> _Entry:
        try:
            told_id, created_at, kdf, log2_n, r, p, salt, sealed = line.split(" ")
            entry = _Entry(
                told_id,
                int(created_at),
                int(log2_n),
                int(r),
                int(p),
                base64.b64decode(salt, validate=True),
                base64.b64decode(sealed, validate=True),
            )
        except (ValueError, binascii.Error):
            raise self._lines.damaged() from None
        bounded = 1 <= entry.log2_n <= 24 and 1 <= entry.r <= 32 and 1 <= entry.p <= 16
        if kdf != "scrypt" or not bounded or 128 * entry.r << entry.log2_n > _MOST_SCRYPT_MEMORY:
            raise self._lines.damaged()
        return entry


def _remove(lines: DurableLines, root_key_ids: Collection[str]) -> None:
    def without(present: list[str]) -> list[str]:
        return [line for line in present if line.split(" ", 1)[0] not in root_key_ids] or present[-1:]

    if any(line.split(" ", 1)[0] in root_key_ids for line in lines.read()):
        lines.change(without)


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def passphrase_from_file(path: Path) -> Sensitive:
    """The passphrase in a file: its first line, without the line end.

    Raises Misconfigured("PassphraseFile").
    """
    try:
        with path.open("rb") as file:
            return Sensitive(file.readline(4096).rstrip(b"\r\n"))
    except OSError as error:
        raise Misconfigured(
            "PassphraseFile",
            path=str(path),
            error=error.strerror or type(error).__name__,
            fix="name a readable file whose first line is the passphrase",
        ) from None
