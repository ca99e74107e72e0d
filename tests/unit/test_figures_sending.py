"""How the trials tell a late answer from one that they themselves were late to look at."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from figures import patience
from figures.patience import Patience, in_time


async def test_what_came_while_the_trial_was_held_up_is_not_late() -> None:
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[str] = loop.create_future()

    async def reading() -> str:
        said = await answer
        await asyncio.sleep(0)  # as a reader that has more than one step to go
        return said

    def held_up() -> None:
        answer.set_result("in time")
        time.sleep(0.4)

    loop.call_later(0.05, held_up)
    assert await in_time(asyncio.create_task(reading()), 0.2) == "in time"


async def test_what_never_comes_is_late_and_given_up() -> None:
    work = asyncio.create_task(asyncio.Event().wait())
    with pytest.raises(TimeoutError):
        await in_time(work, 0.1)
    await asyncio.wait({work})
    assert work.cancelled()


async def test_what_fails_is_told_as_it_failed() -> None:
    async def failing() -> None:
        raise OSError("closed")

    with pytest.raises(OSError, match="closed"):
        await in_time(asyncio.create_task(failing()), 1.0)


def test_seconds_in_which_the_machine_was_short_of_processors_do_not_count(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pressure = tmp_path / "cpu"
    pressure.write_text("some avg10=0.00 avg60=0.00 avg300=0.00 total=7000000\nfull avg10=0.00 total=0\n")
    monkeypatch.setattr(patience, "PRESSURE", pressure)
    waiting = Patience(5.0)
    assert waiting.allowed_s == 5.0  # a calm machine: what hangs, hangs
    pressure.write_text("some avg10=99.00 avg60=9.00 avg300=1.00 total=9500000\nfull avg10=0.00 total=0\n")
    assert waiting.allowed_s == 7.5
    pressure.write_text("some avg10=99.00 avg60=9.00 avg300=1.00 total=999000000\nfull avg10=0.00 total=0\n")
    assert waiting.allowed_s == 5.0 * patience.MOST_TIMES  # and has an end on a busy one too
    monkeypatch.setattr(patience, "PRESSURE", tmp_path / "elsewhere")
    assert Patience(5.0).allowed_s == 5.0
