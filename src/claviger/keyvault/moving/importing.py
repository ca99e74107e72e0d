"""Importing a vault: first a whole pass that changes nothing and finds every fault and conflict, then one that writes.

The second pass stores in batches, each decided on the rows it changes, so a server may go on serving beside it. A note
in the database says that an import is under way until it has ended; run again, an import goes on where it stopped,
because versions that are there already are recognised by their ids and values.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from functools import partial
from typing import Literal

import msgspec

from claviger.audit.trail import about, telling
from claviger.core.clock import Clock
from claviger.core.errors import Conflict, Refusal
from claviger.keyvault.moving import records, rules
from claviger.keyvault.moving.arrival import Arrival, Asked
from claviger.keyvault.moving.reading import Part, Reading, Source
from claviger.keyvault.moving.rules import Verdict
from claviger.keyvault.moving.wire import ArchivedVersion
from claviger.keyvault.secrets import records as secret_records
from claviger.keyvault.secrets.operations import binding, scope_of
from claviger.keyvault.secrets.records import Version
from claviger.keyvault.secrets.rules import State
from claviger.keyvault.vaults.records import Vault
from claviger.lifecycle.retention import is_final
from claviger.sealing.keyring import Keyring
from claviger.store.contract import Store, Tx

BATCH_VERSIONS = 500
BATCH_BYTES = 1 << 20

OnConflict = Literal["refuse", "skip"]


class Imported(msgspec.Struct, kw_only=True):
    """What an import found and did. `versions` is how many it stored; the other counts are of secrets."""

    vault: str
    created: bool
    new: int = 0
    same: int = 0
    grown: int = 0
    skipped: int = 0
    lapsed: int = 0
    versions: int = 0
    rights: int = 0
    skipped_names: list[str] = msgspec.field(default_factory=list)

    def count(self, verdict: Verdict, name: str) -> None:
        """Counts one secret."""
        match verdict:
            case Verdict.NEW:
                self.new += 1
            case Verdict.SAME:
                self.same += 1
            case Verdict.GROWS:
                self.grown += 1
            case Verdict.DIFFERS:
                self.skipped += 1
                if len(self.skipped_names) < rules.NAMES_SHOWN:
                    self.skipped_names.append(name)


class Imports:
    """Writes moved vaults into the store."""

    def __init__(self, store: Store, keyring: Keyring, clock: Clock) -> None:
        self._store = store
        self._keyring = keyring
        self._clock = clock

    async def run(self, source: Source, asked: Asked, on_conflict: OnConflict = "refuse") -> Imported:
        """Imports a vault, into one that is there or one that it makes.

        Raises Invalid or Damaged for what is wrong in the source, Conflict("ImportConflict" | "VaultTaken" |
        "NoSoftDelete") or NotFound for what is there: nothing is changed then. Once it has begun to write, whatever
        stops it is raised as Conflict("ImportUnfinished"), which says how far it came.
        """
        now = self._clock.now()
        arrival = Arrival(self._store, asked, int(now))
        expected = await self._survey(source, arrival, now)
        if expected.skipped and on_conflict == "refuse":
            shown = ", ".join(expected.skipped_names)
            more = expected.skipped - len(expected.skipped_names)
            raise Conflict(
                "ImportConflict",
                vault=expected.vault,
                secrets=f"{shown} and {more} more" if more else shown,
                fix="nothing was imported; these secrets are there with other versions or another state: leave them as "
                "they are with --on-conflict skip, or import into another vault with --vault",
            )
        done = Imported(vault=expected.vault, created=expected.created)
        try:
            await self._write(source, arrival, done, on_conflict, now)
        except Refusal as refusal:
            raise Conflict(
                "ImportUnfinished",
                vault=done.vault,
                stored=f"{done.versions} versions",
                because=str(refusal),
                fix="mend the cause and run the same import again: it goes on where it stopped",
            ) from refusal
        return done

    async def _survey(self, source: Source, arrival: Arrival, now: float) -> Imported:
        """What an import would do. Everything that can be wrong is found here."""
        reading = Reading(source)
        vault = await arrival.find(reading.vault)
        found = Imported(vault=arrival.name, created=vault is None)
        course = _Course(self._store, self._keyring, vault, now)
        deleted = False
        for part in reading.parts():
            verdict = await course.verdict(part)
            deleted = deleted or (part.secret.deleted_at is not None and verdict is not None)
            course.tally(part, verdict, found)
        course.tally_last(found)
        if deleted and not (vault.soft_delete if vault else reading.vault.settings.soft_delete):
            raise Conflict(
                "NoSoftDelete", vault=found.vault, fix="import deleted secrets into a vault with soft delete"
            )
        await arrival.check_rights(reading.rights)
        return found

    async def _write(
        self, source: Source, arrival: Arrival, done: Imported, on_conflict: OnConflict, now: float
    ) -> None:
        vault = await arrival.begin()
        reading = Reading(source)
        course = _Course(self._store, self._keyring, None if done.created else vault, now)
        batch: list[Part] = []
        counted = 0
        for part in reading.parts():
            verdict = await course.verdict(part)
            course.tally(part, verdict, done)
            if verdict in (Verdict.NEW, Verdict.GROWS):
                batch.append(part)
                counted += len(part.versions)
            elif verdict is Verdict.DIFFERS and on_conflict == "refuse":
                raise _changed_meanwhile(part)
            if counted >= BATCH_VERSIONS or sum(each.size for each in batch) >= BATCH_BYTES:
                done.versions += await self.store(vault, batch, now)
                batch, counted = [], 0
        course.tally_last(done)
        if batch:
            done.versions += await self.store(vault, batch, now)
        done.rights = await arrival.end(reading.rights)

    async def store(self, vault: Vault, batch: list[Part], now: float) -> int:
        """Stores the versions of a batch that are not there yet, all in one change; how many."""

        async def attempt(data_key_id: int) -> int:
            sealed = [[self._sealed(vault, part, each, data_key_id) for each in part.versions] for part in batch]

            def change(tx: Tx) -> int:
                count = sum(_store_part(tx, vault, *each, now) for each in zip(batch, sealed, strict=True))
                about("vault", vault.path, vault.name, vault.resource_group)
                telling(versions=count)
                return count

            return await self._store.write(change)

        return await self._keyring.with_data_key(scope_of(vault.id), attempt)

    def _sealed(self, vault: Vault, part: Part, each: ArchivedVersion, data_key_id: int) -> tuple[Version, bytes]:
        told = {name: getattr(each, name) for name in ArchivedVersion.__struct_fields__ if name != "value"}
        version = Version(id=0, data_key_id=data_key_id, **told)
        return version, self._keyring.seal(data_key_id, each.value, binding(vault.id, part.name_key, each.version))


class _Course:
    """Follows the parts of a source and compares each with what the vault had when the pass began to look at it.

    Parts of one secret come in a row: what was found of the earlier ones decides on the later ones, which makes it no
    matter whether they have been written meanwhile.
    """

    def __init__(self, store: Store, keyring: Keyring, vault: Vault | None, now: float) -> None:
        """`vault` is None where it is new, so that nothing can be there."""
        self._store = store
        self._keyring = keyring
        self._vault = vault
        self._now = now
        self._of: Part | None = None
        self._so_far: Verdict | None = None

    async def verdict(self, part: Part) -> Verdict | None:
        """What to do about a part; None for a secret whose purge date has passed."""
        if is_final(part.secret.purge_at, self._now):
            return None
        if part.before == 0 or self._so_far is Verdict.SAME:
            return await self._look(part)
        if self._so_far is Verdict.GROWS and self._vault is not None and await self._knows_any(part):
            return Verdict.DIFFERS
        return self._so_far

    def tally(self, part: Part, verdict: Verdict | None, counts: Imported) -> None:
        """Notes the verdict; a secret is counted when the next one begins, by the verdict on its last part."""
        if part.before == 0:
            self.tally_last(counts)
            counts.lapsed += verdict is None
        self._of, self._so_far = part, verdict

    def tally_last(self, counts: Imported) -> None:
        """Counts the secret that came last."""
        if self._of is not None and self._so_far is not None:
            counts.count(self._so_far, self._of.secret.name)
        self._of = self._so_far = None

    async def _look(self, part: Part) -> Verdict:
        if self._vault is None:
            return Verdict.NEW
        found = await records.count_versions(self._store, self._vault.id, part.name_key)
        if found is None or is_final(found[0].purge_at, self._now):
            return rules.judge(is_there=False, same_state=True, before=part.before, there=0, known=())
        secret, there = found
        values = await self._keyring.again_if_retired(partial(self._values, self._vault, secret.id, part))
        if any(not hmac.compare_digest(values.get(each.version, each.value), each.value) for each in part.versions):
            return Verdict.DIFFERS
        return rules.judge(
            is_there=True,
            same_state=secret.deleted == (part.secret.deleted_at is not None),
            before=part.before,
            there=there,
            known=[each.version in values for each in part.versions],
        )

    async def _knows_any(self, part: Part) -> bool:
        if self._vault is None:
            return False
        found = await records.count_versions(self._store, self._vault.id, part.name_key)
        return found is not None and bool(
            await records.versions_among(self._store, found[0].id, [each.version for each in part.versions])
        )

    async def _values(self, vault: Vault, secret_id: int, part: Part) -> dict[str, bytes]:
        """Which versions of a part are there, with their values."""
        rows = await records.versions_among(self._store, secret_id, [each.version for each in part.versions])
        return {
            version: await self._keyring.open(data_key_id, sealed, binding(vault.id, part.name_key, version))
            for version, data_key_id, sealed in rows
        }


def _store_part(tx: Tx, vault: Vault, part: Part, sealed: Iterable[tuple[Version, bytes]], now: float) -> int:
    """Adds what is missing of a part, decided on the rows as they are now. Raises Conflict("ChangedMeanwhile")."""
    secret = secret_records.find(tx, vault.id, part.secret.name, part.name_key, now)
    known: set[str] = set()
    there = 0
    if secret.id:
        known = records.known_versions(tx, secret.id, [each.version for each in part.versions])
        there = records.versions_of(tx, secret.id)
    verdict = rules.judge(
        is_there=secret.id != 0,
        same_state=(secret.state in (State.DELETED, State.DELETING)) == (part.secret.deleted_at is not None),
        before=part.before,
        there=there,
        known=[each.version in known for each in part.versions],
    )
    if verdict is Verdict.SAME:
        return 0
    if verdict is Verdict.DIFFERS:
        raise _changed_meanwhile(part)
    secret_id = secret.id or secret_records.add_secret(tx, vault.id, part.secret.name, part.name_key)
    if not secret.id and part.secret.deleted_at is not None and part.secret.purge_at is not None:
        records.add_deleted_state(tx, secret_id, part.secret.deleted_at, part.secret.purge_at)
    added = [
        secret_records.add_version(tx, secret_id, version, value)
        for version, value in sealed
        if version.version not in known
    ]
    secret_records.set_latest(tx, secret_id, added[-1])
    return len(added)


def _changed_meanwhile(part: Part) -> Conflict:
    return Conflict("ChangedMeanwhile", secret=part.secret.name)
