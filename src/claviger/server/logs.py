"""Logging that cannot leak: one line per event on standard error, and failures told by place and kind, never by value.

An exception's text may hold anything that passed through the code which raised it, so it is left out; the places in the
code are kept. A refusal of our own family is the exception to that: its facts are printable by contract.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
import time
import traceback
from types import TracebackType

from claviger.core.errors import Refusal

logger = logging.getLogger(__name__)

_FRAMES = 12
_ESCAPED = {code: repr(chr(code))[1:-1] for code in (*range(32), *range(127, 160))}  # no line breaks, no terminal codes


def _places(trace: TracebackType | None) -> str:
    frames = traceback.extract_tb(trace)[-_FRAMES:]
    return " < ".join(f"{frame.name} {frame.filename.rpartition('/')[2]}:{frame.lineno}" for frame in reversed(frames))


def describe_failure(failure: BaseException) -> str:
    """The kind of an exception and the places it came through, innermost first; of its text nothing."""
    told = [f"{type(failure).__name__} at {_places(failure.__traceback__) or 'an unknown place'}"]
    if isinstance(failure, Refusal):
        told.append(str(failure))
    cause = failure.__cause__ or (None if failure.__suppress_context__ else failure.__context__)
    if cause is not None and cause is not failure:
        told.append(f"after {type(cause).__name__} at {_places(cause.__traceback__) or 'an unknown place'}")
    return "; ".join(told)


class OneLine(logging.Formatter):
    """One line per record, plain or JSON, in UTC; line breaks inside it are escaped, exceptions only described."""

    def __init__(self, as_json: bool = False) -> None:
        super().__init__()
        self._as_json = as_json

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line."""
        message = record.getMessage()
        if record.exc_info and record.exc_info[1] is not None:
            message = f"{message}: {describe_failure(record.exc_info[1])}"
        at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z"
        if self._as_json:
            return json.dumps({"at": at, "level": record.levelname.lower(), "part": record.name, "message": message})
        return f"{at} {record.levelname.lower()} {record.name}: {message.translate(_ESCAPED)}"


def set_up_logging(level: str = "info", as_json: bool = False) -> None:
    """Sends the records of Claviger, and the warnings of everything else, to standard error. For a program's start."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(OneLine(as_json))
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(logging.WARNING)
    logging.getLogger("claviger").setLevel(level.upper())
    logging.getLogger("uvicorn").setLevel(logging.WARNING)


def log_what_python_would_print() -> None:
    """Has failures that nobody catches logged, by kind and place as all others; Python would print their text as well.

    For a program that runs on, and for all of it: threads, destructors and callbacks from C included.
    """
    sys.excepthook = lambda _, failure, __: _log_uncaught(failure)
    threading.excepthook = lambda told: _log_uncaught(told.exc_value)
    sys.unraisablehook = lambda told: _log_uncaught(told.exc_value)


def _log_uncaught(failure: BaseException | None) -> None:
    if failure is None:
        return
    # A client that names no host but bytes in its TLS greeting, which Python fails to decode: its fault, not ours.
    greeting = isinstance(failure, UnicodeDecodeError) and _places(failure.__traceback__).startswith("do_handshake ")
    logger.log(logging.DEBUG if greeting else logging.ERROR, "nobody caught this: %s", describe_failure(failure))
