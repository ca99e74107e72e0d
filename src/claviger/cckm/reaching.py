"""What the ways to all clouds have in common: a cloud's words in one line, and its patience."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable

from claviger.core.sensitive import Sensitive

_MOST_SAID = 500
_BLANKS = re.compile(r"[\x00-\x20\x7f]+")


def said(text: str, hidden: Iterable[Sensitive] = ()) -> str:
    """A cloud's words as one line of bounded length, with the hidden values struck out."""
    for value in hidden:
        if len(value):
            text = text.replace(value.reveal().decode(errors="replace"), "<hidden>")
    line = _BLANKS.sub(" ", text).strip().rstrip(".")
    return line if len(line) <= _MOST_SAID else f"{line[:_MOST_SAID]}..."


def seconds_asked(retry_after: str | None) -> int:
    """What a Retry-After asks to wait, from 1 to 3600; 5 where it says nothing."""
    try:
        wait = float(retry_after or "")
    except ValueError:
        return 5
    return max(1, math.ceil(min(wait, 3600.0))) if wait >= 0 else 5
