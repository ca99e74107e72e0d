"""What a reading has found out, kept until the vault was read to its end: in memory while it is little, else in a file.

Nothing of a vault is written to the records before all of it was read; so what is to be written has to wait somewhere,
and a large vault that is met for the first time is all news. There is no value of a secret in it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

import msgspec

T = TypeVar("T")

IN_MEMORY_BYTES = 4 * 1024 * 1024
_LENGTH_BYTES = 4

_ENCODER = msgspec.msgpack.Encoder()


class Spool(Generic[T]):
    """Sightings of a type, in the order in which they were put. `weight` is how many rows one may come to."""

    def __init__(self, kind: type[T], weight: Callable[[T], int], in_memory_bytes: int = IN_MEMORY_BYTES) -> None:
        self._decoder = msgspec.msgpack.Decoder(kind)
        self._weight = weight
        self._file = tempfile.SpooledTemporaryFile(max_size=in_memory_bytes)  # noqa: SIM115 - closed by `close`
        self.count = 0

    def put(self, sighting: T) -> None:
        """Keeps one."""
        encoded = _ENCODER.encode(sighting)
        self._file.write(len(encoded).to_bytes(_LENGTH_BYTES, "big") + encoded)
        self.count += 1

    def portions(self, most: int) -> Iterator[list[T]]:
        """All of them, up to `most` rows at a time, and not many more than that."""
        self._file.seek(0)
        portion: list[T] = []
        weight = 0
        while length := self._file.read(_LENGTH_BYTES):
            portion.append(self._decoder.decode(self._file.read(int.from_bytes(length, "big"))))
            weight += max(1, self._weight(portion[-1]))
            if weight >= most:
                yield portion
                portion, weight = [], 0
        if portion:
            yield portion

    def close(self) -> None:
        """Forgets all."""
        self._file.close()
