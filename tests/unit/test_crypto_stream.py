"""Sealed streams: what goes in comes out, and nothing that was changed, moved, dropped or cut off opens."""

from __future__ import annotations

import io
import itertools
import pickle
import tracemalloc
from collections.abc import Callable

import pytest

from claviger.core.errors import Damaged, Misconfigured
from claviger.core.sensitive import Sensitive
from claviger.crypto.envelope import TAG_LENGTH
from claviger.crypto.passphrase_lock import LOCK_LENGTH, PassphraseLock
from claviger.crypto.stream import CHUNK, StreamReader, StreamWriter

KEY = bytes(range(32))
BOUND = b"somewhere"
SEALED_CHUNK = CHUNK + TAG_LENGTH


def sealed(content: bytes, *, piece: int = 10_007, key: bytes = KEY, bound_to: bytes = BOUND) -> bytes:
    sink = io.BytesIO()
    stream = StreamWriter(key, bound_to, sink)
    for at in range(0, len(content), piece):
        stream.write(content[at : at + piece])
    stream.close()
    return sink.getvalue()


def opened(content: bytes, *, piece: int = 30_011, key: bytes = KEY, bound_to: bytes = BOUND) -> bytes:
    stream = StreamReader(key, bound_to, io.BytesIO(content))
    return b"".join(iter(lambda: stream.read(piece), b""))


def content_of(size: int) -> bytes:
    return bytes(itertools.islice(itertools.cycle(range(251)), size))


@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 3 * CHUNK + 5])
def test_what_goes_in_comes_out(size: int):
    content = content_of(size)
    stream = sealed(content)
    assert len(stream) == size + TAG_LENGTH * max(1, -(-size // CHUNK))
    assert opened(stream) == content
    assert opened(sealed(content, piece=10**6), piece=1 if size < 2 else 10**6) == content
    assert content[:40] not in stream or size == 0


CHUNKS = [
    sealed(content_of(3 * CHUNK + 5))[at : at + SEALED_CHUNK] for at in range(0, 3 * SEALED_CHUNK + 21, SEALED_CHUNK)
]
DAMAGES: dict[str, Callable[[], list[bytes]]] = {
    "the first dropped": lambda: CHUNKS[1:],
    "one dropped": lambda: [CHUNKS[0], *CHUNKS[2:]],
    "the last dropped": lambda: CHUNKS[:3],
    "all dropped": list,
    "two swapped": lambda: [CHUNKS[1], CHUNKS[0], *CHUNKS[2:]],
    "one repeated": lambda: [CHUNKS[0], *CHUNKS],
    "the last repeated": lambda: [*CHUNKS, CHUNKS[3]],
    "the last too early": lambda: [CHUNKS[0], CHUNKS[3]],
    "a byte more": lambda: [*CHUNKS, b"x"],
    "a byte less": lambda: [*CHUNKS[:3], CHUNKS[3][:-1]],
    "cut within a chunk": lambda: [CHUNKS[0], CHUNKS[1][:100]],
    "one of another stream": lambda: [
        CHUNKS[0],
        sealed(content_of(3 * CHUNK), key=bytes(32))[SEALED_CHUNK:],
        *CHUNKS[2:],
    ],
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_stream_does_not_open(damage: str):
    with pytest.raises(Damaged, match="StreamBroken"):
        opened(b"".join(DAMAGES[damage]()))


@pytest.mark.parametrize("at", [0, 17, CHUNK, SEALED_CHUNK, 2 * SEALED_CHUNK - 1, 3 * SEALED_CHUNK + 20])
@pytest.mark.parametrize("bit", [0, 7])
def test_a_flipped_bit_is_found(at: int, bit: int):
    stream = bytearray(b"".join(CHUNKS))
    stream[at] ^= 1 << bit
    with pytest.raises(Damaged):
        opened(bytes(stream))


def test_another_key_or_place_does_not_open():
    stream = sealed(b"content")
    with pytest.raises(Damaged):
        opened(stream, key=bytes(32))
    with pytest.raises(Damaged):
        opened(stream, bound_to=b"elsewhere")
    with pytest.raises(ValueError, match="32 bytes"):
        sealed(b"content", key=b"short")


def test_a_reader_gives_nothing_of_a_broken_chunk():
    stream = StreamReader(KEY, BOUND, io.BytesIO(b"".join([CHUNKS[0], CHUNKS[2]])))
    assert stream.read(CHUNK) == content_of(CHUNK)
    with pytest.raises(Damaged):
        stream.read(1)


class Pipe:
    """Seals while it is being read, so that nobody ever has the whole."""

    def __init__(self, size: int) -> None:
        self._waiting = bytearray()
        self._stream = StreamWriter(KEY, BOUND, self)
        self._left = size

    def write(self, content: bytes) -> None:
        self._waiting += content

    def read(self, count: int) -> bytes:
        while len(self._waiting) < count and self._left:
            piece = bytes(min(25_600, self._left))
            self._left -= len(piece)
            self._stream.write(piece)
            if not self._left:
                self._stream.close()
        taken = bytes(self._waiting[:count])
        del self._waiting[:count]
        return taken


def test_long_streams_take_no_memory():
    size = 128 << 20
    tracemalloc.start()
    try:
        stream = StreamReader(KEY, BOUND, Pipe(size))
        had = sum(len(piece) for piece in iter(lambda: stream.read(25_600), b""))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert had == size
    assert peak < 2 << 20


def test_a_stream_is_never_pickled():
    with pytest.raises(TypeError):
        pickle.dumps(StreamWriter(KEY, BOUND, io.BytesIO())._chunks)


def test_a_lock_makes_the_same_key_again():
    lock = PassphraseLock.fresh(log2_n=4)
    again = PassphraseLock.unpacked(lock.packed())
    assert again == lock
    assert len(lock.packed()) == LOCK_LENGTH
    content = lock.key(Sensitive("correct horse")).seal(b"x", b"")
    assert again.key(Sensitive("correct horse")).open(content, b"") == b"x"
    with pytest.raises(Damaged):
        again.key(Sensitive("correct horsf")).open(content, b"")
    with pytest.raises(Damaged):
        PassphraseLock.fresh(log2_n=4).key(Sensitive("correct horse")).open(content, b"")


def test_a_passphrase_has_a_least_length():
    with pytest.raises(Misconfigured, match="PassphraseTooShort"):
        PassphraseLock.fresh(log2_n=4).key(Sensitive("too short"))


@pytest.mark.parametrize("head", [b"\x00\x08\x03", b"\x19\x08\x03", b"\x18\x20\x01", b"\x0f\x00\x03", b"\x0f\x08\x11"])
def test_a_cost_that_no_honest_file_has_is_refused(head: bytes):
    with pytest.raises(Damaged, match="PassphraseLock"):
        PassphraseLock.unpacked(head + bytes(16))
    with pytest.raises(Damaged, match="PassphraseLock"):
        PassphraseLock.unpacked(b"\x0f\x08\x03" + bytes(15))
