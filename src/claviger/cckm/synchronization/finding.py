"""What a job finds changed without us: it goes on the drift list, and whoever wants to know is told, in one change."""

from __future__ import annotations

from typing import Generic, TypeVar

import msgspec

from claviger.cckm.drift.records import Finding, Findings
from claviger.cckm.notices import wire as notices_wire
from claviger.cckm.notices.announcing import Notices
from claviger.cckm.notices.rules import Type
from claviger.cckm.resource import timestamp
from claviger.cckm.vaults.records import ManagedVault
from claviger.store.contract import Tx

V = TypeVar("V", bound=ManagedVault)


class Job(msgspec.Struct, Generic[V], frozen=True):
    """Whose work it is, on which vault. `is_first`: nothing was known before, so nothing that is met is drift."""

    vault: V
    run_id: str
    by: str
    began_at: float
    is_first: bool = False


class Thing(msgspec.Struct, frozen=True):
    """The record that a finding is about, as notices name it; `subject` is its uri."""

    cloud: str
    subject: str
    id: str
    name: str
    version: str


def note(tx: Tx, findings: Findings, finding: Finding, job: Job[V], thing: Thing, notices: Notices | None) -> None:
    """Keeps a finding, in place of an older one about the same thing, and tells of it."""
    findings.put(tx, finding)
    if notices is None:
        return
    vault = job.vault
    data = notices_wire.Drift(
        cloud=thing.cloud,
        id=thing.id,
        name=thing.name,
        version=thing.version,
        vault=vault.name,
        vault_id=vault.id,
        change=finding.kind,
        fields=sorted(finding.fields),
        since=timestamp(finding.since),
        job_id=job.run_id,
    )
    notices.emit(tx, vault.domain_id, Type.DRIFT, thing.subject, data, object_key=thing.id)
