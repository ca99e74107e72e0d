"""Witnesses: places outside of the database that have seen a checkpoint, so that no earlier state can pass for the log.

A witness need not understand what it keeps. `FileWitness` appends each checkpoint as a line of JSON to a file, best on
another machine's disk or on one that only lets files grow. `webhook.WebhookWitness` sends the same line elsewhere.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Protocol

import msgspec

from claviger.core.errors import Misconfigured

TAIL = 256 * 1024


class Witness(Protocol):
    """Keeps checkpoints. `name` is for messages."""

    name: str

    @property
    def is_failing(self) -> bool:
        """Whether it did not take what it was shown, and has not raised that, since it works by itself."""
        ...

    async def show(self, note: str) -> None:
        """Has the witness keep a signed checkpoint. Raises a Refusal where it cannot; it is shown the next one then."""
        ...

    async def last(self) -> str | None:
        """The signed checkpoint it was shown last, or None where it cannot tell. Raises a Refusal."""
        ...

    async def close(self) -> None:
        """Ends what it has under way, in seconds."""
        ...


class Seen(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A line of a witness's file."""

    checkpoint: str


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Seen)


def line_of(note: str) -> bytes:
    """The line that a witness keeps of a signed checkpoint, with its end."""
    return _encoder.encode(Seen(note)) + b"\n"


class FileWitness:
    """A file that only grows. Each line is on disk before `show` returns."""

    is_failing = False

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        self._path = path

    async def show(self, note: str) -> None:
        """Appends a checkpoint. Raises Misconfigured("AuditWitness")."""
        await asyncio.to_thread(self._append, line_of(note))

    async def last(self) -> str | None:
        """The checkpoint of the last whole line. Raises Misconfigured("AuditWitness")."""
        notes, _ = await asyncio.to_thread(self._tail)
        return notes[-1] if notes else None

    async def close(self) -> None:
        """Nothing is held."""

    def _append(self, line: bytes) -> None:
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                end = os.lseek(descriptor, 0, os.SEEK_END)
                whole = end == 0 or os.pread(descriptor, 1, end - 1) == b"\n"
                content = line if whole else b"\n" + line  # a crash cut the last one short
                if os.write(descriptor, content) != len(content):
                    raise OSError("the disk is full")
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise self._unusable(error) from None

    def _tail(self) -> tuple[list[str], list[int]]:
        try:
            with self._path.open("rb") as file:
                end = file.seek(0, os.SEEK_END)
                file.seek(max(0, end - TAIL))
                content = file.read(TAIL)
        except FileNotFoundError:
            return [], []
        except OSError as error:
            raise self._unusable(error) from None
        return notes_in(content)

    def _unusable(self, error: OSError) -> Misconfigured:
        return Misconfigured(
            "AuditWitness",
            path=self.name,
            problem=error.strerror or str(error),
            fix="name a file that the server's user may read and append to",
        )


def read_witness(path: Path) -> tuple[list[str], list[int]]:
    """All signed checkpoints of a witness's file, and the numbers of the lines that are none.

    Raises Misconfigured("AuditWitness") where the file cannot be read.
    """
    try:
        return notes_in(path.read_bytes())
    except OSError as error:
        fix = "name the file that CLAVIGER_AUDIT_WITNESS names or a webhook's receiver has filled, or a copy of it"
        raise Misconfigured("AuditWitness", path=str(path), problem=error.strerror, fix=fix) from None


def notes_in(content: bytes) -> tuple[list[str], list[int]]:
    """The signed checkpoints of a witness's file, and the numbers of the lines that are none."""
    notes, broken = [], []
    for number, line in enumerate(content.split(b"\n"), 1):
        if not line:
            continue
        try:
            notes.append(_decoder.decode(line).checkpoint)
        except msgspec.MsgspecError:
            broken.append(number)
    return notes, broken
