"""What the demo tenancy of a new installation has in it: two vaults, and keys in several states.

They are made by the same operations as anybody's, as calls of the demo user that never went over the wire. Made once;
whoever deletes a part of it does not find it back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from claviger.audit.trail import silently
from claviger.core.clock import Clock
from claviger.ocikms.calls import Call, Caller, Place, Route
from claviger.ocikms.identity import records as identity
from claviger.ocikms.identity.demo import COMPARTMENTS, load_demo
from claviger.ocikms.identity.snapshot import Identities, Identity
from claviger.ocikms.keys.operations import Keys
from claviger.ocikms.keys.routes import KeyRoutes
from claviger.ocikms.materials import Materials
from claviger.ocikms.vaults.operations import Vaults
from claviger.ocikms.vaults.routes import VaultRoutes
from claviger.ocikms.versions.operations import Versions
from claviger.ocikms.versions.routes import VersionRoutes
from claviger.ocikms.wrapping.operations import Wrapping
from claviger.sealing.keyring import Keyring
from claviger.sealing.notes import SealedNotes
from claviger.store.contract import Store

_FURNISHED = "oci_demo_furnished"
_AES: Mapping[str, Any] = {"algorithm": "AES", "length": 32}


class _Key(msgspec.Struct, frozen=True):
    """One key of the demo, and what is done to it once it is made."""

    name: str
    then: Sequence[str] = ()
    compartment: str = COMPARTMENTS[0]
    more: Mapping[str, Any] = {}


_VAULTS: Mapping[str, tuple[str, Sequence[_Key]]] = {
    "demo": (
        "DEFAULT",
        (
            _Key("orders", ("CreateKeyVersion", "CreateKeyVersion")),
            _Key("exports", more={"protectionMode": "SOFTWARE"}),
            _Key("archive", ("DisableKey",)),
            _Key("retired", ("ScheduleKeyDeletion",)),
        ),
    ),
    "demo-private": (
        "VIRTUAL_PRIVATE",
        (
            _Key(
                "payments",
                more={"isAutoRotationEnabled": True, "autoKeyRotationDetails": {"rotationIntervalInDays": 90}},
            ),
            _Key("receipts", compartment=COMPARTMENTS[1], more={"keyShape": {"algorithm": "ECDSA", "length": 32}}),
            _Key("documents", compartment=COMPARTMENTS[2], more={"keyShape": {"algorithm": "RSA", "length": 256}}),
        ),
    ),
}
"""Name of a vault -> its type and keys. A key may lie in another compartment than its vault."""


async def furnish_demo(store: Store, keyring: Keyring, notes: SealedNotes, clock: Clock, *, slots: int = 0) -> bool:
    """Gives the demo tenancy its vaults and keys, unless it ever had them or is gone; whether it did.

    `slots` is how many vaults of this server have a port of their own.
    """
    if await identity.read_meta(store, _FURNISHED) is not None:
        return False
    user = await load_demo(store, notes)
    snapshot = await Identities(store).current()
    known = None if user is None else snapshot.found(user.tenancy_id, user.user_id, user.fingerprint)
    with silently():
        await store.write(lambda tx: identity.set_meta(tx, _FURNISHED, str(int(clock.now()))))
    if user is None or known is None:
        return False
    materials = Materials(keyring)
    wrapping = Wrapping(store, keyring, materials)
    routes = (
        *VaultRoutes(Vaults(store, slots=slots)).routes(),
        *KeyRoutes(Keys(store, keyring, materials, wrapping)).routes(),
        *VersionRoutes(Versions(store, keyring, materials, wrapping)).routes(),
    )
    try:
        await _Furnishing(routes, clock, snapshot, known[0], user.region).furnish()
    finally:
        materials.stop()
    return True


class _Furnishing:
    """Calls of one caller, made by hand."""

    def __init__(self, routes: Iterable[Route], clock: Clock, snapshot: Identity, caller: Caller, region: str) -> None:
        self._routes = {route.operation: route for route in routes}
        self._clock = clock
        self._snapshot = snapshot
        self._caller = caller
        self._region = region

    async def furnish(self) -> None:
        """Makes it all."""
        compartments = self._compartments()
        for name, (kind, keys) in _VAULTS.items():
            body = {"compartmentId": compartments[COMPARTMENTS[0]], "displayName": name, "vaultType": kind}
            vault = await self._ask("CreateVault", body)
            prefix = str(vault["id"]).split(".")[4]
            for key in keys:
                details = {"compartmentId": compartments[key.compartment], "displayName": key.name, "keyShape": _AES}
                made = await self._ask("CreateKey", {**details, **key.more}, prefix)
                for operation in key.then:
                    await self._ask(operation, {}, prefix, keyId=made["id"])

    def _compartments(self) -> dict[str, str]:
        """OCIDs by path; the tenancy's own where somebody was quicker to delete one."""
        root = self._caller.tenancy_id
        found: dict[str, str] = {}
        for path in COMPARTMENTS:
            above, _, name = path.rpartition("/")
            here = self._snapshot.children(found.get(above, root))
            found[path] = next((each.id for each in here if each.name == name), root)
        return found

    async def _ask(self, operation: str, body: Mapping[str, Any], prefix: str | None = None, **path: str) -> Any:
        route = self._routes[operation]
        call = Call(
            route=route,
            place=Place(route.planes[0], self._region, prefix, "", _unpublished),
            caller=self._caller,
            sight=self._snapshot.sight(self._caller),
            path=path,
            body=msgspec.json.encode(body),
            now=self._clock.now(),
        )
        return msgspec.json.decode(msgspec.json.encode((await route.handler(call)).body))


def _unpublished(prefix: str, region: str, slot: int | None) -> tuple[str, str]:
    """Nobody is told where the vaults are: nobody asked."""
    return "", ""
