"""How a job and a finding of drift become what callers see (CCKM contract §12)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec
from msgspec import UNSET

from claviger.cckm.azure.synchronization.drift.records import Listed
from claviger.cckm.azure.synchronization.progress import Progress
from claviger.cckm.azure.synchronization.records import VaultOfJob
from claviger.cckm.azure.synchronization.rules import FAILED, IN_PROGRESS, shown_status
from claviger.cckm.azure.synchronization.runner import URI_KIND, Request
from claviger.cckm.azure.synchronization.wire import (
    BrakedVault,
    DriftShown,
    FailedVault,
    FieldDrift,
    ProgressShown,
    SynchronizationShown,
    VaultShown,
)
from claviger.cckm.azure.vaults.rules import record_name
from claviger.cckm.resource import header, timestamp
from claviger.jobs.runs import Run

MOST_NAMED = 100


def shown(run: Run, of_job: Sequence[VaultOfJob], now: float, *, whole: bool = False) -> SynchronizationShown:
    """A job with these of its vaults; `whole`: with what came of each of them."""
    request = msgspec.json.decode(run.request, type=Request)
    return SynchronizationShown(
        **header("cckm", URI_KIND, run.id, "", run.domain_id, run.created_at, run.updated_at),
        overall_status=run.state,
        detailed_status={each.name: shown_status(each.state) for each in of_job},
        key_vaults=[each.name for each in of_job],
        synchronize_all=request.synchronize_all,
        override_brake=request.override_brake,
        all_versions=request.all_versions,
        abort=run.abort,
        message=run.message,
        created_by=run.by,
        started_at=UNSET if run.started_at is None else timestamp(run.started_at),
        completed_at=UNSET if run.completed_at is None else timestamp(run.completed_at),
        progress=_progress(run, of_job, now),
        vaults=[_vault(each) for each in of_job] if whole else UNSET,
    )


def _progress(run: Run, of_job: Sequence[VaultOfJob], now: float) -> ProgressShown:
    progress = msgspec.json.decode(run.progress, type=Progress)
    is_open = run.state == IN_PROGRESS
    until = now if is_open else run.completed_at or now
    passed = until - progress.began_at
    here = progress.secrets_done - progress.secrets_before
    rate = here / passed if progress.began_at and passed > 0 else 0.0
    left = progress.secrets_total - progress.secrets_done
    throttled = progress.throttled_until
    failed = [each for each in of_job if each.state == FAILED]
    return ProgressShown(
        vaults_done=progress.vaults_done,
        vaults_total=progress.vaults_total or len(of_job),
        secrets_done=progress.secrets_done,
        secrets_total=progress.secrets_total,
        added=progress.added,
        changed=progress.changed,
        gone=progress.gone,
        left=progress.left,
        calls=progress.calls,
        throttled=progress.throttled,
        rate=round(rate, 1),
        time_left_s=math.ceil(left / rate) if is_open and rate > 0 else UNSET,
        throttled_until=timestamp(throttled) if is_open and throttled is not None and throttled > now else UNSET,
        failed_items=[
            FailedVault(key_vault=each.name, key_vault_id=each.vault_id, message=each.outcome.message)
            for each in failed[:MOST_NAMED]
        ],
        brake=[
            BrakedVault(
                key_vault=each.name,
                key_vault_id=each.vault_id,
                would_be_gone=each.outcome.brake.would_be_gone,
                known=each.outcome.brake.known,
                allowed_percent=each.outcome.brake.allowed_percent,
            )
            for each in failed[:MOST_NAMED]
            if each.outcome.brake is not None
        ],
    )


def _vault(each: VaultOfJob) -> VaultShown:
    outcome = each.outcome
    return VaultShown(
        key_vault=each.name,
        key_vault_id=each.vault_id,
        status=shown_status(each.state),
        message=outcome.message,
        secrets=outcome.secrets,
        added=outcome.added,
        changed=outcome.changed,
        gone=outcome.gone,
        left=outcome.left,
    )


def shown_drift(listed: Listed) -> DriftShown:
    """A finding."""
    finding = listed.finding
    return DriftShown(
        id=finding.id,
        kind=finding.kind,
        secret_name=finding.name,
        secret_id=finding.secret_id,
        version=listed.version,
        key_vault=record_name(listed.azure_name, listed.subscription_id),
        key_vault_id=listed.vault_id,
        fields={name: FieldDrift(was=was, now=now) for name, (was, now) in sorted(finding.fields.items())},
        since=timestamp(finding.since),
    )
