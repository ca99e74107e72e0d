"""The blocks of parameters in a job configuration's body: which one an operation takes, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import msgspec
from msgspec import UNSET

from claviger.cckm.scheduler.rules import OCI, ROTATION, SYNCHRONIZATION, Params
from claviger.cckm.scheduler.wire import JobConfigParams, RotationParams, SynchronizationParams

BLOCKS: Mapping[str, str] = {SYNCHRONIZATION: "cckm_synchronization_params", ROTATION: "cckm_key_rotation_params"}
"""Operation -> the block that it takes."""


class Asked(Protocol):
    """A body with blocks."""

    @property
    def cckm_synchronization_params(self) -> SynchronizationParams | None: ...
    @property
    def cckm_key_rotation_params(self) -> RotationParams | None: ...


def problems_of(asked: Asked, operation: str, *, is_new: bool) -> dict[str, str]:
    """What is wrong with which blocks were given: its own is required of a new configuration, others never fit."""
    own = BLOCKS.get(operation)
    if own is None:
        return {}
    problems = {}
    if is_new and getattr(asked, own) is None:
        problems[own] = "is required for this operation"
    for block in BLOCKS.values():
        if block != own and getattr(asked, block) is not None:
            problems[block] = f"is not for {operation}, which takes {own}"
    return problems


def merged_rotation(known: Params, given: RotationParams) -> Params:
    """Parameters of a rotation with what was given; an empty text takes a setting away."""
    return msgspec.structs.replace(
        known,
        cloud_name=given.cloud_name or known.cloud_name,
        expiration=known.expiration if given.expiration is UNSET else given.expiration,
        expire_in=known.expire_in if given.expire_in is UNSET else given.expire_in,
        rotation_after=known.rotation_after if given.rotation_after is UNSET else given.rotation_after,
    )


def shown(params: Params, operation: str) -> JobConfigParams:
    """Parameters as they are on the wire: those that the operation has."""
    if operation == ROTATION:
        return JobConfigParams(
            cloud_name=params.cloud_name,
            expiration=params.expiration,
            expire_in=params.expire_in,
            rotation_after=params.rotation_after,
        )
    return JobConfigParams(
        cloud_name=params.cloud_name,
        key_vaults=UNSET if params.cloud_name == OCI else list(params.key_vaults),
        oci_vaults=list(params.oci_vaults) if params.cloud_name == OCI else UNSET,
        synchronize_all=params.synchronize_all,
        take_cloud_key_backup=params.take_cloud_key_backup,
    )
