"""Sealing of content that may be longer than memory: in chunks, each bound to its place and to whether it is the last.

The STREAM construction (Hoang, Reyhanitabar, Rogaway, Vizár 2015) over AES-256-GCM, laid out in docs/formats.md. A key
seals one stream only, so the nonce is the chunk's number: a chunk that was changed, moved, dropped, repeated or cut off
does not open, nor does a stream that goes on behind its end.
"""

from __future__ import annotations

from typing import NoReturn, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from claviger.core.errors import Damaged
from claviger.crypto.envelope import KEY_LENGTH, TAG_LENGTH

CHUNK = 64 * 1024
_COUNTER_LENGTH = 11


class Sink(Protocol):
    """Where sealed bytes go."""

    def write(self, content: bytes, /) -> object:
        """Takes all of `content`."""
        ...


class Origin(Protocol):
    """Where sealed bytes come from."""

    def read(self, count: int, /) -> bytes:
        """Up to `count` bytes; fewer only at the end."""
        ...


class StreamWriter:
    """Seals what it is given, chunk by chunk, into `sink`. Without `close` the stream has no end and does not open."""

    def __init__(self, key: bytes, bound_to: bytes, sink: Sink) -> None:
        """`key` is fresh and for this stream alone."""
        self._chunks = _Chunks(key, bound_to)
        self._sink = sink
        self._waiting = bytearray()

    def write(self, content: bytes) -> None:
        """Adds to the stream."""
        self._waiting += content
        while len(self._waiting) > CHUNK:  # a full chunk waits until it is known not to be the last
            self._sink.write(self._chunks.seal(bytes(self._waiting[:CHUNK]), last=False))
            del self._waiting[:CHUNK]

    def close(self) -> None:
        """Ends the stream. Nothing may be written afterwards."""
        self._sink.write(self._chunks.seal(bytes(self._waiting), last=True))
        self._waiting.clear()


class StreamReader:
    """Opens a stream. What `read` has answered is authentic, but only its end proves that nothing is missing."""

    def __init__(self, key: bytes, bound_to: bytes, origin: Origin) -> None:
        self._chunks = _Chunks(key, bound_to)
        self._origin = origin
        self._ahead = origin.read(CHUNK + TAG_LENGTH)
        self._opened = bytearray()
        self._ended = False

    def read(self, count: int) -> bytes:
        """Exactly `count` bytes, fewer at the end of the stream. Raises Damaged("StreamBroken")."""
        while len(self._opened) < count and not self._ended:
            sealed, self._ahead = self._ahead, self._origin.read(CHUNK + TAG_LENGTH)
            self._ended = not self._ahead
            self._opened += self._chunks.open(sealed, last=self._ended)
        content = bytes(self._opened[:count])
        del self._opened[:count]
        return content


class _Chunks:
    """The cipher and the number of the next chunk."""

    def __init__(self, key: bytes, bound_to: bytes) -> None:
        if len(key) != KEY_LENGTH:
            raise ValueError("a stream's key has 32 bytes")
        self._aead = AESGCM(key)
        self._bound_to = bound_to
        self._number = 0

    def seal(self, plaintext: bytes, *, last: bool) -> bytes:
        return self._aead.encrypt(self._nonce(last), plaintext, self._bound_to)

    def open(self, sealed: bytes, *, last: bool) -> bytes:
        try:
            return self._aead.decrypt(self._nonce(last), sealed, self._bound_to)
        except (InvalidTag, ValueError):
            raise Damaged("StreamBroken") from None

    def _nonce(self, last: bool) -> bytes:
        nonce = self._number.to_bytes(_COUNTER_LENGTH, "big") + bytes([last])
        self._number += 1
        return nonce

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a stream's key is never pickled")
