"""Fills a vault with many secrets in little time, for figures about size.

This does not go over HTTP: a million calls would take longer than all the rest. It uses the product's own data keys,
sealing and records on the database of a server that is stopped, so that the rows are the very rows that calls would
have made; only decisions about names and rights are left out.
"""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from pathlib import Path

from claviger import bootstrap
from claviger.bootstrap import House
from claviger.core.clock import SystemClock
from claviger.core.ids import new_version
from claviger.core.paging import encode_mark
from claviger.keyvault.secrets import records
from claviger.keyvault.secrets.operations import binding, scope_of
from claviger.keyvault.secrets.records import Version
from claviger.keyvault.vaults.operations import show_vault
from claviger.lifecycle.retention import purge_at
from claviger.settings import load_settings
from claviger.store.contract import Tx

BATCH = 5_000
VALUE_LENGTH = 100


@dataclass(frozen=True)
class Population:
    """What is in the vault: names in order, live and deleted, as many of each."""

    live: range
    deleted: range
    seconds: float

    def live_name(self, dice: random.Random) -> str:
        """The name of a live secret, any one."""
        return _live(dice.choice(self.live))

    def live_mark(self, dice: random.Random) -> str:
        """A page mark anywhere among the live secrets but at the very end, so that the page is full."""
        return encode_mark(_live(dice.choice(self.live[: -len(self.live) // 10])))

    def deleted_mark(self, dice: random.Random) -> str:
        """A page mark anywhere among the deleted secrets."""
        return encode_mark(_deleted(dice.choice(self.deleted[: -len(self.deleted) // 10])))


async def populate(data: Path, vault_name: str, count: int, seed: int) -> Population:
    """Adds `count` live and as many deleted secrets to a vault whose server is stopped."""
    began = time.perf_counter()
    async with bootstrap.opened(load_settings({}, data=data), SystemClock()) as house:
        vault = await show_vault(house.store, vault_name)
        data_key_id = await house.keyring.ensure_data_key(scope_of(vault.id))
        filler = _Filler(house, vault.id, data_key_id, seed)
        with house.keyring.held(data_key_id):
            for start in range(0, count, BATCH):
                chosen = range(start, min(start + BATCH, count))
                await house.store.write(lambda tx, chosen=chosen: filler.add(tx, chosen, deleted=False))
            for start in range(0, count, BATCH):
                chosen = range(start, min(start + BATCH, count))
                await house.store.write(lambda tx, chosen=chosen: filler.add(tx, chosen, deleted=True))
    return Population(range(count), range(count), time.perf_counter() - began)


class _Filler:
    """Writes rows in batches, each a change of its own."""

    def __init__(self, house: House, vault_id: int, data_key_id: int, seed: int) -> None:
        self._keyring = house.keyring
        self._vault_id = vault_id
        self._data_key_id = data_key_id
        self._now = int(house.clock.now())
        self._seed = seed

    def add(self, tx: Tx, numbers: range, *, deleted: bool) -> None:
        """One secret with one version for each number."""
        dice = random.Random(f"{self._seed}/{numbers.start}")
        for number in numbers:
            name = _deleted(number) if deleted else _live(number)
            version = Version(
                id=0,
                version=new_version(),
                enabled=True,
                not_before=None,
                expires_at=None,
                created_at=self._now,
                updated_at=self._now,
                content_type=None,
                tags=None,
                data_key_id=self._data_key_id,
            )
            value = dice.randbytes(VALUE_LENGTH // 2).hex().encode()
            bound_to = binding(self._vault_id, name, version.version)
            sealed = self._keyring.seal(self._data_key_id, value, bound_to)
            secret_id = records.add_secret(tx, self._vault_id, name, name)
            records.set_latest(tx, secret_id, records.add_version(tx, secret_id, version, sealed))
            if deleted:
                records.mark_deleted(tx, secret_id, self._now, purge_at(self._now, 90), None)


def _live(number: int) -> str:
    return f"bench-{number:07d}"


def _deleted(number: int) -> str:
    return f"gone-{number:07d}"
