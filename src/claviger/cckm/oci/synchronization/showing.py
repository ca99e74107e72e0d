"""How a job of OCI's keys becomes what callers see (CCKM contract §12)."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec import UNSET

from claviger.cckm.oci.synchronization.wire import (
    BrakedOciVault,
    FailedOciVault,
    OciProgressShown,
    OciSynchronizationShown,
    OciVaultOutcome,
)
from claviger.cckm.resource import header, timestamp
from claviger.cckm.synchronization.records import VaultOfJob
from claviger.cckm.synchronization.rules import shown_status
from claviger.cckm.synchronization.runner import URI_KIND, Request
from claviger.cckm.synchronization.showing import pace_of
from claviger.jobs.runs import Run


def shown(run: Run, of_job: Sequence[VaultOfJob], now: float, *, whole: bool = False) -> OciSynchronizationShown:
    """A job with these of its vaults; `whole`: with what came of each of them."""
    request = msgspec.json.decode(run.request, type=Request)
    return OciSynchronizationShown(
        **header("cckm", URI_KIND, run.id, "", run.domain_id, run.created_at, run.updated_at),
        overall_status=run.state,
        detailed_status={each.name: shown_status(each.state) for each in of_job},
        vaults=[each.vault_id for each in of_job],
        synchronize_all=request.synchronize_all,
        override_brake=request.override_brake,
        abort=run.abort,
        message=run.message,
        created_by=run.by,
        started_at=UNSET if run.started_at is None else timestamp(run.started_at),
        completed_at=UNSET if run.completed_at is None else timestamp(run.completed_at),
        progress=_progress(run, of_job, now),
        outcomes=[_outcome(each) for each in of_job] if whole else UNSET,
    )


def _progress(run: Run, of_job: Sequence[VaultOfJob], now: float) -> OciProgressShown:
    pace = pace_of(run, of_job, now)
    progress = pace.progress
    return OciProgressShown(
        vaults_done=progress.vaults_done,
        vaults_total=pace.vaults_total,
        keys_done=progress.done,
        keys_total=progress.total,
        added=progress.added,
        changed=progress.changed,
        gone=progress.gone,
        left=progress.left,
        calls=progress.calls,
        throttled=progress.throttled,
        rate=pace.rate,
        time_left_s=pace.time_left_s,
        throttled_until=pace.throttled_until,
        failed_items=[
            FailedOciVault(vault_name=each.name, cckm_vault_id=each.vault_id, message=each.outcome.message)
            for each in pace.failed
        ],
        brake=[
            BrakedOciVault(
                vault_name=each.name,
                cckm_vault_id=each.vault_id,
                would_be_gone=each.outcome.brake.would_be_gone,
                known=each.outcome.brake.known,
                allowed_percent=each.outcome.brake.allowed_percent,
            )
            for each in pace.failed
            if each.outcome.brake is not None
        ],
    )


def _outcome(each: VaultOfJob) -> OciVaultOutcome:
    outcome = each.outcome
    return OciVaultOutcome(
        vault_name=each.name,
        cckm_vault_id=each.vault_id,
        status=shown_status(each.state),
        message=outcome.message,
        keys=outcome.read,
        added=outcome.added,
        changed=outcome.changed,
        gone=outcome.gone,
        left=outcome.left,
    )
