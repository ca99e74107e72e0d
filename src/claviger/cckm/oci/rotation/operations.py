"""Linking keys to the jobs that rotate them (CCKM contract, OCI §5.10), and starting such a job.

A link is a matter of the record alone: nothing happens in OCI until the job runs (`running.py`).
"""

from __future__ import annotations

import msgspec

from claviger.audit.trail import Kept, about, current_trail, telling
from claviger.cckm.calls import Caller
from claviger.cckm.errors import validation
from claviger.cckm.oci.keys import records as keys
from claviger.cckm.oci.keys.operations import missing
from claviger.cckm.oci.keys.requests import refuse
from claviger.cckm.oci.keys.rows import KeyRow, encoded_labels
from claviger.cckm.oci.keys.rules import State
from claviger.cckm.oci.keys.showing import KIND as KEY
from claviger.cckm.oci.keys.wire import EnableAutoRotation
from claviger.cckm.oci.rotation import effects, records, rules
from claviger.cckm.oci.vaults.records import OciVault
from claviger.cckm.planning.draft import foresee
from claviger.cckm.scheduler import records as configs
from claviger.cckm.scheduler.records import JobConfig
from claviger.cckm.scheduler.rules import OCI, ROTATION, period_s
from claviger.core.clock import Clock
from claviger.core.errors import Conflict, NotFound
from claviger.jobs.runs import Runs
from claviger.store.contract import Store, Tx

KIND = "oci-key-rotation"
"""The kind of the runs."""


class Request(msgspec.Struct, frozen=True):
    """What a run is for, as it is stored with it; `trail` is of what has started it."""

    config_id: str
    name: str
    rotation_after_s: float | None = None
    life_s: float | None = None
    expire_in_s: float | None = None
    trail: Kept = Kept()


class Rotations:
    """Everything about rotation by jobs but the rotating itself."""

    def __init__(self, store: Store, clock: Clock, runs: Runs) -> None:
        self._store = store
        self._clock = clock
        self._runs = runs

    async def enable(self, caller: Caller, key: KeyRow, vault: OciVault, asked: EnableAutoRotation) -> None:
        """Has a job rotate a key. Raises Invalid, NotFound for the job, Conflict("WrongState") for a deleted key."""
        source = asked.auto_rotate_key_source
        refuse({rules.SOURCE_LABEL: rules.source_problem(source, key.algorithm)})
        labels = encoded_labels({rules.CONFIG_LABEL: asked.job_config_id, rules.SOURCE_LABEL: source})
        now = self._clock.now()

        def change(tx: Tx) -> None:
            row, config = _loaded(tx, key.id, vault), _config(tx, caller.domain_id, asked.job_config_id)
            if row.gone or row.state == State.DELETED.value:
                raise Conflict("WrongState", message="the key is deleted in OCI, so it cannot be rotated")
            foresee(lambda: effects.enabled(row, vault, config.name, source))
            telling(job_config_id=config.id, source=source)
            records.link(tx, row, labels, config.id, caller.user_id, now)

        await self._store.write(change)

    async def disable(self, caller: Caller, key: KeyRow, vault: OciVault) -> None:
        """Has no job rotate a key any more; where none did, nothing is changed."""
        now = self._clock.now()

        def change(tx: Tx) -> None:
            row = _loaded(tx, key.id, vault)
            foresee(lambda: effects.disabled(row, vault))
            if row.auto_rotate or row.job_config_id:
                records.link(tx, row, "{}", "", caller.user_id, now)

        await self._store.write(change)

    async def start(self, config: JobConfig) -> str:
        """What the scheduler starts: a run that rotates the keys of a configuration; its id."""
        trail = current_trail()
        kept = Kept() if trail is None else trail.kept()
        params = config.params
        request = Request(
            config.id,
            config.name,
            period_s(params.rotation_after),
            period_s(params.expiration),
            period_s(params.expire_in),
            kept,
        )
        run = await self._runs.begin(KIND, config.domain_id, request, by=config.created_by, run_id=config.job_id)
        return run.id


def _loaded(tx: Tx, ident: str, vault: OciVault) -> KeyRow:
    row = keys.load(tx, ident)
    if row is None:
        raise missing()
    about(KEY, row.id, row.name, vault.name)
    return row


def _config(tx: Tx, domain_id: str, ident: str) -> JobConfig:
    found = configs.load(tx, ident)
    if found is None or found.domain_id != domain_id:
        raise NotFound("NotFound", message="there is no such job configuration")
    if (found.operation, found.params.cloud_name) != (ROTATION, OCI):
        raise validation({"job_config_id": f"must be of a job that rotates keys ({ROTATION}) of {OCI}"})
    return found
