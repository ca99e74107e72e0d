"""How a job of Azure's secrets becomes what callers see (CCKM contract §12)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import UNSET

from claviger.cckm.azure.synchronization.wire import (
    BrakedVault,
    FailedVault,
    ProgressShown,
    SynchronizationShown,
    VaultShown,
)
from claviger.cckm.synchronization.records import VaultOfJob
from claviger.cckm.synchronization.runner import request_of
from claviger.cckm.synchronization.showing import job_fields, outcome_fields, pace_of, progress_fields
from claviger.jobs.runs import Run


def shown(run: Run, of_job: Sequence[VaultOfJob], now: float, *, whole: bool = False) -> SynchronizationShown:
    """A job with these of its vaults; `whole`: with what came of each of them."""
    return SynchronizationShown(
        **job_fields(run, of_job),
        key_vaults=[each.name for each in of_job],
        all_versions=request_of(run).all_versions,
        progress=_progress(run, of_job, now),
        vaults=[_vault(each) for each in of_job] if whole else UNSET,
    )


def _progress(run: Run, of_job: Sequence[VaultOfJob], now: float) -> ProgressShown:
    pace = pace_of(run, of_job, now)
    return ProgressShown(
        **progress_fields(pace),
        secrets_done=pace.progress.done,
        secrets_total=pace.progress.total,
        failed_items=[FailedVault(**_named(each), message=each.outcome.message) for each in pace.failed],
        brake=[
            BrakedVault(**_named(each), **msgspec.structs.asdict(each.outcome.brake))
            for each in pace.failed
            if each.outcome.brake is not None
        ],
    )


def _vault(each: VaultOfJob) -> VaultShown:
    return VaultShown(**_named(each), **outcome_fields(each), secrets=each.outcome.read)


def _named(each: VaultOfJob) -> dict[str, Any]:
    return {"key_vault": each.name, "key_vault_id": each.vault_id}
