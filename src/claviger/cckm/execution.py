"""What operations in any cloud share between their committed intent and its end: how long calls take, and how one that
came to nothing, or to nobody knows what, is left (docs/decisions/0007-durable-operations.md).

What is done, asked and saved, and what is safe to do once more, is each cloud's own: `azure/secrets/execution.py`,
`oci/keys/execution.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import TypeVar

from claviger.audit.trail import DONE, OPEN, staged, write_refused
from claviger.cckm.errors import kind_of
from claviger.core.errors import Refusal, Unavailable
from claviger.jobs.intents import Intents
from claviger.jobs.records import Intent
from claviger.store.contract import Store, Tx

T = TypeVar("T")

ACT_LIMIT_S = 120.0
ASK_LIMIT_S = 30.0
SPARE_S = 60.0
"""What a lease has beyond the limits of its calls."""
UNDECIDED = "CloudUndecided"


async def asked_in_time(question: Awaitable[T], cloud: str) -> T:
    """The answer. Raises Unavailable("CloudUnreachable") where it takes too long."""
    try:
        async with asyncio.timeout(ASK_LIMIT_S):
            return await question
    except TimeoutError:
        raise Unavailable("CloudUnreachable", message=f"{cloud} did not answer in time") from None


async def write_given_up(store: Store, change: Callable[[Tx], None], problem: Refusal) -> None:
    """Ends an intent with nothing done, by `change`, and the record of why."""

    def last(tx: Tx) -> None:
        staged(DONE)
        change(tx)

    await write_refused(store, last, problem, kind_of(problem).status)


async def left_open(intents: Intents, intent: Intent, doubt: Refusal, cloud: str) -> Unavailable:
    """Leaves to the finisher what may have been done; what its caller is told."""
    staged(OPEN)
    await intents.let_go(intent, doubt, sent=True)
    said = doubt.facts.get("message", "")
    return Unavailable(
        UNDECIDED, message=f"{said}; the operation stays open and is finished as soon as {cloud} answers"
    )


async def done_or_let_go(doing: Awaitable[T], intents: Intents, intent: Intent) -> T:
    """What `doing` comes to. Where it fails, nobody has to await the lease of what is still open."""
    try:
        return await doing
    except Exception as failure:
        refusal = failure if isinstance(failure, Refusal) else Unavailable("OperationFailed")
        with contextlib.suppress(Refusal):  # where it has ended nothing happens now
            staged(OPEN)
            await intents.let_go(intent, refusal)
        raise
