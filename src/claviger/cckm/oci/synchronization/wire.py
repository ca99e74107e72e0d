"""Synchronisation jobs of OCI's keys on the wire (CCKM contract §12, OCI §7; what is beyond them is our own)."""

from __future__ import annotations

import msgspec
from msgspec import UNSET, UnsetType

from claviger.cckm.resource import Header


class StartOciSynchronization(msgspec.Struct, frozen=True, kw_only=True):
    """Which vaults to synchronise: `vaults` (ids or names), or all that the caller may synchronise.

    `override_brake` lets through what the brake would stop.
    """

    vaults: list[str] = []
    synchronize_all: bool = False
    override_brake: bool = False


class FailedOciVault(msgspec.Struct, frozen=True, kw_only=True):
    """A vault that could not be synchronised. Its records are as they were."""

    vault_name: str
    cckm_vault_id: str
    message: str


class BrakedOciVault(msgspec.Struct, frozen=True, kw_only=True):
    """A vault that the brake stopped: so many of the keys known of it would have been marked gone."""

    vault_name: str
    cckm_vault_id: str
    would_be_gone: int
    known: int
    allowed_percent: int


class OciProgressShown(msgspec.Struct, frozen=True, kw_only=True):
    """How far a job is. `keys_total` is what is known to be there; `rate` is keys a second."""

    vaults_done: int
    vaults_total: int
    keys_done: int
    keys_total: int
    added: int
    changed: int
    gone: int
    left: int
    calls: int
    throttled: int
    rate: float
    time_left_s: int | UnsetType = UNSET
    throttled_until: str | UnsetType = UNSET
    failed_items: list[FailedOciVault]
    brake: list[BrakedOciVault]


class OciVaultOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one vault. `left`: keys that were being changed here meanwhile; the next job sees to them."""

    vault_name: str
    cckm_vault_id: str
    status: str
    message: str
    keys: int
    added: int
    changed: int
    gone: int
    left: int


class OciSynchronizationShown(Header, frozen=True, kw_only=True):
    """A synchronisation job. `detailed_status` tells of each vault, by name; `outcomes` only where one job is read."""

    overall_status: str
    detailed_status: dict[str, str]
    cloud: str = "oci"
    vaults: list[str]
    synchronize_all: bool
    override_brake: bool
    abort: bool
    message: str
    created_by: str
    started_at: str | UnsetType = UNSET
    completed_at: str | UnsetType = UNSET
    progress: OciProgressShown
    outcomes: list[OciVaultOutcome] | UnsetType = UNSET
