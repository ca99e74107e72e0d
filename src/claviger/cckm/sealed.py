"""The control plane's sealed values: credentials of connections, backups of secrets, keys that sign tokens.

One table for all of them, by kind and ident; a value is bound to both, so none can stand in for another.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from claviger.cckm import records
from claviger.core.errors import Damaged
from claviger.core.sensitive import Sensitive
from claviger.crypto.envelope import associated_data
from claviger.sealing.keyring import Keyring
from claviger.store.contract import Store, Tx

T = TypeVar("T")

SCOPE = "cckm"
Item = tuple[str, str, Sensitive]
"""Kind, ident, value."""


def binding(kind: str, ident: str) -> bytes:
    """What a sealed value is bound to."""
    return associated_data("cckm", kind, ident)


class Safe:
    """Keeps and opens sealed values. A `Resealer` for the rotation of its data key."""

    scope_prefix = SCOPE

    def __init__(self, store: Store, keyring: Keyring) -> None:
        self._store = store
        self._keyring = keyring

    async def write(self, items: Sequence[Item], change: Callable[[Tx], T]) -> T:
        """Runs `change` and keeps the sealed items, each in place of the one of its name, in one transaction."""
        if not items:
            return await self._store.write(change)

        async def attempt(data_key_id: int) -> T:
            rows = [
                (kind, ident, self._keyring.seal(data_key_id, value.reveal(), binding(kind, ident)))
                for kind, ident, value in items
            ]

            def both(tx: Tx) -> T:
                done = change(tx)
                for kind, ident, sealed in rows:
                    records.put_sealed(tx, kind, ident, data_key_id, sealed)
                return done

            return await self._store.write(both)

        return await self._keyring.with_data_key(SCOPE, attempt)

    async def open(self, kind: str, ident: str) -> Sensitive | None:
        """The value, or None where there is none. Raises Damaged("SealBroken")."""

        async def attempt() -> Sensitive | None:
            found = await records.sealed(self._store, kind, ident)
            if found is None:
                return None
            return Sensitive(await self._keyring.open(found[0], found[1], binding(kind, ident)))

        return await self._keyring.again_if_retired(attempt)

    async def must_open(self, kind: str, ident: str) -> Sensitive:
        """The value. Raises Damaged("SealedMissing") where there is none."""
        found = await self.open(kind, ident)
        if found is None:
            raise Damaged("SealedMissing", kind=kind, ident=ident)
        return found

    @staticmethod
    def remove(tx: Tx, kind: str, ident: str) -> None:
        """Removes a value within a change, if it is there."""
        records.remove_sealed(tx, kind, ident)

    def reseal_batch(self, tx: Tx, scope: str, old_key_id: int, new_key_id: int, keyring: Keyring, limit: int) -> int:
        """See `rotation.Resealer`."""
        rows = records.sealed_under(tx, old_key_id, limit)
        for kind, ident, sealed in rows:
            records.put_sealed(
                tx, kind, ident, new_key_id, keyring.reseal(old_key_id, new_key_id, sealed, binding(kind, ident))
            )
        return len(rows)
