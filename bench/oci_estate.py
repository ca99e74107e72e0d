"""Many vaults with many keys in the embedded OCI, and a control plane of its own server that manages them.

The vaults are filled on the database of a stopped server, by the operations that calls over HTTP come to.
"""

from __future__ import annotations

import asyncio
import configparser
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from bench.estate import CONNECTION, ControlPlane
from bench.product import Product
from claviger import bootstrap
from claviger.core.clock import SystemClock
from claviger.house import House
from claviger.ocikms.calls import Call, Place, Route
from claviger.ocikms.identity.demo import load_demo
from claviger.ocikms.identity.snapshot import Identities
from claviger.ocikms.keys.operations import Keys
from claviger.ocikms.keys.routes import KeyRoutes
from claviger.ocikms.materials import Materials
from claviger.ocikms.vaults.operations import Vaults
from claviger.ocikms.vaults.routes import VaultRoutes
from claviger.ocikms.wrapping.operations import Wrapping
from claviger.settings import load_settings

AT_ONCE = 64
JOBS = "/cckm/oci/synchronization-jobs"


async def fill(data: Path, vault_count: int, keys_each: int) -> list[str]:
    """Makes vaults, each with so many AES keys of one version, in the root compartment; their OCIDs.

    The server must be stopped.
    """
    async with bootstrap.opened(load_settings({}, data=data), SystemClock()) as house:
        materials = Materials(house.keyring)
        try:
            return await _Filling(house, materials).fill(vault_count, keys_each)
        finally:
            materials.stop()


class _Filling:
    """Calls of the demo user, made by hand."""

    def __init__(self, house: House, materials: Materials) -> None:
        self._house = house
        keys = Keys(house.store, house.keyring, materials, Wrapping(house.store, house.keyring, materials))
        routes: Sequence[Route] = (*VaultRoutes(Vaults(house.store)).routes(), *KeyRoutes(keys).routes())
        self._routes = {route.operation: route for route in routes}

    async def fill(self, vault_count: int, keys_each: int) -> list[str]:
        """Makes it all."""
        user = await load_demo(self._house.store, self._house.notes)
        assert user is not None, "there is no demo user"
        snapshot = await Identities(self._house.store).current()
        known = snapshot.found(user.tenancy_id, user.user_id, user.fingerprint)
        assert known is not None, "the demo user has no key"
        caller, sight = known[0], snapshot.sight(known[0])

        async def ask(operation: str, body: Mapping[str, Any], prefix: str | None = None) -> Any:
            route = self._routes[operation]
            call = Call(
                route=route,
                place=Place(route.planes[0], user.region, prefix, "", lambda *_: ("", "")),
                caller=caller,
                sight=sight,
                path={},
                body=msgspec.json.encode(body),
                now=self._house.clock.now(),
            )
            return msgspec.json.decode(msgspec.json.encode((await route.handler(call)).body))

        found = []
        for number in range(vault_count):
            name = f"estate-{number:04d}"
            asked = {"compartmentId": user.tenancy_id, "displayName": name, "vaultType": "DEFAULT"}
            vault = await ask("CreateVault", asked)
            found.append(str(vault["id"]))
            prefix = found[-1].split(".")[4]
            keys = [
                {
                    "compartmentId": user.tenancy_id,
                    "displayName": f"key-{at:06d}",
                    "keyShape": {"algorithm": "AES", "length": 32},
                    "freeformTags": {"team": f"team-{at % 7}"} if at % 2 else {},
                }
                for at in range(keys_each)
            ]
            for at in range(0, keys_each, AT_ONCE):
                await asyncio.gather(*(ask("CreateKey", body, prefix) for body in keys[at : at + AT_ONCE]))
        return found


class OciCloud(Product):
    """A server whose embedded OCI is the estate."""

    vaults: list[str]

    def prepare(self, vault_count: int, keys_each: int) -> None:
        """Fills it. Leaves it running."""
        self.start()
        self.stop()
        self.vaults = asyncio.run(fill(self.data, vault_count, keys_each))
        self.start()

    @property
    def account(self) -> dict[str, str]:
        """Who signs, as the SDK's configuration file says it."""
        read = configparser.ConfigParser()
        read.read(self.told()["OCI_CONFIG_FILE"])
        return dict(read[read.sections()[0]] if read.sections() else read["DEFAULT"])

    @property
    def authority(self) -> Path:
        """The authority to trust."""
        return self.data / "tls" / "ca.pem"


class OciControlPlane(ControlPlane):
    """A server that manages such an estate."""

    def connect_to(self, cloud: OciCloud) -> None:
        """A connection to the cloud's OCI."""
        account = cloud.account
        body = {
            "name": CONNECTION,
            "user_ocid": account["user"],
            "tenancy_ocid": account["tenancy"],
            "fingerprint": account["fingerprint"],
            "region": account["region"],
            "credentials": {"key_file": Path(account["key_file"]).read_text()},
            "realm_domain": f"localhost:{cloud.port}",
            "server_certificate": cloud.authority.read_text(),
            "products": ["cckm"],
        }
        self.call("POST", "/connectionmgmt/services/oci/connections", body)

    def manage_vaults(self, cloud: OciCloud) -> list[Any]:
        """Brings the estate under management; the records of its vaults, in order."""
        found: list[Any] = []
        for at in range(0, len(cloud.vaults), 20):
            portion = cloud.vaults[at : at + 20]
            body = {"connection": CONNECTION, "region": cloud.account["region"], "vault_id": portion}
            found += self.call("POST", "/cckm/oci/add-vaults", body)["vaults"]
        return found

    def synchronized(self, vault_ids: Sequence[str]) -> Any:
        """A job that has ended."""
        return self.ended(str(self.call("POST", JOBS, {"vaults": list(vault_ids)})["id"]), JOBS)
