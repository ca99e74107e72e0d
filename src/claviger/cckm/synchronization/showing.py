"""What every cloud's jobs show alike (CCKM contract §12; what is beyond it is our own).

Each function gives the arguments that the clouds' structs share; what a cloud calls its vaults and things in a way of
its own stands beside it, in that cloud's `showing`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from claviger.cckm.resource import header, timestamp
from claviger.cckm.synchronization.progress import Progress
from claviger.cckm.synchronization.records import VaultOfJob
from claviger.cckm.synchronization.rules import FAILED, IN_PROGRESS, shown_status
from claviger.cckm.synchronization.runner import URI_KIND, request_of
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


def job_fields(run: Run, of_job: Sequence[VaultOfJob]) -> dict[str, Any]:
    """How a job stands, with these of its vaults."""
    request = request_of(run)
    return {
        **header("cckm", URI_KIND, run.id, "", run.domain_id, run.created_at, run.updated_at),
        "overall_status": run.state,
        "detailed_status": {each.name: shown_status(each.state) for each in of_job},
        "synchronize_all": request.synchronize_all,
        "override_brake": request.override_brake,
        "abort": run.abort,
        "message": run.message,
        "created_by": run.by,
        "started_at": UNSET if run.started_at is None else timestamp(run.started_at),
        "completed_at": UNSET if run.completed_at is None else timestamp(run.completed_at),
    }


def progress_fields(pace: Pace) -> dict[str, Any]:
    """How far a job is."""
    progress = pace.progress
    return {
        "vaults_done": progress.vaults_done,
        "vaults_total": pace.vaults_total,
        "added": progress.added,
        "changed": progress.changed,
        "gone": progress.gone,
        "left": progress.left,
        "calls": progress.calls,
        "throttled": progress.throttled,
        "rate": pace.rate,
        "time_left_s": pace.time_left_s,
        "throttled_until": pace.throttled_until,
    }


def outcome_fields(each: VaultOfJob) -> dict[str, Any]:
    """What came of a vault."""
    outcome = each.outcome
    return {
        "status": shown_status(each.state),
        "message": outcome.message,
        "added": outcome.added,
        "changed": outcome.changed,
        "gone": outcome.gone,
        "left": outcome.left,
    }


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
