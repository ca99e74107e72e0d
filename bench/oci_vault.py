"""A server with a vault of the embedded OCI to be measured: keys made over HTTP, many more by copying rows.

Requests are signed in pools, shortly before they are sent: a signature is good for five minutes, and making one costs
more than answering the request does.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import apsw

from bench.client import ask
from bench.oci_signing import Signer
from bench.product import Product

REGION = "us-ashburn-1"
KEYS = "/20180608/keys"
LIMIT_S = 60.0
AES: Mapping[str, Any] = {"algorithm": "AES", "length": 32}
Request = tuple[str, str, str, bytes | None]
"""Method, host without port, target and body of a request that is not signed yet."""


class Refused(RuntimeError):
    """The server did not do what it has to do before anything can be measured."""


class OciVault:
    """A product, and one vault of the demo tenancy on it. Not started by the constructor."""

    def __init__(self, data: Path, cores: frozenset[int] | None) -> None:
        self.product = Product(data, cores)
        self.compartment = ""
        self.prefix = ""
        self._signer: Signer | None = None

    def open(self) -> None:
        """Starts the server and makes the vault. Raises Refused, NotStarted."""
        self.product.start()
        self._signer = Signer.from_profile(Path(self.product.told()["OCI_CONFIG_FILE"]))
        self.compartment = self._signer.tenancy_id
        asked = {"compartmentId": self.compartment, "displayName": "bench", "vaultType": "DEFAULT"}
        host = f"kms.{REGION}.localhost"
        made = self.must("POST", host, "/20180608/vaults", asked)
        self.prefix = made["id"].split(".")[4]

    @property
    def public_pem(self) -> str:
        """The key that verifies what is signed here."""
        assert self._signer is not None
        return self._signer.public_pem

    def host(self, plane: str) -> str:
        """The vault's management or crypto host."""
        return f"{self.prefix}-{plane}.kms.{REGION}.localhost"

    # ------------------------------------------------------------------ asking

    def signed(self, requests: Sequence[Request]) -> list[bytes]:
        """Whole requests, dated now."""
        assert self._signer is not None
        now, port = time.time(), self.product.port
        return [
            self._signer.request(method, f"{host}:{port}", target, body, now) for method, host, target, body in requests
        ]

    def must(self, method: str, host: str, target: str, body: Any = None) -> Any:
        """The JSON of a call that has to succeed. Raises Refused."""
        return self.listed(method, host, target, body)[0]

    def listed(self, method: str, host: str, target: str, body: Any = None) -> tuple[Any, str | None]:
        """The same with the mark of the next page."""
        content = None if body is None else json.dumps(body).encode()
        raw = self.signed([(method, host, target, content)])[0]
        answer = ask(self.product.port, self.product.context, raw, host, LIMIT_S)
        if answer.status != 200:
            raise Refused(f"{method} {target} was answered {answer.status} {answer.body[:300]!r}")
        return answer.json(), answer.headers.get("opc-next-page")

    # ------------------------------------------------------------------ what is in it

    def key(self, name: str, shape: Mapping[str, Any] = AES) -> Any:
        """A new key."""
        asked = {"compartmentId": self.compartment, "displayName": name, "keyShape": shape}
        return self.must("POST", self.host("management"), KEYS, asked)

    def multiply(self, key_id: str, count: int) -> None:
        """Copies the row of a key so many times, with identifiers, names and times of their own.

        Over HTTP it would take longer than all the rest. The server is stopped meanwhile.
        """
        self.product.stop()
        connection = apsw.Connection(str(self.product.data / "claviger.db"))
        try:
            columns = [str(row[1]) for row in connection.execute("PRAGMA table_info(oci_keys)")]
            own = {
                "id": f"'ocid1.key.oc1.iad.{self.prefix}.' || printf('%060d', n)",
                "display_name": "printf('key-%07d', n)",
                "created_at": f"created_at - {count} + n",
            }
            names = [name for name in columns if name != "num"]
            chosen = ", ".join(own.get(name, name) for name in names)
            connection.execute(
                "WITH RECURSIVE counted (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM counted WHERE n < ?)"
                f" INSERT INTO oci_keys ({', '.join(names)}) SELECT {chosen} FROM oci_keys, counted WHERE id = ?",
                (count, key_id),
            )
            connection.execute("ANALYZE").fetchall()
        finally:
            connection.close()
        self.product.start()

    def pages(self, by: str, limit: int, step: int) -> list[Request]:
        """Requests for pages of the list of keys all over it, one every `step` keys; the last ones are left out."""
        host = self.host("management")
        fixed = {"compartmentId": self.compartment, "sortBy": by}
        targets: list[str] = []
        mark: str | None = ""
        while mark is not None:
            page = {"page": mark} if mark else {}
            targets.append(f"{KEYS}?{urlencode({**fixed, 'limit': limit, **page})}")
            _, mark = self.listed("GET", host, f"{KEYS}?{urlencode({**fixed, 'limit': step, **page})}")
        return [("GET", host, target, None) for target in targets[: -max(1, limit // step)]]


def read(vault: OciVault, key_ids: Sequence[str]) -> list[Request]:
    """GetKey of each."""
    return [("GET", vault.host("management"), f"{KEYS}/{quote(ident, safe='')}", None) for ident in key_ids]


def used(vault: OciVault, operation: str, bodies: Sequence[Mapping[str, Any]]) -> list[Request]:
    """One call of the crypto plane with each body."""
    host, path = vault.host("crypto"), f"/20180608/{operation}"
    return [("POST", host, path, json.dumps(body).encode()) for body in bodies]


def coded(content: bytes) -> str:
    """As the wire has bytes."""
    return base64.b64encode(content).decode()
