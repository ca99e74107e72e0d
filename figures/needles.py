"""Values that occur nowhere else, and a search that finds them again however somebody wrote them down.

A value is random throughout, with structure between: quotes, escapes, line ends, accents, percent signs. `Search`
knows every value in every spelling (raw, JSON, URL, base64 wherever it began, hex, UTF-16, Python's own) by windows of
16 bytes, so that a piece of a value is found as well; from 24 bytes of a spelling on, certainly.
"""

from __future__ import annotations

import base64
import html
import json
import random
import string
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import quote, quote_plus

WINDOW = 16
_STRIDE = 8
_MOST_WINDOWS = 60
_TAME = string.ascii_letters + string.digits + "-_"
_BETWEEN = {
    "plain": "",
    "json": "\"\\/'{}[]:,",
    "unicode": "äé€ß中𝄞\u2028\u200b\ufeff",
    "lines": "\n\r\t\x0b\x1b\x7f",
    "percent": "%&+=?#; ",
    "markup": "<>&'\"$`;|",
    "long": '"\\\né',
}
KINDS = tuple(_BETWEEN)


@dataclass(frozen=True)
class Needle:
    """A value and what kind it is; a plain one may stand in a header, a path or a host's name as it is.

    `raw` are the bytes of one that is no text.
    """

    number: int
    value: str
    kind: str
    raw: bytes = b""


def make_needles(count: int, seed: int) -> list[Needle]:
    """So many values, of all kinds by turns; the same for the same seed."""
    dice = random.Random(f"needles/{seed}")
    return [
        Needle(number, _value(KINDS[number % len(KINDS)], dice), KINDS[number % len(KINDS)]) for number in range(count)
    ]


def make_controls(count: int, seed: int) -> list[Needle]:
    """Plain values that are put where they must be found: proof that the search sees. Their numbers are below 0."""
    dice = random.Random(f"controls/{seed}")
    return [Needle(-number, _value("plain", dice), "plain") for number in range(1, count + 1)]


def _value(kind: str, dice: random.Random) -> str:
    between = _BETWEEN[kind]
    pieces: list[str] = []
    for _ in range(dice.randrange(300, 2000) if kind == "long" else dice.randrange(6, 9)):
        pieces.append("".join(dice.choices(_TAME, k=dice.randrange(5, 8))))
        pieces.append(dice.choice(between) if between else "")
    return "".join(pieces)


def spellings(value: str) -> set[bytes]:
    """How a value may look once somebody wrote it down."""
    raw = value.encode()
    texts = {
        value,
        quote(value),
        quote(value, safe=""),
        quote_plus(value),
        quote(value, safe="").lower(),
        html.escape(value),
    }
    texts |= {repr(value)[1:-1], repr(raw)[2:-1], raw.hex(), raw.hex().upper(), value.replace("'", "''")}
    for escaped in (json.dumps(value), json.dumps(value, ensure_ascii=False)):
        texts |= {escaped[1:-1], json.dumps(escaped)[3:-3]}
    found = {text.encode() for text in texts}
    found |= {value.encode(coding) for coding in ("utf-16-le", "utf-16-be", "utf-32-le")}
    return found | set(_base64s(raw))


def spellings_of_bytes(raw: bytes) -> set[bytes]:
    """The same for bytes that need not be a text."""
    hexed = raw.hex()
    return {raw, repr(raw)[2:-1].encode(), hexed.encode(), hexed.upper().encode(), *_base64s(raw)}


def _base64s(raw: bytes) -> Iterator[bytes]:
    """Base64 of the value wherever in a longer text it began, without the letters that its neighbours decide."""
    for shift in range(3):
        whole = base64.b64encode(b"\0" * shift + raw)
        inside = whole[(0, 2, 3)[shift] :].rstrip(b"=")
        inside = inside[: len(inside) - (2 if (shift + len(raw)) % 3 else 0)]
        yield inside
        yield inside.translate(bytes.maketrans(b"+/", b"-_"))


class Search:
    """Finds needles in any bytes."""

    def __init__(self, needles: Iterable[Needle]) -> None:
        self._windows: dict[bytes, int] = {}
        for needle in needles:
            for spelling in spellings_of_bytes(needle.raw) if needle.raw else spellings(needle.value):
                for window in _windows(spelling):
                    self._windows[window] = needle.number

    def places_in(self, content: bytes) -> dict[int, int]:
        """The numbers of the needles that are in there, each with the first place where."""
        windows, found = self._windows, dict[int, int]()
        for at in range(len(content) - WINDOW + 1):
            if content[at : at + WINDOW] in windows:
                found.setdefault(windows[content[at : at + WINDOW]], at)
        return found


def _windows(spelling: bytes) -> Sequence[bytes]:
    """Pieces of a spelling; of a very long one only so many, all over it."""
    last = len(spelling) - WINDOW
    stride = max(_STRIDE, last // _MOST_WINDOWS)
    return [spelling[at : at + WINDOW] for at in {*range(0, last + 1, stride), max(last, 0)}]
