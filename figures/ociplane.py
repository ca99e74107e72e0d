"""What the control plane's OCI half is about in the schema trial: vaults, keys and versions, connections, local keys.

Vaults are made in the embedded OCI by requests signed as its demo user; everything else comes by the control plane
itself. `words` are what drawn requests know OCIDs and versions by: paths that no API has.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.client import ask
from bench.oci_signing import Signer
from figures.ocioperations import OPERATIONS, REGION, host

if TYPE_CHECKING:
    from figures.planetarget import PlaneTarget

OCI = "/cckm/oci"
KEYS, VAULTS = f"{OCI}/keys", f"{OCI}/vaults"
LOCAL = "/vault/keys2"
CONNECTION = "embedded-oci"
CONNECTIONS = "/connectionmgmt/services/oci/connections"
OPEN, SPARE, KEPT = "fuzz-oci", "fuzz-spare-oci", "kept-oci"
COMPARTMENTS, VAULT_OCIDS, VERSIONS = "/oci/compartments", "/oci/vaults", "/oci/versions"
"""Words of their own: see `OciPart.found`."""
PATHS = (f"/api/v1{OCI}/", f"/api/v1{LOCAL}")
"""Where the paths of all this begin."""
ACTIONS = (
    "view", "keycreate", "keyupload", "keyupdate", "keydelete", "keycanceldelete", "keyrestore", "deletebackup",
    "keyrotatetonative", "keyrotatetobyok", "keysynchronize", "keyremove", "reportview", "reportcreate",
)  # fmt: skip
SHOWN = 2
_STABLE = ("id", "key_name", "key_material_origin", "gone", "auto_rotate")
_STABLE_IN_OCI = ("key_id", "lifecycle_state", "current_key_version", "compartment_id", "freeform_tags")


def texts(word: Any) -> dict[str, tuple[Any, ...]]:
    """What is there, by the names of fields and parameters. `word` stands for an id, by a path and a number."""
    return {
        "connection": (CONNECTION, CONNECTION, "fuzz-nowhere"),
        "vault": (word(VAULTS, 0), OPEN),
        "vaults": (word(VAULTS, 0), word(VAULTS, 1)),
        "vault_id": (word(VAULT_OCIDS, 0), word(VAULT_OCIDS, 1)),
        "compartment_id": (word(COMPARTMENTS, 0), word(COMPARTMENTS, 1)),
        "region": (REGION, REGION, "eu-frankfurt-1"),
        "name": ("fuzz-a", "fuzz-b", "fuzz c"),
        "limit": (1, 100),
        "ociNextPage": ("",),
        "algorithm": ("AES", "RSA"),
        "length": (16, 32, 256),
        "curve_id": ("",),
        "protection_mode": ("SOFTWARE", "HSM"),
        "defined_tags": ({}, {"Fuzz": {"a": "b"}}),
        "freeform_tags": ({}, {"a": "b"}),
        "days": (7, 8, 30, 31),
        "size": (128, 256, 2048),
        "source_key_identifier": ("fuzz-local", word(LOCAL, 0)),
        "source_key_tier": ("local", "", "dsm"),
        "job_config_id": (word("/scheduler/job-configs", 0),),
        "auto_rotate_key_source": ("native", "ciphertrust"),
        "report_type": ("key-report", "key-aging"),
        "key_name": ("fuzz-*", "fuzz-key-1"),
        "lifecycle_state": ("ENABLED", "DISABLED", "PENDING_DELETION"),
        "bucket_name": ("", "fuzz-bucket"),
        "bucket_namespace": ("", "fuzz-namespace"),
    }


def alone(port: str) -> dict[str, tuple[str, ...]]:
    """What alone is drawn for fields that say where OCI is: this machine, or nowhere."""
    return {"realm_domain": (f"localhost:{port}", "localhost:1", "oraclecloud.com", "nonsense", "")}


class OciPart:
    """The part of a prepared target that is about OCI."""

    def __init__(self, target: PlaneTarget) -> None:
        self._target = target
        told = Path(target.told["OCI_CONFIG_FILE"])
        self._signer = Signer.from_profile(told)
        self._profile = told.read_text()
        found = target.must("POST", f"{OCI}/get-compartments", {"connection": CONNECTION})["data"]
        places = {each["name"]: str(each["id"]) for each in found}
        self._compartments = [places["production"], places["staging"]]
        self._ocids = {name: self._vault(name) for name in (OPEN, SPARE, KEPT)}

    def _vault(self, name: str) -> str:
        """Makes a vault in the embedded OCI; its OCID."""
        operation, target = OPERATIONS["CreateVault"], self._target
        place = host("control")
        body = {"compartmentId": self._compartments[0], "displayName": name, "vaultType": "DEFAULT"}
        content = json.dumps(body).encode()
        at = f"{place}:{target.port}"
        raw = self._signer.request(operation.method, at, operation.target(), content, time.time())
        answer = ask(target.port, target.product.context, raw, place, 30.0)
        if answer.status != 200:
            raise RuntimeError(f"a vault of OCI was answered {answer.status} {answer.body[:300]!r}")
        return str(answer.json()["id"])

    # ------------------------------------------------------------------ what requests name

    def found(self, path: str) -> list[str] | None:
        """What a word of ours stands for; None for a path of the API."""
        if path == COMPARTMENTS:
            return self._compartments
        if path == VAULT_OCIDS:
            return [self._ocids[OPEN], self._ocids[SPARE]]
        if path == VERSIONS:
            return [self._oldest(self._target.ident(KEYS, number)) for number in range(SHOWN)]
        return None

    def _oldest(self, key: str) -> str:
        answer = self._target.ask("GET", f"{KEYS}/{key}/versions?limit=100")
        rows = answer.json()["resources"] if answer.status == 200 else []
        return str(rows[-1]["id"]) if rows else key

    # ------------------------------------------------------------------ one of everything

    def refill(self) -> None:
        """One or more of everything that requests can be about."""
        target = self._target
        listed = target.must("GET", f"{VAULTS}?limit=100")["resources"]
        known = {each["display_name"]: each for each in listed}
        missing = [ocid for name, ocid in self._ocids.items() if name not in known]
        if missing:
            place = {"connection": CONNECTION, "region": REGION, "vault_id": missing}
            added = target.must("POST", f"{OCI}/add-vaults", place)["vaults"]
            known |= {each["display_name"]: each for each in added}
        vault = known[OPEN]["id"]
        if known[OPEN].get("connection") != CONNECTION:
            target.ask("PATCH", f"{VAULTS}/{vault}", {"connection": CONNECTION})
        entry = {"group": "CCKM Users", "permit": True, "actions": list(ACTIONS)}
        target.must("POST", f"{VAULTS}/{vault}/update-acls", {"acls": [entry]})
        if target.lacks(LOCAL):
            target.ask("POST", LOCAL, {"name": "fuzz-local", "algorithm": "AES", "size": 256})
        self._keys(vault)
        number = next(target.numbers)
        if target.lacks(CONNECTIONS):
            target.must("POST", CONNECTIONS, self._connection(f"fuzz-connection-oci-{number}"))
        for kind, body in (
            ("compartments", {"connection": CONNECTION, "compartment_id": self._compartments}),
            ("tenancy", {"connection": CONNECTION}),
        ):
            if target.lacks(f"{OCI}/{kind}"):
                target.must("POST", f"{OCI}/add-{kind}", body)
        for kind, asked in (
            ("synchronization-jobs", {"vaults": [vault]}),
            ("reports", {"name": f"fuzz-report-{number}", "report_type": "key-report"}),
        ):
            if target.lacks(f"{OCI}/{kind}"):
                target.must("POST", f"{OCI}/{kind}", asked)
        if target.lacks("/scheduler/job-configs"):
            target.must("POST", "/scheduler/job-configs", _rotation(number))

    def _keys(self, vault: str) -> None:
        """A key that is enabled, has two versions, and may be changed; one that waits; one of a local key."""
        target = self._target
        if target.lacks(f"{KEYS}?lifecycle_state=ENABLED&cckm_vault_id={vault}"):
            made = self._key(vault)
            target.ask("POST", f"{KEYS}/{made}/versions", {"is_native": True})
            target.ask("POST", f"{KEYS}/{self._key(vault)}/schedule-deletion", {})
            target.ask("POST", f"{KEYS}/{self._key(vault)}/disable")
            body = self._body(vault) | {"source_key_identifier": "fuzz-local"}
            target.ask("POST", f"{OCI}/upload-key", body)

    def _key(self, vault: str, name: str = "") -> str:
        body = {**self._body(vault, name), "algorithm": "AES", "length": 32}
        return str(self._target.must("POST", KEYS, body)["id"])

    def _body(self, vault: str, name: str = "") -> dict[str, str]:
        return {
            "vault": vault,
            "name": name or f"fuzz-key-{next(self._target.numbers)}",
            "protection_mode": "SOFTWARE",
            "compartment_id": self._compartments[0],
        }

    def _connection(self, name: str) -> dict[str, Any]:
        told = dict(line.split("=", 1) for line in self._profile.splitlines() if "=" in line)
        return {
            "name": name,
            "user_ocid": self._signer.user_id,
            "tenancy_ocid": self._signer.tenancy_id,
            "fingerprint": told["fingerprint"],
            "region": REGION,
            "credentials": {"key_file": Path(told["key_file"]).read_text()},
            "realm_domain": f"localhost:{self._target.port}",
        }

    # ------------------------------------------------------------------ what must stay

    def keep(self) -> None:
        """Keys that nobody names, in a vault that nobody names."""
        listed = self._target.must("GET", f"{VAULTS}?display_name={KEPT}")["resources"]
        for number in range(2):
            key = self._key(listed[0]["id"], f"kept-key-{number}")
            if number:
                self._target.must("POST", f"{KEYS}/{key}/schedule-deletion", {})
        give_up_at = time.monotonic() + 20.0
        while any(_state(each) not in ("ENABLED", "PENDING_DELETION") for each in self._kept()):
            if time.monotonic() > give_up_at:
                raise RuntimeError("the keys that are to be kept do not settle")
            time.sleep(0.2)

    def _kept(self) -> list[Any]:
        rows = self._target.must("GET", f"{KEYS}?key_name=kept-*&limit=100")["resources"]
        return sorted(rows, key=lambda each: str(each["id"]))

    def shown(self) -> object:
        """What must be the same at the end."""
        return [
            [
                *(each.get(name) for name in _STABLE),
                *(each["oci_params"].get(name) for name in _STABLE_IN_OCI),
            ]
            for each in self._kept()
        ]


def _state(record: Mapping[str, Any]) -> str:
    return str(record["oci_params"]["lifecycle_state"])


def _rotation(number: int) -> dict[str, Any]:
    return {
        "name": f"fuzz-rotation-{number}",
        "operation": "cckm_key_rotation",
        "run_at": "0 3 1 1 *",
        "cckm_key_rotation_params": {"cloud_name": "oci"},
    }
