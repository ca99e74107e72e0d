"""Log lines: one per event, and no exception's text in them."""

from __future__ import annotations

import gc
import io
import json
import logging
import sys
import threading

import pytest

from claviger.core.errors import Conflict
from claviger.server.logs import OneLine, describe_failure, log_what_python_would_print, set_up_logging


def failure() -> BaseException:
    """An exception with secrets in it and in its cause."""
    try:
        try:
            raise KeyError("s3cr3t one")
        except KeyError as cause:
            raise ValueError("s3cr3t two") from cause
    except ValueError as caught:
        return caught


def record(message: str, *args: object, caught: BaseException | None = None) -> logging.LogRecord:
    """A record as the logging module makes it."""
    info = (type(caught), caught, caught.__traceback__) if caught else None
    made = logging.LogRecord("claviger.x", logging.ERROR, "f.py", 1, message, args, info)
    made.created, made.msecs = 1_700_000_000.25, 250.0
    return made


def test_a_failure_is_told_by_kind_and_place() -> None:
    told = describe_failure(failure())
    assert told.startswith("ValueError at failure test_server_logs.py:")
    assert "after KeyError at failure test_server_logs.py:" in told
    assert "s3cr3t" not in told


def test_a_refusal_of_ours_is_told_with_its_facts() -> None:
    assert "NameTaken (name=x)" in describe_failure(Conflict("NameTaken", name="x"))


def test_a_line_is_one_line() -> None:
    line = OneLine().format(record("a\nb %s", "c\r\nd\x1b[31m"))
    assert line == "2023-11-14T22:13:20.250Z error claviger.x: a\\nb c\\r\\nd\\x1b[31m"


def test_a_traceback_is_never_printed() -> None:
    for formatter in (OneLine(), OneLine(as_json=True)):
        line = formatter.format(record("it broke", caught=failure()))
        assert "s3cr3t" not in line
        assert "ValueError at failure" in line
        assert "\n" not in line


def test_json() -> None:
    told = json.loads(OneLine(as_json=True).format(record("a\nb")))
    assert told == {"at": "2023-11-14T22:13:20.250Z", "level": "error", "part": "claviger.x", "message": "a\nb"}


@pytest.fixture
def _restored():
    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = before
    for name in ("claviger", "uvicorn"):
        logging.getLogger(name).setLevel(logging.NOTSET)


@pytest.mark.usefixtures("_restored")
def test_set_up(monkeypatch: pytest.MonkeyPatch) -> None:
    said = io.StringIO()
    monkeypatch.setattr(sys, "stderr", said)
    set_up_logging("info")
    set_up_logging("info")
    logging.getLogger("claviger.part").info("ours")
    logging.getLogger("claviger.part").debug("too fine")
    logging.getLogger("other").info("not ours")
    logging.getLogger("other").warning("but this")
    assert [line.split(": ")[1] for line in said.getvalue().splitlines()] == ["ours", "but this"]


class _Spiteful:
    def __del__(self) -> None:
        raise ValueError("s3cr3t")


@pytest.mark.usefixtures("_restored")
def test_failures_that_nobody_catches(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    gc.collect()  # what other tests have left behind is not to be told here
    for hook, of in ((sys, "excepthook"), (sys, "unraisablehook"), (threading, "excepthook")):
        monkeypatch.setattr(hook, of, getattr(hook, of))
    said = io.StringIO()
    monkeypatch.setattr(sys, "stderr", said)
    set_up_logging("info")
    log_what_python_would_print()

    def fail() -> None:
        raise KeyError("s3cr3t")

    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()
    spiteful = _Spiteful()
    del spiteful
    sys.excepthook(ValueError, failure(), None)
    lines = said.getvalue().splitlines()
    assert [" error claviger.server.logs: nobody caught this: " in line for line in lines] == [True] * 3, lines
    assert "KeyError at fail " in lines[0]
    assert "ValueError at __del__ " in lines[1]
    assert "s3cr3t" not in said.getvalue()
