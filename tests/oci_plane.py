"""An operator's desk for OCI: the control plane of a real server over HTTPS, with vaults in its own embedded OCI.

The same vaults are seen from the other side too, by the official SDK (`OciManaged.sdk`), as somebody sees and changes
them who knows nothing of the control plane. Of one server the switches move the clock of both sides at once; the cloud
may also be another server's.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import oci
import pytest
from oci.key_management import KmsManagementClient, KmsVaultClient, models
from oci.object_storage import ObjectStorageClient
from oci.object_storage.models import CreateBucketDetails

from claviger.core.sensitive import Sensitive
from claviger.switches.client import Switchboard
from tests.desk import PASSWORD, SETTINGS, Operator, still
from tests.server import RunningServer
from tests.serving import estate_on
from tests.vaults import spare_name

EMBEDDED = "embedded-oci"
KEYS = "/cckm/oci/keys"
VAULTS = "/cckm/oci/vaults"
REGION = "us-ashburn-1"
DAY_S = 86_400
AES = {"algorithm": "AES", "length": 32}
PASSING_WITHIN_S = 60.0
SETTLED = {"ENABLED", "DISABLED", "PENDING_DELETION", "DELETED"}


@dataclass(frozen=True)
class OciManaged:
    """A vault under management: the id of its record, and the same vault in OCI."""

    id: str
    record: Any
    desk: OciDesk

    @property
    def ocid(self) -> str:
        """Its OCID."""
        return str(self.record["vault_id"])

    @property
    def sdk(self) -> Any:
        """The official SDK on its keys, as any program uses it: never by a wire."""
        endpoint = re.sub(r":\d+$", f":{self.desk.cloud.port}", self.record["management_endpoint"])
        return self.desk.client(KmsManagementClient, endpoint)

    def in_oci(self, record: Any) -> Any:
        """A key as OCI shows it."""
        return self.sdk.get_key(record["oci_params"]["key_id"]).data

    def state(self, record: Any) -> str:
        """Where OCI says that a key stands."""
        return str(self.in_oci(record).lifecycle_state)

    def keys_in_oci(self, name: str) -> list[Any]:
        """All keys of a name in OCI, wherever they are in the compartment that keys of tests are made in."""
        listed = oci.pagination.list_call_get_all_results(self.sdk.list_keys, self.desk.compartment())
        return [each for each in listed.data if each.display_name == name]

    def made_in_oci(self, name: str | None = None, **more: Any) -> Any:
        """A key that somebody makes behind the control plane's back."""
        details = {
            "compartment_id": self.desk.compartment(),
            "display_name": name or spare_name("key"),
            "key_shape": models.KeyShape(**AES),
            **more,
        }
        return self.sdk.create_key(models.CreateKeyDetails(**details)).data


class OciDesk:
    """A server with `admin` at work. `cloud` is whose OCI it manages: its own, or that of another server."""

    def __init__(self, server: RunningServer, cloud: RunningServer | None = None) -> None:
        self.server = server
        self.cloud = cloud or server
        self.admin = Operator(server)
        self.config = oci.config.from_file(self.cloud.exported["OCI_CONFIG_FILE"])
        self._compartments: dict[str, str] = {}
        self._boards: dict[int, Switchboard] = {}
        self._buckets: dict[str, str] = {}
        self.connection = EMBEDDED if cloud is None else self.connect()

    def connect(self, port: int | None = None) -> str:
        """A connection to the cloud as its demo user, at another port than its own; its name."""
        told, name = self.config, spare_name("connection")
        body = {
            "name": name,
            "user_ocid": told["user"],
            "tenancy_ocid": told["tenancy"],
            "fingerprint": told["fingerprint"],
            "region": told["region"],
            "credentials": {"key_file": Path(told["key_file"]).read_text()},
            "realm_domain": f"localhost:{port or self.cloud.port}",
            "server_certificate": (self.cloud.data / "tls" / "ca.pem").read_text(),
        }
        self.admin.accept("POST", "/connectionmgmt/services/oci/connections", body, 201)
        return name

    # ------------------------------------------------------------------ the other side

    def client(self, kind: Any, endpoint: str) -> Any:
        """A client of the SDK for an endpoint, which trusts this server; the demo user's."""
        given: dict[str, Any] = {"service_endpoint": endpoint, "circuit_breaker_strategy": _breaker()}
        made = kind(dict(self.config), **given)
        made.base_client.session.verify = str(self.cloud.authority)
        made.base_client.session.trust_env = False
        return made

    @property
    def vaults_sdk(self) -> Any:
        """The official SDK on vaults."""
        return self.client(KmsVaultClient, f"https://kms.{REGION}.localhost:{self.cloud.port}")

    @property
    def storage_sdk(self) -> Any:
        """The official SDK on Object Storage."""
        return self.client(ObjectStorageClient, f"https://objectstorage.{REGION}.localhost:{self.cloud.port}")

    @property
    def tenancy(self) -> str:
        """OCID of the tenancy."""
        return str(self.config["tenancy"])

    def compartment(self, name: str = "production") -> str:
        """OCID of a compartment of the demo, by its last name."""
        if not self._compartments:
            found = self.admin.accept("POST", "/cckm/oci/get-compartments", {"connection": self.connection})
            self._compartments = {each["name"]: each["id"] for each in found["data"]}
        return self._compartments[name]

    def bucket(self) -> tuple[str, str]:
        """Name and namespace of a bucket that takes backups."""
        if not self._buckets:
            namespace = str(self.storage_sdk.get_namespace().data)
            self._buckets = {"namespace": namespace, "name": self.new_bucket(namespace=namespace)}
        return self._buckets["name"], self._buckets["namespace"]

    def new_bucket(self, name: str = "", namespace: str = "") -> str:
        """Another bucket, in the same namespace; its name."""
        asked = CreateBucketDetails(name=name or spare_name("bucket"), compartment_id=self.compartment())
        self.storage_sdk.create_bucket(namespace or self.bucket()[1], asked)
        return str(asked.name)

    def objects(self) -> list[str]:
        """The names of what lies in that bucket."""
        name, namespace = self.bucket()
        return [each.name for each in self.storage_sdk.list_objects(namespace, name).data.objects]

    def vault(self, kind: str = "DEFAULT", *, bucket: bool = False, connection: str | None = None) -> OciManaged:
        """A new vault, brought under management."""
        asked = models.CreateVaultDetails(
            compartment_id=self.compartment(), display_name=spare_name("vault"), vault_type=kind
        )
        made = self.vaults_sdk.create_vault(asked).data
        return self.manage(str(made.id), bucket=bucket, connection=connection)

    def settled_vault(self, kind: str = "DEFAULT", *, bucket: bool = False) -> OciManaged:
        """The same of an OCI that takes its time: the vault is ACTIVE before it is brought under management."""
        asked = models.CreateVaultDetails(
            compartment_id=self.compartment(), display_name=spare_name("vault"), vault_type=kind
        )
        ocid, give_up_at = str(self.vaults_sdk.create_vault(asked).data.id), time.monotonic() + PASSING_WITHIN_S
        while self.vaults_sdk.get_vault(ocid).data.lifecycle_state != "ACTIVE":
            assert time.monotonic() < give_up_at, "the vault stays as it is"
            time.sleep(0.1)
        return self.manage(ocid, bucket=bucket)

    def manage(self, ocid: str, *, bucket: bool = False, connection: str | None = None) -> OciManaged:
        """Brings a vault of OCI under management."""
        body: dict[str, Any] = {"connection": connection or self.connection, "region": REGION, "vault_id": [ocid]}
        if bucket:
            body["bucket_name"], body["bucket_namespace"] = self.bucket()
        record = self.admin.accept("POST", "/cckm/oci/add-vaults", body)["vaults"][0]
        return OciManaged(record["id"], record, self)

    # ------------------------------------------------------------------ keys

    def body(self, vault: OciManaged, name: str | None = None, **more: Any) -> dict[str, Any]:
        """The body of a call that creates a key."""
        return {
            "vault": vault.id,
            "name": name or spare_name("key"),
            "protection_mode": "SOFTWARE",
            "compartment_id": self.compartment(),
            **AES,
            **more,
        }

    def create(self, vault: OciManaged, name: str | None = None, **more: Any) -> Any:
        """Creates a key; its record, which shows CREATING."""
        return self.admin.accept("POST", KEYS, self.body(vault, name, **more), 201)

    def made(self, vault: OciManaged, name: str | None = None, **more: Any) -> Any:
        """A key that has settled; its record."""
        return self.settled(self.create(vault, name, **more))

    def read(self, record: Any) -> Any:
        """The record as it is now. Asks OCI nothing."""
        return self.admin.accept("GET", f"{KEYS}/{record['id']}")

    def refresh(self, record: Any) -> Any:
        """The record as it is once OCI was asked."""
        return self.admin.accept("POST", f"{KEYS}/{record['id']}/refresh")

    def act(self, record: Any, action: str, body: Any = None, status: int = 200) -> Any:
        """enable, disable, schedule-deletion, ...: the record, or None where there is no answer."""
        return self.admin.accept("POST", f"{KEYS}/{record['id']}/{action}", body, status)

    def refuse_act(self, record: Any, action: str, status: int, part: str = "", body: Any = None) -> str:
        """The message of a refusal of one of these."""
        return self.admin.refuse("POST", f"{KEYS}/{record['id']}/{action}", body, status=status, part=part)

    def settled(self, record: Any, *states: str) -> Any:
        """The record once it has settled by itself, in one of these states if there are any: reads only."""
        wanted = set(states) or SETTLED
        return self.awaited(record, lambda now: state_of(now) in wanted)

    def awaited(self, record: Any, check: Callable[[Any], bool]) -> Any:
        """The record once it is as it should be."""
        give_up_at = time.monotonic() + PASSING_WITHIN_S
        while not check(now := self.read(record)):
            assert time.monotonic() < give_up_at, f"it stays so: {now}"
            time.sleep(0.05)
        return now

    def settled_version(self, key: Any, version: Any, state: str) -> Any:
        """The record of a version once it stands there by itself: reads only."""
        give_up_at = time.monotonic() + PASSING_WITHIN_S
        path = f"{KEYS}/{key['id']}/versions/{version['id']}"
        while state_of(now := self.admin.accept("GET", path)) != state:
            assert time.monotonic() < give_up_at, f"it stays so: {now}"
            time.sleep(0.05)
        return now

    def records(self, **query: Any) -> list[Any]:
        """The records that a list shows, all of them."""
        return list(self.admin.accept("GET", KEYS, query={"limit": -1, **query})["resources"])

    # ------------------------------------------------------------------ people and switches

    def user(self, *groups: str) -> tuple[Operator, str]:
        """A new user in these groups, and his id."""
        username = spare_name("user")
        made = self.admin.accept("POST", "/usermgmt/users", {"username": username, "password": PASSWORD}, 201)
        for group in groups:
            self.admin.ask("POST", f"/usermgmt/groups/{group.replace(' ', '%20')}/users/{made['user_id']}")
        return Operator(self.server, username), made["user_id"]

    def permit(self, vault: OciManaged, user_id: str, *actions: str, permit: bool = True) -> None:
        """Gives a user rights in a vault, or takes them back."""
        entry = {"user_id": user_id, "actions": list(actions), "permit": permit}
        self.admin.accept("POST", f"{VAULTS}/{vault.id}/update-acls", {"acls": [entry]})

    def protect(self, vault: OciManaged, **more: Any) -> None:
        """Has more than one person needed for what destroys a key of a vault."""
        self.admin.accept("PATCH", f"{VAULTS}/{vault.id}", {"protected": True, **more})

    def board(self, server: RunningServer | None = None) -> Switchboard:
        """The switches of the server, or of the cloud's."""
        asked = server or self.server
        found = self._boards.get(asked.pid)
        if found is None:
            told = asked.command("switches", "--token")
            found = Switchboard(told["url"], Sensitive(told["token"]), asked.data / "tls" / "ca.pem")
            self._boards = {asked.pid: found} | self._boards
        return found

    def close(self) -> None:
        """Lets go of the connections."""
        self.admin.close()


def state_of(record: Any) -> str:
    """Where a record says that a key, or a version, stands."""
    params = record.get("oci_params") or record["oci_key_version_params"]
    return str(params["lifecycle_state"])


def _breaker() -> Any:
    """The SDK's circuit breaker is one for the process: a test that is refused often would stop others."""
    from oci.circuit_breaker import NoCircuitBreakerStrategy

    return NoCircuitBreakerStrategy()


def oci_desk_on(kind: str, request: pytest.FixtureRequest, folder: Path, **settings: str) -> Iterator[OciDesk]:
    """A desk on that kind of database with these settings; at its end nothing may have failed in an answer or the log.

    For modules that move the clock, or want keys that take their time (`CLAVIGER_OCI_SETTLE_S`).
    """
    for estate in estate_on(kind, request, folder, **SETTINGS, **settings):
        found = OciDesk(estate.server)
        yield found
        found.close()


def rough_oci_desk_on(kind: str, request: pytest.FixtureRequest, folder: Path, **settings: str) -> Iterator[OciDesk]:
    """The same for tests that provoke failures, end the server in the middle of something, and start it again."""
    databases = request.getfixturevalue("postgres_databases") if kind == "postgresql" else None
    url = databases.create() if databases is not None else None
    server = RunningServer(folder, url, SETTINGS | settings)
    try:
        server.start()
        found = OciDesk(server)
        yield found
        found.close()
    finally:
        server.kill()
        if databases is not None and url is not None:
            databases.drop(url)


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def oci_desk(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OciDesk]:
    """The desk that tests of a session share. Nobody moves its clock: see `oci_desk_on`."""
    yield from oci_desk_on(request.param, request, tmp_path_factory.mktemp(f"oci-desk-{request.param}"))


@pytest.fixture(scope="session")
def oci_vault(oci_desk: OciDesk) -> OciManaged:
    """A vault of type DEFAULT; shared, so a test uses names of its own."""
    return oci_desk.vault()


@pytest.fixture(scope="session")
def oci_private_vault(oci_desk: OciDesk) -> OciManaged:
    """A vault of type VIRTUAL_PRIVATE with a bucket; shared."""
    return oci_desk.vault("VIRTUAL_PRIVATE", bucket=True)


@pytest.fixture
def oci_board(oci_desk: OciDesk) -> Iterator[Switchboard]:
    """The switches of the shared desk, put back afterwards. Not for its clock."""
    found = oci_desk.board()
    yield found
    still(found)


__all__ = [
    "AES",
    "DAY_S",
    "EMBEDDED",
    "KEYS",
    "PASSWORD",
    "REGION",
    "VAULTS",
    "OciDesk",
    "OciManaged",
    "oci_desk_on",
    "rough_oci_desk_on",
    "state_of",
]
