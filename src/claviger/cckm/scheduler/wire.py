"""Job configurations and jobs as they are on the wire (CCKM contract §9)."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import msgspec
from msgspec import UNSET, UnsetType

from claviger.cckm.resource import Header
from claviger.cckm.scheduler.rules import LONGEST_CRON, LONGEST_IDENT, LONGEST_NAME, LONGEST_TEXT, MOST_VAULTS

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST_NAME)]
Text = Annotated[str, msgspec.Meta(max_length=LONGEST_TEXT)]
Label = Annotated[Name, msgspec.Meta(description="What the job is called.", examples=["nightly"])]
Operation = Annotated[Name, msgspec.Meta(description="What is to be done.", examples=["cckm_synchronization"])]
Cron = Annotated[str, msgspec.Meta(max_length=LONGEST_CRON)]
Date = Annotated[str, msgspec.Meta(max_length=64)]
Period = Annotated[str, msgspec.Meta(max_length=16)]
Cloud = Annotated[Name, msgspec.Meta(description="Which cloud's vaults.", examples=["AzureCloud"])]
Vaults = Annotated[
    list[Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST_IDENT)]],
    msgspec.Meta(max_length=MOST_VAULTS, description="Vaults, by id or name."),
]
Moment = Annotated[str, msgspec.Meta(description="RFC 3339, UTC.", examples=["2027-01-15T03:00:00Z"])]
Status = Annotated[
    Literal["in_progress", "completed", "failed"], msgspec.Meta(description="How far the job, or what it started, is.")
]


class SynchronizationParams(msgspec.Struct, frozen=True, kw_only=True):
    """What to synchronize: vaults (`key_vaults` of Azure, `oci_vaults` of OCI), or `synchronize_all`.

    In a change, a choice replaces the one before.
    """

    cloud_name: Cloud | None = None
    key_vaults: Vaults = []
    oci_vaults: Vaults = []
    synchronize_all: bool | None = None
    take_cloud_key_backup: bool | None = None


class RotationParams(msgspec.Struct, frozen=True, kw_only=True):
    """How keys are rotated. Periods are days or hours (`90d`, `12h`); in a change an empty one takes it away.

    `rotation_after` is the age at which a key's current version is replaced; without it every run rotates every key.
    With `expire_in` only those are rotated that expire within it, `expiration` after their current version was made.
    """

    blank_counts: ClassVar[frozenset[str]] = frozenset({"expiration", "expire_in", "rotation_after"})

    cloud_name: Cloud | None = None
    expiration: Period | UnsetType = UNSET
    expire_in: Period | UnsetType = UNSET
    rotation_after: Period | UnsetType = UNSET


class CreateJobConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What makes a job configuration. Dates are RFC 3339; the year 1 (Go's zero time) means none."""

    name: Label
    operation: Operation
    run_at: Cron
    run_on: Name | None = None
    disabled: bool = False
    start_date: Date | None = None
    end_date: Date | None = None
    description: Text = ""
    cckm_synchronization_params: SynchronizationParams | None = None
    cckm_key_rotation_params: RotationParams | None = None


class PatchJobConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What changes a job configuration. What is absent, null or empty stays; Go's zero time takes a date away."""

    name: Label | None = None
    operation: Operation | None = None
    run_at: Cron | None = None
    run_on: Name | None = None
    disabled: bool | None = None
    start_date: Date | None = None
    end_date: Date | None = None
    description: Text | None = None
    cckm_synchronization_params: SynchronizationParams | None = None
    cckm_key_rotation_params: RotationParams | None = None


class JobConfigParams(msgspec.Struct, frozen=True, kw_only=True):
    """The parameters of a job configuration, of whichever operation: those that it has."""

    cloud_name: Cloud
    key_vaults: Vaults | UnsetType = UNSET
    oci_vaults: Vaults | UnsetType = UNSET
    synchronize_all: bool | UnsetType = UNSET
    take_cloud_key_backup: bool | UnsetType = UNSET
    expiration: Period | UnsetType = UNSET
    expire_in: Period | UnsetType = UNSET
    rotation_after: Period | UnsetType = UNSET


class JobConfigShown(Header, frozen=True, kw_only=True):
    """A job configuration. `next_run_at` is absent where nothing is due: disabled, or past its end date."""

    name: Label
    operation: Operation
    run_at: Cron
    run_on: Name
    disabled: bool
    description: str
    start_date: Date | UnsetType = UNSET
    end_date: Date | UnsetType = UNSET
    job_config_params: Annotated[JobConfigParams, msgspec.Meta(description="The parameters of its operation.")]
    created_by: str
    next_run_at: Annotated[Moment, msgspec.Meta(description="When it is due next.")] | UnsetType = UNSET


class JobShown(Header, frozen=True, kw_only=True):
    """A job: one run of a configuration. `due_at` is absent where it was run by hand.

    `synchronization_id` is the synchronization job that does the work, and has its details; it is absent where that
    could not be started. `skipped_count` are due runs that were left out because this one was still in progress.
    """

    job_config_id: Annotated[str, msgspec.Meta(description="The configuration that it is of.")]
    name: Label
    operation: Operation
    status: Status
    message: Annotated[str, msgspec.Meta(description="What is to be said about it, if anything.")]
    due_at: Annotated[Moment, msgspec.Meta(description="When it was due.")] | UnsetType = UNSET
    started_at: Annotated[Moment, msgspec.Meta(description="When it was started.")] | UnsetType = msgspec.field(
        default=UNSET, name="startedAt"
    )
    finished_at: Annotated[Moment, msgspec.Meta(description="When it ended.")] | UnsetType = msgspec.field(
        default=UNSET, name="finishedAt"
    )
    synchronization_id: Annotated[str, msgspec.Meta(description="The synchronization job.")] | UnsetType = UNSET
    skipped_count: Annotated[int, msgspec.Meta(description="How many due runs were left out because of it.")] = 0


class OperationShown(msgspec.Struct, frozen=True, kw_only=True):
    """An operation of the product. `clouds` are those that this server has it for; `supported` is false for none."""

    name: Operation
    description: Annotated[str, msgspec.Meta(description="What it does.")]
    supported: Annotated[bool, msgspec.Meta(description="Whether this server has it, for any cloud.")]
    clouds: Annotated[list[str], msgspec.Meta(description="For which clouds this server has it.")]
