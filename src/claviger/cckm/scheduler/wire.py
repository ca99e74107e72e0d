"""Job configurations and jobs as they are on the wire (CCKM contract §9)."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import UNSET, UnsetType

from claviger.cckm.resource import Header
from claviger.cckm.scheduler.rules import LONGEST_CRON, LONGEST_IDENT, LONGEST_NAME, LONGEST_TEXT, MOST_VAULTS

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST_NAME)]
Text = Annotated[str, msgspec.Meta(max_length=LONGEST_TEXT)]
Cron = Annotated[
    str,
    msgspec.Meta(
        max_length=LONGEST_CRON,
        description="When to run, in UTC: minute, hour, day of month, month, day of week, as in cron.",
        examples=["0 3 * * sun"],
    ),
]
Date = Annotated[str, msgspec.Meta(max_length=64)]
Vaults = Annotated[
    list[Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST_IDENT)]],
    msgspec.Meta(max_length=MOST_VAULTS, description="Vaults, by id or name."),
]


class SynchronizationParams(msgspec.Struct, frozen=True, kw_only=True):
    """What to synchronize: `key_vaults`, or `synchronize_all`. In a change, a choice replaces the one before."""

    cloud_name: Name | None = None
    key_vaults: Vaults = []
    synchronize_all: bool | None = None
    take_cloud_key_backup: bool | None = None


class CreateJobConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What makes a job configuration. Dates are RFC 3339; the year 1 (Go's zero time) means none."""

    name: Name
    operation: Name
    run_at: Cron
    run_on: Name | None = None
    disabled: bool = False
    start_date: Date | None = None
    end_date: Date | None = None
    description: Text = ""
    cckm_synchronization_params: SynchronizationParams | None = None


class PatchJobConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What changes a job configuration. What is absent, null or empty stays; Go's zero time takes a date away."""

    name: Name | None = None
    operation: Name | None = None
    run_at: Cron | None = None
    run_on: Name | None = None
    disabled: bool | None = None
    start_date: Date | None = None
    end_date: Date | None = None
    description: Text | None = None
    cckm_synchronization_params: SynchronizationParams | None = None


class JobConfigParams(msgspec.Struct, frozen=True, kw_only=True):
    """The parameters of a job configuration, whatever its operation is."""

    cloud_name: str
    key_vaults: list[str]
    synchronize_all: bool
    take_cloud_key_backup: bool


class JobConfigShown(Header, frozen=True, kw_only=True):
    """A job configuration. `next_run_at` is absent where nothing is due: disabled, or past its end date."""

    name: str
    operation: str
    run_at: str
    run_on: str
    disabled: bool
    description: str
    start_date: str | UnsetType = UNSET
    end_date: str | UnsetType = UNSET
    job_config_params: JobConfigParams
    created_by: str
    next_run_at: str | UnsetType = UNSET


class JobShown(Header, frozen=True, kw_only=True):
    """A job: one run of a configuration. `due_at` is absent where it was run by hand.

    `synchronization_id` is the synchronization job that does the work, and has its details; it is absent where that
    could not be started. `skipped_count` are due runs that were left out because this one was still in progress.
    """

    job_config_id: str
    name: str
    operation: str
    status: str
    message: str
    due_at: str | UnsetType = UNSET
    started_at: str | UnsetType = msgspec.field(default=UNSET, name="startedAt")
    finished_at: str | UnsetType = msgspec.field(default=UNSET, name="finishedAt")
    synchronization_id: str | UnsetType = UNSET
    skipped_count: int = 0


class OperationShown(msgspec.Struct, frozen=True, kw_only=True):
    """An operation of the product. `clouds` are those that this server has it for; `supported` is false for none."""

    name: str
    description: str
    supported: bool
    clouds: list[str]
