"""How far a job is, as every cloud's jobs show it (CCKM contract §12; what is beyond it is our own)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec
from msgspec import UNSET, UnsetType

from claviger.cckm.resource import timestamp
from claviger.cckm.synchronization.progress import Progress
from claviger.cckm.synchronization.records import VaultOfJob
from claviger.cckm.synchronization.rules import FAILED, IN_PROGRESS
from claviger.jobs.runs import Run

MOST_NAMED = 100


class Pace(msgspec.Struct, frozen=True):
    """A job's progress with what follows from it: things a second, seconds left, until when a cloud holds it up."""

    progress: Progress
    vaults_total: int
    rate: float
    time_left_s: int | UnsetType
    throttled_until: str | UnsetType
    failed: Sequence[VaultOfJob]


def pace_of(run: Run, of_job: Sequence[VaultOfJob], now: float) -> Pace:
    """How far a job is. `failed` are at most 100 of its vaults."""
    progress = msgspec.json.decode(run.progress, type=Progress)
    is_open = run.state == IN_PROGRESS
    until = now if is_open else run.completed_at or now
    passed = until - progress.began_at
    here = progress.done - progress.done_before
    rate = here / passed if progress.began_at and passed > 0 else 0.0
    left = progress.total - progress.done
    throttled = progress.throttled_until
    return Pace(
        progress=progress,
        vaults_total=progress.vaults_total or len(of_job),
        rate=round(rate, 1),
        time_left_s=math.ceil(left / rate) if is_open and rate > 0 else UNSET,
        throttled_until=timestamp(throttled) if is_open and throttled is not None and throttled > now else UNSET,
        failed=[each for each in of_job if each.state == FAILED][:MOST_NAMED],
    )
