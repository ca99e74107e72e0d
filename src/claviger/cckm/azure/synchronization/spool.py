"""What a reading has found out, kept until the vault was read to its end: in memory while it is little, else in a file.

Nothing of a vault is written to the records before all of it was read; so what is to be written has to wait somewhere,
and a large vault that is met for the first time is all news. There is no value of a secret in it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator

import msgspec

from claviger.cckm.azure.synchronization.comparing import Sighting

IN_MEMORY_BYTES = 4 * 1024 * 1024
_LENGTH_BYTES = 4

_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(Sighting)


class Spool:
    """Sightings, in the order in which they were put."""

    def __init__(self, in_memory_bytes: int = IN_MEMORY_BYTES) -> None:
        self._file = tempfile.SpooledTemporaryFile(max_size=in_memory_bytes)  # noqa: SIM115 - closed by `close`
        self.count = 0

    def put(self, sighting: Sighting) -> None:
        """Keeps one."""
        encoded = _ENCODER.encode(sighting)
        self._file.write(len(encoded).to_bytes(_LENGTH_BYTES, "big") + encoded)
        self.count += 1

    def portions(self, most: int) -> Iterator[list[Sighting]]:
        """All of them, up to `most` names at a time, and not many more versions than that."""
        self._file.seek(0)
        portion: list[Sighting] = []
        weight = 0
        while length := self._file.read(_LENGTH_BYTES):
            portion.append(_DECODER.decode(self._file.read(int.from_bytes(length, "big"))))
            weight += max(1, len(portion[-1].versions))
            if weight >= most:
                yield portion
                portion, weight = [], 0
        if portion:
            yield portion

    def close(self) -> None:
        """Forgets all."""
        self._file.close()
