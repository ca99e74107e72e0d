"""Synchronisation jobs of secrets on the wire (CCKM contract §12, Azure §6; what is beyond them is our own)."""

from __future__ import annotations

import msgspec
from msgspec import UNSET, UnsetType

from claviger.cckm.resource import Header


class StartSynchronization(msgspec.Struct, frozen=True, kw_only=True):
    """Which vaults to synchronise: `key_vaults` (names or ids), or all that the caller may synchronise.

    `override_brake` lets through what the brake would stop; `all_versions` reads the versions of every secret, not only
    of those whose newest version has changed.
    """

    key_vaults: list[str] = []
    synchronize_all: bool = False
    override_brake: bool = False
    all_versions: bool = False


class FailedVault(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A vault that could not be synchronised. Its records are as they were."""

    key_vault: str
    key_vault_id: str
    message: str


class BrakedVault(msgspec.Struct, frozen=True, kw_only=True):
    """A vault that the brake stopped: so many of the secrets known of it would have been marked gone."""

    key_vault: str
    key_vault_id: str
    would_be_gone: int
    known: int
    allowed_percent: int


class ProgressShown(msgspec.Struct, frozen=True, kw_only=True):
    """How far a job is. `secrets_total` is what is known to be there; `rate` is secrets a second."""

    vaults_done: int
    vaults_total: int
    secrets_done: int
    secrets_total: int
    added: int
    changed: int
    gone: int
    left: int
    calls: int
    throttled: int
    rate: float
    time_left_s: int | UnsetType = UNSET
    throttled_until: str | UnsetType = UNSET
    failed_items: list[FailedVault]
    brake: list[BrakedVault]


class VaultShown(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one vault. `left`: secrets that were being changed here meanwhile; the next job sees to them."""

    key_vault: str
    key_vault_id: str
    status: str
    message: str
    secrets: int
    added: int
    changed: int
    gone: int
    left: int


class SynchronizationShown(Header, frozen=True, kw_only=True):
    """A synchronisation job. `detailed_status` tells of each vault, by name; `vaults` only where one job is read."""

    overall_status: str
    detailed_status: dict[str, str]
    cloud: str = "azure"
    key_vaults: list[str]
    synchronize_all: bool
    override_brake: bool
    all_versions: bool
    abort: bool
    message: str
    created_by: str
    started_at: str | UnsetType = UNSET
    completed_at: str | UnsetType = UNSET
    progress: ProgressShown
    vaults: list[VaultShown] | UnsetType = UNSET
