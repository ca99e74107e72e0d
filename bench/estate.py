"""Many vaults with many secrets in the embedded cloud, and a control plane of its own server that manages them.

The vaults are filled on the database of a stopped server, as `population.py` does. Everything is dated an hour back, as
it would be in an estate that was not made this minute.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bench.client import ask, request
from bench.product import SETTINGS_S, NotStarted, Product
from claviger import bootstrap
from claviger.bootstrap import House
from claviger.core.clock import SystemClock
from claviger.core.ids import new_version
from claviger.keyvault.secrets import records
from claviger.keyvault.secrets.operations import binding, scope_of
from claviger.keyvault.secrets.records import Version
from claviger.keyvault.vaults.operations import DEFAULT_SUBSCRIPTION, NewVault, create_vault
from claviger.keyvault.vaults.records import Vault
from claviger.lifecycle.retention import purge_at
from claviger.settings import load_settings
from claviger.store.contract import Tx

BATCH = 5_000
AGE_S = 3600
DELETED_SHARE = 50
PASSWORD = "bench-horse-9-Battery"
CONNECTION = "bench"
AZURE_JOBS = "/cckm/azure/secrets/synchronization-jobs"
RENEW_S = 200.0
POLL_S = 0.2


def vault_name(number: int) -> str:
    """The name of a vault of the estate."""
    return f"estate-{number:04d}"


async def fill(data: Path, vault_count: int, secrets_each: int) -> None:
    """Makes vaults, each with so many secrets, every fiftieth of them deleted; the server must be stopped."""
    async with bootstrap.opened(load_settings({}, data=data), SystemClock()) as house:
        for number in range(vault_count):
            vault = await create_vault(house.store, house.clock, NewVault(name=vault_name(number)))
            data_key_id = await house.keyring.ensure_data_key(scope_of(vault.id))
            with house.keyring.held(data_key_id):
                for start in range(0, secrets_each, BATCH):
                    chosen = range(start, min(start + BATCH, secrets_each))
                    await house.store.write(lambda tx, c=chosen, v=vault, k=data_key_id: _add(tx, house, v, k, c))


def _add(tx: Tx, house: House, vault: Vault, data_key_id: int, numbers: range) -> None:
    at = int(house.clock.now()) - AGE_S
    for number in numbers:
        name = f"secret-{number:06d}"
        version = Version(
            id=0,
            version=new_version(),
            enabled=True,
            not_before=None,
            expires_at=None,
            created_at=at,
            updated_at=at,
            content_type="text/plain" if number % 3 else None,
            tags=json.dumps({"team": f"team-{number % 7}"}, separators=(",", ":")) if number % 2 else None,
            data_key_id=data_key_id,
        )
        sealed = house.keyring.seal(data_key_id, b"value", binding(vault.id, name, version.version))
        secret_id = records.add_secret(tx, vault.id, name, name)
        records.set_latest(tx, secret_id, records.add_version(tx, secret_id, version, sealed))
        if number % DELETED_SHARE == DELETED_SHARE - 1:
            records.mark_deleted(tx, secret_id, at, purge_at(at, 90), None)


class Cloud(Product):
    """A server whose embedded cloud is the estate."""

    def prepare(self, vault_count: int, secrets_each: int, settings: Path | None = None) -> None:
        """Fills it, and lets its demo application look after everything in it. Leaves it running."""
        self.start()
        self.stop()
        asyncio.run(fill(self.data, vault_count, secrets_each))
        self.start()
        self.let_manage()

    def let_manage(self) -> None:
        """The demo application may do in every vault what a control plane does."""
        for role in ("Key Vault Secrets Officer", "Reader"):
            client_id = self.told()["AZURE_CLIENT_ID"]
            command = ["role", "assign", role, client_id, "--subscription", DEFAULT_SUBSCRIPTION]
            command = [sys.executable, "-m", "claviger", *command, "--data", str(self.data), "--json"]
            done = subprocess.run(command, env=self.environment, capture_output=True, timeout=SETTINGS_S, check=False)
            if done.returncode:
                raise NotStarted(done.stderr.decode(errors="replace")[-1000:])


class ControlPlane(Product):
    """A server as an operator uses it: calls of its control plane as `admin`."""

    _token = ""
    _refresh_token = ""
    _renew_at = 0.0

    @property
    def environment(self) -> dict[str, str]:
        """With a first password of ours."""
        return super().environment | {"CLAVIGER_ADMIN_PASSWORD": PASSWORD}

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """The JSON of a call that succeeds. Raises RuntimeError."""
        if time.monotonic() > self._renew_at:
            # A password is only asked for once: hashing it takes 64 MiB, which would hide what the rest takes.
            grant = {"grant_type": "refresh_token", "refresh_token": self._refresh_token}
            asked = grant if self._refresh_token else {"username": "admin", "password": PASSWORD}
            told = self._send("POST", "/auth/tokens", None, asked)
            self._token, self._refresh_token = told["jwt"], told.get("refresh_token") or self._refresh_token
            self._renew_at = time.monotonic() + RENEW_S
        return self._send(method, path, self._token, body)

    def _send(self, method: str, path: str, token: str | None, body: Any) -> Any:
        content = None if body is None else json.dumps(body).encode()
        raw = request(method, f"localhost:{self.port}", f"/api/v1{path}", token, content)
        answer = ask(self.port, self.context, raw, "localhost", 120.0)
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path}: {answer.status} {answer.body[:300]!r}")
        return answer.json() if answer.body else None

    def connect(self, cloud: Cloud) -> None:
        """A connection to the cloud's Azure."""
        told = cloud.told()
        base = f"localhost:{urlsplit(told['AZURE_KEYVAULT_URL']).port}"
        body = {
            "name": CONNECTION,
            "client_id": told["AZURE_CLIENT_ID"],
            "tenant_id": told["AZURE_TENANT_ID"],
            "client_secret": told["AZURE_CLIENT_SECRET"],
            "products": ["cckm"],
            "active_directory_endpoint": f"https://login.{base}",
            "management_url": f"https://management.{base}",
            "resource_manager_url": f"https://management.{base}",
            "key_vault_dns_suffix": f"vault.{base}",
            "vault_resource_url": f"https://vault.{base}",
            "azure_stack_server_cert": (cloud.data / "tls" / "ca.pem").read_text(),
        }
        self.call("POST", "/connectionmgmt/services/azure/connections", body)

    def manage(self, numbers: Sequence[int]) -> list[str]:
        """Brings vaults of the estate under management; the ids of their records."""
        found: list[str] = []
        place = f"/subscriptions/{DEFAULT_SUBSCRIPTION}/resourceGroups/claviger/providers/Microsoft.KeyVault/vaults"
        for at in range(0, len(numbers), 20):
            names = [vault_name(number) for number in numbers[at : at + 20]]
            vaults = [
                {"azure_vault_id": f"{place}/{name}", "name": name, "properties": {"tenantId": DEFAULT_SUBSCRIPTION}}
                for name in names
            ]
            body = {"connection": CONNECTION, "subscription_id": DEFAULT_SUBSCRIPTION, "vaults": vaults}
            made = self.call("POST", "/cckm/azure/add-vaults", body)
            found += [vault["id"] for vault in made["vaults"]]
        return found

    def start_synchronization(self, vault_ids: Sequence[str]) -> str:
        """Starts a job; its id."""
        return str(self.call("POST", AZURE_JOBS, {"key_vaults": list(vault_ids)})["id"])

    def job(self, job_id: str, jobs: str = AZURE_JOBS) -> Any:
        """The job as it is now; `jobs` is the path of a cloud's."""
        return self.call("GET", f"{jobs}/{job_id}")

    def ended(self, job_id: str, jobs: str = AZURE_JOBS) -> Any:
        """The job as it ended."""
        while (job := self.job(job_id, jobs))["overall_status"] == "in_progress":
            time.sleep(POLL_S)
        return job
