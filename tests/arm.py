"""A small Resource Manager over HTTPS on the loopback, with what the embedded one does not have: managed HSMs, many
vaults, callers without rights, answers that lead astray. It keeps its vaults in memory and counts what it was asked.
"""

from __future__ import annotations

import ipaddress
import json
import re
import ssl
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlencode, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from tests.certificates import pem, rsa_key

SUBSCRIPTION = "1cda5d8b-c825-4976-9999-26022adb76b5"
TENANT = "d27d849e-e487-4b0e-a54c-a6e177867d10"
KINDS = {"vaults": "vaults", "managedhsms": "managedHSMs"}
_LIST = re.compile(r"/subscriptions/([^/]+)/providers/microsoft\.keyvault/(vaults|managedhsms)")
_ONE = re.compile(
    r"/subscriptions/([^/]+)/resourcegroups/([^/]+)/providers/microsoft\.keyvault/(vaults|managedhsms)/([^/]+)"
)


class Arm:
    """The cloud's truth: subscriptions and vaults. `refusing` are ARM ids that the caller may not read."""

    def __init__(self) -> None:
        self.url = ""
        self.authority = ""
        self.subscriptions: dict[str, dict[str, Any]] = {}
        self.vaults: dict[str, dict[str, Any]] = {}
        self.refusing: set[str] = set()
        self.asked: list[str] = []
        self.next_link: str | None = None
        self.add_subscription(SUBSCRIPTION, "Pay-As-You-Go")

    def add_subscription(self, ident: str, name: str) -> None:
        """A subscription with everything that Azure shows of one."""
        self.subscriptions[ident] = {
            "id": f"/subscriptions/{ident}",
            "subscriptionId": ident,
            "displayName": name,
            "state": "Enabled",
            "subscriptionPolicies": {
                "locationPlacementId": "Public_2014-09-01",
                "quotaId": "PayAsYouGo_2014-09-01",
                "spendingLimit": "Off",
            },
            "authorizationSource": "RoleBased",
            "tenantId": TENANT,
        }

    def add(self, name: str, kind: str = "vaults", subscription: str = SUBSCRIPTION, **properties: Any) -> str:
        """A vault or a managed HSM; its ARM id."""
        ident = f"/subscriptions/{subscription}/resourceGroups/lab/providers/Microsoft.KeyVault/{kind}/{name}"
        common = {"tenantId": TENANT, "enableSoftDelete": True, "softDeleteRetentionInDays": 90}
        entry: dict[str, Any] = {
            "id": ident,
            "name": name,
            "type": f"Microsoft.KeyVault/{kind}",
            "location": "northcentralus",
            "tags": {"team": "keys"},
        }
        if kind == "vaults":
            entry["properties"] = {
                **common,
                "sku": {"family": "A", "name": "standard"},
                "vaultUri": f"https://{name}.vault.azure.net/",
                "enableRbacAuthorization": True,
                "accessPolicies": [],
                "provisioningState": "Succeeded",
                **properties,
            }
        else:
            entry["sku"] = {"family": "B", "name": "Standard_B1"}
            entry["properties"] = {
                **common,
                "hsmUri": f"https://{name}.managedhsm.azure.net/",
                "enablePurgeProtection": True,
                "createMode": "default",
                "statusMessage": "The managed HSM is ready.",
                "provisioningState": "Succeeded",
                **properties,
            }
        self.vaults[ident.lower()] = entry
        return ident

    def answer(self, path: str, query: dict[str, list[str]]) -> tuple[int, Any]:
        """Status and body of a GET."""
        self.asked.append(path)
        low = unquote(path).lower().rstrip("/")
        if low == "/subscriptions":
            return 200, {"value": list(self.subscriptions.values())}
        if low.count("/") == 2 and low.startswith("/subscriptions/"):
            found = self.subscriptions.get(low.rpartition("/")[2])
            return (200, found) if found else _error(404, "SubscriptionNotFound", f"no subscription {low[-36:]}")
        listed = _LIST.fullmatch(low)
        if listed:
            if listed[1] not in self.subscriptions:
                return _error(404, "SubscriptionNotFound", f"The subscription '{listed[1]}' could not be found.")
            return 200, self._page(path, f"/providers/microsoft.keyvault/{listed[2]}/", listed[1], query)
        if _ONE.fullmatch(low):
            if low in {ident.lower() for ident in self.refusing}:
                return _error(403, "AuthorizationFailed", "The client does not have authorization to read it.")
            if low in self.vaults:
                return 200, self.vaults[low]
        return _error(404, "ResourceNotFound", f"The Resource '{path.rpartition('/')[2]}' was not found.")

    def _page(self, path: str, part: str, subscription: str, query: dict[str, list[str]]) -> dict[str, Any]:
        found = [
            entry
            for ident, entry in sorted(self.vaults.items())
            if part in ident and ident.startswith(f"/subscriptions/{subscription}/")
        ]
        top = int(query.get("$top", ["1000"])[0])
        start = int(query.get("$skiptoken", ["0"])[0])
        page: dict[str, Any] = {"value": found[start : start + top]}
        if start + top < len(found):
            more = {"api-version": query["api-version"][0], "$top": str(top), "$skiptoken": str(start + top)}
            page["nextLink"] = self.next_link or f"{self.url}{quote(path)}?{urlencode(more)}"
        return page


def _error(status: int, code: str, message: str) -> tuple[int, Any]:
    return status, {"error": {"code": code, "message": message}}


@contextmanager
def arm_running(folder: Path) -> Iterator[Arm]:
    """The twin on a free port of the loopback, with a certificate of its own that `authority` holds."""
    arm = Arm()
    key = rsa_key()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=2))
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
            critical=False,
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = folder / "arm.pem"
    file.write_bytes(pem(made, key))
    arm.authority = made.public_bytes(Encoding.PEM).decode()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            url = urlsplit(self.path)
            self._send(*arm.answer(url.path, parse_qs(url.query)))

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("content-length") or 0))
            self._send(200, {"access_token": str(uuid.uuid4()), "expires_in": 3600, "token_type": "Bearer"})

        def _send(self, status: int, body: Any) -> None:
            raw = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json; charset=utf-8")
            self.send_header("content-length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    arm.url = f"https://localhost:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield arm
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()
