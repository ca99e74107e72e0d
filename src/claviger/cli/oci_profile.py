"""The files that OCI's own programs read: a profile that signs as the demo user, its key, and where the hosts are.

They stand in the folder `oci` of the data directory, for its owner alone. The official SDKs take a key from a file,
and the regions of another realm from their developer tool configuration: there the realm's domain is `localhost:PORT`,
so that all that they ask in any region comes here.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from claviger.core.ids import new_token
from claviger.ocikms.hosts import LOCAL_DOMAIN
from claviger.ocikms.identity.demo import Signer
from claviger.ocikms.identity.regions import KEYS
from claviger.ocikms.ocids import REALM

REGIONS_VARIABLE = "OCI_DEVELOPER_TOOL_CONFIGURATION_FILE_PATH"
_PROFILE_VARIABLES = ("OCI_CLI_CONFIG_FILE", "OCI_CONFIG_FILE")
"""The first is the CLI's, the second the SDKs'."""
_FOLDER = "oci"
KEY_LABEL = "OCI_API_KEY"
"""A line behind the key, for programs that look for keys left lying about; the CLI warns where it is missing."""


def profile_variables(data: Path) -> dict[str, str]:
    """What makes programs sign as the demo user, once `write_profile` has written it."""
    return dict.fromkeys(_PROFILE_VARIABLES, str(_folder(data) / "config"))


def local_variables(data: Path) -> dict[str, str]:
    """What makes programs find this server by its local names, once `write_regions` has written it."""
    return {REGIONS_VARIABLE: str(_folder(data) / "regions.json")}


def write_profile(data: Path, demo: Signer) -> None:
    """Writes the demo user's profile and key."""
    folder = _folder(data)
    key = folder / "key.pem"
    lines = [
        "[DEFAULT]",
        f"user={demo.user_id}",
        f"fingerprint={demo.fingerprint}",
        f"tenancy={demo.tenancy_id}",
        f"region={demo.region}",
        f"key_file={key}",
    ]
    _write(key, f"{demo.private_key.reveal_text().rstrip()}\n{KEY_LABEL}\n")
    _write(folder / "config", "\n".join(lines) + "\n")


def write_regions(data: Path, port: int) -> None:
    """Writes where the regions are: below `localhost`, at this server's port."""
    domain = LOCAL_DOMAIN if port == 443 else f"{LOCAL_DOMAIN}:{port}"
    regions = [
        {"realmKey": REALM, "realmDomainComponent": domain, "regionKey": key.lower(), "regionIdentifier": name}
        for name, key in KEYS.items()
    ]
    told = {
        "developerToolConfigurationProvider": "Claviger",
        "services": [],
        "allowOnlyDeveloperToolConfigurationRegions": False,
        "regions": regions,
    }
    _write(_folder(data) / "regions.json", json.dumps(told, indent=1) + "\n")


def _folder(data: Path) -> Path:
    return data.resolve() / _FOLDER


def _write(path: Path, text: str) -> None:
    """Puts a file in place at once, for its owner alone; leaves one that says the same already."""
    path.parent.mkdir(mode=0o700, exist_ok=True)
    if path.exists() and path.read_text() == text:
        path.chmod(0o600)
        return
    beside = path.with_name(f"{path.name}.{new_token()[:8]}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    beside.replace(path)
