"""A value that must not be shown: wrapped from the wire to the cipher, it cannot slip into a log, error or pickle."""

from __future__ import annotations

import hmac
from typing import NoReturn


class Sensitive:
    """Bytes that print as `<sensitive>`, compare in constant time and refuse to be pickled or hashed."""

    __slots__ = ("_value",)
    __hash__ = None  # type: ignore[assignment]  # a hash would leak equality

    def __init__(self, value: bytes | str) -> None:
        self._value = value.encode() if isinstance(value, str) else value

    def reveal(self) -> bytes:
        """The bytes themselves, for the cipher and for the answer that was asked for."""
        return self._value

    def reveal_text(self) -> str:
        """The value as text. Raises UnicodeDecodeError where it is not UTF-8."""
        return self._value.decode()

    def __len__(self) -> int:
        return len(self._value)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sensitive):
            return NotImplemented
        return hmac.compare_digest(self._value, other._value)

    def __repr__(self) -> str:
        return "<sensitive>"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return "<sensitive>"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a sensitive value is never pickled")
