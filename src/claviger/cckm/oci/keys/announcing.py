"""Notices of what was done to keys and versions: emitted by the very transaction that ends an operation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from claviger.cckm.notices.announcing import Notices
from claviger.cckm.notices.rules import Type
from claviger.cckm.notices.wire import DeletionCancelled, DeletionScheduled, FailedRotation, Rotated
from claviger.cckm.oci.keys.rules import CCKM, NATIVE, Operation
from claviger.cckm.oci.keys.work import Outcome, Work
from claviger.cckm.oci.vaults.records import OciVault
from claviger.cckm.resource import seconds, uri
from claviger.core.errors import Refusal
from claviger.store.contract import Tx

Told = tuple[Type, msgspec.Struct]


def concluded(tx: Tx, notices: Notices | None, vault: OciVault, work: Work, outcome: Outcome) -> None:
    """Tells of an operation that has led to what was wanted, where that is worth a notice."""
    maker = _MAKERS.get(work.operation.removeprefix("version-"))
    told = None if maker is None else maker(vault, work, outcome)
    if notices is not None and told is not None:
        _emit(tx, notices, vault, work, told)


def refused(tx: Tx, notices: Notices | None, vault: OciVault, work: Work, problem: Refusal) -> None:
    """Tells of a rotation that has failed."""
    if notices is None or work.operation != Operation.ADD_VERSION.value:
        return
    reason = str(problem.facts.get("message") or problem.reason)
    data = FailedRotation(**_of_key(vault, work), by=work.user_id, reason=reason)
    _emit(tx, notices, vault, work, (Type.FAILED_ROTATION, data))


def _emit(tx: Tx, notices: Notices, vault: OciVault, work: Work, told: Told) -> None:
    is_about_key = work.operation == Operation.ADD_VERSION.value
    kind, ident = ("oci-key", work.key_id) if is_about_key else work.record
    notices.emit(tx, vault.domain_id, told[0], uri("cckm", kind, ident, ""), told[1], object_key=ident)


def _scheduled(vault: OciVault, work: Work, outcome: Outcome) -> Told | None:
    at = outcome.versions[0].deletes_at if work.version_id else outcome.key and outcome.key.deletes_at
    if at is None:
        return None
    data = DeletionScheduled(**_of_record(vault, work), final_at=seconds(at), by=work.user_id)
    return Type.DELETION_SCHEDULED, data


def _cancelled(vault: OciVault, work: Work, outcome: Outcome) -> Told:
    return Type.DELETION_CANCELLED, DeletionCancelled(**_of_record(vault, work), by=work.user_id)


def _rotated(vault: OciVault, work: Work, outcome: Outcome) -> Told:
    origin = CCKM if work.source_key_id else NATIVE
    version = outcome.versions[0].ocid
    return Type.ROTATED, Rotated(**_of_key(vault, work), version=version, origin=origin, by=work.user_id)


_MAKERS: Mapping[str, Callable[[OciVault, Work, Outcome], Told | None]] = {
    Operation.SCHEDULE_DELETION.value: _scheduled,
    Operation.CANCEL_DELETION.value: _cancelled,
    Operation.ADD_VERSION.value: _rotated,
}


def _of_key(vault: OciVault, work: Work) -> dict[str, Any]:
    return {"cloud": "oci", "id": work.key_id, "name": work.name, "vault": vault.name, "vault_id": vault.id}


def _of_record(vault: OciVault, work: Work) -> dict[str, Any]:
    _, ident = work.record
    return _of_key(vault, work) | {"id": ident, "version": work.version_ocid}
