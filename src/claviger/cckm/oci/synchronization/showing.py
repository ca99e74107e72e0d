"""How a job of OCI's keys becomes what callers see (CCKM contract §12)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import UNSET

from claviger.cckm.oci.synchronization.wire import (
    BrakedOciVault,
    FailedOciVault,
    OciProgressShown,
    OciSynchronizationShown,
    OciVaultOutcome,
)
from claviger.cckm.synchronization.records import VaultOfJob
from claviger.cckm.synchronization.showing import job_fields, outcome_fields, pace_of, progress_fields
from claviger.jobs.runs import Run


def shown(run: Run, of_job: Sequence[VaultOfJob], now: float, *, whole: bool = False) -> OciSynchronizationShown:
    """A job with these of its vaults; `whole`: with what came of each of them."""
    return OciSynchronizationShown(
        **job_fields(run, of_job),
        vaults=[each.vault_id for each in of_job],
        progress=_progress(run, of_job, now),
        outcomes=[_outcome(each) for each in of_job] if whole else UNSET,
    )


def _progress(run: Run, of_job: Sequence[VaultOfJob], now: float) -> OciProgressShown:
    pace = pace_of(run, of_job, now)
    return OciProgressShown(
        **progress_fields(pace),
        keys_done=pace.progress.done,
        keys_total=pace.progress.total,
        failed_items=[FailedOciVault(**_named(each), message=each.outcome.message) for each in pace.failed],
        brake=[
            BrakedOciVault(**_named(each), **msgspec.structs.asdict(each.outcome.brake))
            for each in pace.failed
            if each.outcome.brake is not None
        ],
    )


def _outcome(each: VaultOfJob) -> OciVaultOutcome:
    return OciVaultOutcome(**_named(each), **outcome_fields(each), keys=each.outcome.read)


def _named(each: VaultOfJob) -> dict[str, Any]:
    return {"vault_name": each.name, "cckm_vault_id": each.vault_id}
