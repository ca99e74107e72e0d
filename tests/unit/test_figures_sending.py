"""How the trials tell a late answer from one that they themselves were late to look at."""

from __future__ import annotations

import asyncio
import time

import pytest

from figures.sending import in_time


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
