"""The control plane's part of the leak trial: what comes in by its routes and errors, and what it makes itself.

Values made to be found go in where secrets belong (passwords, credentials of connections, secrets of webhooks, values,
material of local keys) and where they do not (wrong fields, broken JSON, headers, queries, paths). What the server
makes is collected as it is handed out: one-time password, access and refresh tokens, credentials of clients. And once
the server has stopped, everything that it has sealed is opened with its own keys, signing keys, backups and private
keys among it: none of that may stand anywhere either.
"""

from __future__ import annotations

import itertools
import json
import random
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
    load_pem_private_key,
)

from bench.client import Answer, ask, request
from claviger.bootstrap import opened
from claviger.cckm.sealed import Safe
from claviger.core.clock import SystemClock
from claviger.crypto.api_keys import fingerprint_of
from claviger.settings import load_settings
from figures.haystack import Haystack
from figures.needles import Needle, Search
from figures.planetarget import SUBSCRIPTION, endpoints
from figures.target import SetProduct

HOST = "localhost"
API = "/api/v1"
FIRST_MADE = 1_000_000
"""Numbers of what the server made itself begin here."""
LEAST = 24
_TOO_MUCH = ("long", "lines")
"""Kinds of values that a field may rightly refuse."""
SHOWN = 3
"""How many of a list are looked at one by one."""
OCI_CONNECTIONS = "/connectionmgmt/services/oci"
REGION = "us-ashburn-1"
WRONG: tuple[tuple[str, str, str], ...] = (
    ("POST", "/auth/tokens", '{"username":"admin","password":%s}'),
    ("POST", "/auth/tokens", '{"username":"leak-nobody","password":%s,"grant_type":"password"}'),
    ("POST", "/auth/tokens", '{"grant_type":"refresh_token","refresh_token":%s}'),
    ("POST", "/auth/tokens", '{"grant_type":"client_credential","client_id":"x","client_secret":%s}'),
    ("POST", "/auth/tokens", '{"password":[%s]}'),
    ("POST", "/auth/revoke", '{"jwt":%s}'),
    ("POST", "/auth/revoke", '{"refresh_token":%s}'),
    ("PATCH", "/auth/changepw", '{"password":%s,"new_password":%s}'),
    ("PATCH", "/auth/changepw", '{"password":"x","new_password":{"a":%s}}'),
    ("POST", "/usermgmt/users", '{"username":"","password":%s}'),
    ("POST", "/usermgmt/users", '{"username":"leak-x","password":[%s]}'),
    ("PATCH", "/usermgmt/users/nobody", '{"password":%s}'),
    ("POST", "/connectionmgmt/services/azure/connections", '{"name":"leak-x","client_secret":%s}'),
    ("POST", "/connectionmgmt/services/azure/connections", '{"name":"leak-x","client_secret":[%s]}'),
    ("POST", "/connectionmgmt/services/azure/connections", '{"name":"leak-x","client_secrte":%s,"cloud_name":5}'),
    ("POST", "/connectionmgmt/services/azure/connections/nothing/test", '{"client_secret":%s}'),
    ("POST", "/cckm/azure/secrets", '{"secret_name":"leak-x","key_vault":"nowhere","azure_param":{"value":%s}}'),
    ("POST", "/cckm/azure/secrets", '{"secret_name":"leak_x","key_vault":"leak-plane","azure_param":{"value":%s}}'),
    ("POST", "/cckm/azure/secrets", '{"secret_name":"leak-x","key_vault":"leak-plane","azure_param":{"value":[%s]}}'),
    ("POST", "/cckm/azure/secrets", '{"secret_name":"leak-x","azure_param":%s}'),
    ("POST", "/cckm/azure/secrets", '{"secret_name":"leak-x","azure_param":{"value":%s}'),
    ("POST", "/cckm/azure/secrets", "[%s]"),
    ("POST", "/cckm/azure/secrets", "%s"),
    ("PATCH", "/cckm/azure/secrets/nothing", '{"value":%s}'),
    ("POST", f"{OCI_CONNECTIONS}/connections", '{"name":"leak-x","credentials":{"key_file":%s}}'),
    ("POST", f"{OCI_CONNECTIONS}/connections", '{"name":"leak-x","credentials":{"key_file":"x","pass_phrase":%s}}'),
    ("POST", f"{OCI_CONNECTIONS}/connections", '{"name":"leak-x","credentials":%s}'),
    ("POST", f"{OCI_CONNECTIONS}/connections", '{"name":"leak-x","credentials":{"key_flie":[%s]}}'),
    ("POST", f"{OCI_CONNECTIONS}/connection-test", '{"credentials":{"key_file":%s,"pass_phrase":%s}}'),
    ("PATCH", f"{OCI_CONNECTIONS}/connections/embedded-oci", '{"credentials":{"key_file":%s}}'),
    ("POST", "/vault/keys2", '{"name":"leak-x","material":%s}'),
    ("POST", "/vault/keys2", '{"name":"leak-x","material":%s,"encoding":"base64"}'),
    ("POST", "/vault/keys2", '{"name":"leak-x","algorithm":"RSA","size":2048,"material":%s}'),
    ("POST", "/vault/keys2", '{"name":"leak-x","algorithm":"EC","curveid":"secp256r1","material":%s}'),
    ("POST", "/vault/keys2", '{"name":"leak-x","material":[%s]}'),
    ("POST", "/vault/keys2", '{"name":"leak-x","maretial":%s}'),
    ("POST", "/vault/keys2/leak-aes/export?material=%v", '{"material":%s}'),
    ("POST", "/cckm/oci/upload-key", '{"vault":"nowhere","material":%s}'),
    ("POST", "/cckm/oci/issuers", '{"name":"leak-x","client_secret":%s}'),
    ("POST", "/claviger/notices/subscriptions", '{"url":"nonsense","secret":%s}'),
    ("POST", "/claviger/notices/subscriptions", '{"url":"https://localhost:1/x","secret":[%s]}'),
    ("GET", "/auth/self/user?password=%v", ""),
    ("GET", "/cckm/azure/secrets?value=%v", ""),
    ("POST", "/nowhere?token=%v", '{"value":%s}'),
    ("BREW", "/auth/tokens", '{"password":%s}'),
)
"""Calls that are refused, or that pass the value over: `%s` is it as JSON, `%v` in a query."""


class PlaneLeaks:
    """The part, on a started server without a preset password. Findings and answers go where the trial has its own."""

    def __init__(
        self, product: SetProduct, haystack: Haystack, findings: list[tuple[str, str]], vault: str, seed: int
    ) -> None:
        self._product = product
        self._haystack = haystack
        self._findings = findings
        self._vault = vault
        self._dice = random.Random(f"plane/{seed}")
        self._made = itertools.count(FIRST_MADE)
        self.made: list[Needle] = []
        self.opened = 0
        self._token: str | None = None
        self._other: str | None = None

    # ------------------------------------------------------------------ bringing values in

    def push(self, needles: list[Needle]) -> None:
        """Brings all values in: a part of them where secrets belong, the others in ways that are refused."""
        kept = [needle for needle in needles if needle.kind not in _TOO_MUCH]
        line = itertools.chain(kept, (needle for needle in needles if needle.kind in _TOO_MUCH))
        self._sign_in_first(next(line).value)
        self._manage()
        self._store(line)
        for at, needle in enumerate(line):
            method, path, body = WRONG[at % len(WRONG)]
            spelled = json.dumps(needle.value, ensure_ascii=needle.number % 2 == 0)
            asked = path.replace("%v", quote(needle.value, safe=""))
            token = self._dice.choice((self._token, self._token, None, f"{needle.number}.x.y"))
            answer = self._ask(method, asked, body.replace("%s", spelled).encode() if body else None, token)
            self._judge(answer, needle, f"{method} {path} {body}")

    def _sign_in_first(self, password: str) -> None:
        """With the one-time password, which is then changed to a value of ours."""
        once = self._product.command("admin", "one-time-password")["password"]
        self.learn("one-time password", once)
        changed = {"username": "admin", "password": once, "new_password": password}
        self._must("PATCH", "/auth/changepw", changed, None)
        signed_in = self._must("POST", "/auth/tokens", {"username": "admin", "password": password}, None)
        self._token = signed_in["jwt"]
        self._learn_tokens(signed_in)

    def _manage(self) -> None:
        """Brings the vault under management."""
        azure = "/cckm/azure"
        place = {"connection": "embedded-azure", "subscription_id": SUBSCRIPTION}
        self._must("POST", f"{azure}/get-subscriptions", {"connection": "embedded-azure"})
        found = self._must("POST", f"{azure}/get-vaults", place)["vaults"]
        ours = [each for each in found if each["name"] == self._vault]
        self._must("POST", f"{azure}/add-vaults", {**place, "vaults": ours})

    def _store(self, line: Iterator[Needle]) -> None:
        """Everything that is kept of what comes in, by the routes where it belongs."""

        def take() -> str:
            return next(line).value

        password = take()
        self._must("POST", "/usermgmt/users", {"username": "leak-user", "password": password})
        self._must("POST", "/usermgmt/users", {"username": "leak-late", "password": take()})
        signed_in = self._must("POST", "/auth/tokens", {"username": "leak-user", "password": password}, None)
        self._learn_tokens(signed_in)
        refresh = {
            "grant_type": "refresh_token",
            "refresh_token": signed_in["refresh_token"],
            "renew_refresh_token": True,
        }
        renewed = self._must("POST", "/auth/tokens", refresh, None)
        self._learn_tokens(renewed)
        self._other = renewed["jwt"]
        self._must("PATCH", "/auth/changepw", {"username": "leak-user", "password": password, "new_password": take()})
        client = self._must("POST", "/auth/clients", {"name": "leak-client"})
        self._learn_texts("client", client, ("client_secret", "secret"))
        self._connections(take(), take())
        self._oci(take())
        for name in ("leak-a", "leak-b", "leak-c"):
            asked = {"secret_name": name, "key_vault": self._vault, "azure_param": {"value": take()}}
            made = self._must("POST", "/cckm/azure/secrets", asked)
        place = f"/cckm/azure/secrets/{made['id']}"
        for action in ("soft-delete", "hard-delete", "restore"):
            self._must("POST", f"{place}/{action}?wait=30")
        hook = {"url": "https://localhost:1/leak", "types": ["test"]}
        self._learn_texts("webhook", self._must("POST", "/claviger/notices/subscriptions", hook), ("secret",))
        self._must("POST", "/auth/rotate-auth-key")

    def _connections(self, first: str, second: str) -> None:
        told = self._product.told()
        connection = {
            "name": "leak-connection",
            "cloud_name": "AzureStack",
            "tenant_id": told["AZURE_TENANT_ID"],
            "client_id": told["AZURE_CLIENT_ID"],
            "client_secret": first,
            **endpoints(self._product.port),
        }
        path = "/connectionmgmt/services/azure"
        made = self._must("POST", f"{path}/connections", connection)
        self._must("PATCH", f"{path}/connections/{made['id']}", {"client_secret": second})
        self._ask("POST", f"{path}/connections/{made['id']}/test", b"{}", self._token)  # refused by the login host
        self._ask("POST", f"{path}/connection-test", json.dumps(connection).encode(), self._token)
        self._must("POST", "/connectionmgmt/connections/csr", {"cn": "leak"})

    def _oci(self, phrase: str) -> None:
        """Keys of connections, and material of local keys, which is uploaded as well."""
        first, second, third = (rsa.generate_private_key(65537, 2048) for _ in range(3))
        aes = self._dice.randbytes(32)
        self.learn_bytes("local AES key", aes)
        for what, key in (("locked API key", first), ("API key", second), ("local RSA key", third)):
            self.learn_bytes(what, private_key(_pem(key).encode()) or b"")
        told = Path(self._product.told()["OCI_CONFIG_FILE"]).read_text()
        profile = dict(line.split("=", 1) for line in told.splitlines() if "=" in line)
        connection = {
            "name": "leak-oci",
            "user_ocid": profile["user"],
            "tenancy_ocid": profile["tenancy"],
            "fingerprint": fingerprint_of(_public(first)),
            "region": REGION,
            "credentials": {"key_file": _pem(first, phrase), "pass_phrase": phrase},
            "realm_domain": f"localhost:{self._product.port}",
        }
        made = self._must("POST", f"{OCI_CONNECTIONS}/connections", connection)
        changed = {"fingerprint": fingerprint_of(_public(second)), "credentials": {"key_file": _pem(second)}}
        self._must("PATCH", f"{OCI_CONNECTIONS}/connections/{made['id']}", changed)
        for path in (f"connections/{made['id']}/test", "connection-test"):  # refused: nobody has such a key
            self._ask("POST", f"{OCI_CONNECTIONS}/{path}", json.dumps(connection).encode(), self._token)
        self._must("POST", "/vault/keys2", {"name": "leak-aes", "size": 256, "material": aes.hex()})
        asked = {"name": "leak-rsa", "algorithm": "RSA", "size": 2048}
        self._must("POST", "/vault/keys2", {**asked, "material": _pem(third), "unexportable": True})
        self._must("POST", "/vault/keys2", {**asked, "name": "leak-made"})
        for name in ("leak-aes", "leak-made"):
            self._must("POST", f"/vault/keys2/{name}/export")
        self._upload()

    def _upload(self) -> None:
        """Brings a vault of OCI under management, and local keys into it."""
        place: dict[str, Any] = {"connection": "embedded-oci", "region": REGION}
        found = self._must("POST", "/cckm/oci/get-compartments", {"connection": "embedded-oci"})["data"]
        compartment = next(each["id"] for each in found if each["name"] == "production")
        there = self._must("POST", "/cckm/oci/get-vaults", {**place, "compartment_id": compartment})["data"]
        ocid = next(each["vault_id"] for each in there if each["lifecycle_state"] == "ACTIVE")
        added = self._must("POST", "/cckm/oci/add-vaults", {**place, "vault_id": [ocid]})["vaults"][0]
        body = {"vault": added["id"], "protection_mode": "SOFTWARE", "compartment_id": compartment}
        for name in ("leak-aes", "leak-rsa"):
            key = self._must("POST", "/cckm/oci/upload-key", {**body, "name": name, "source_key_identifier": name})
            version = {"is_native": False, "source_key_identifier": name}
            self._must("POST", f"/cckm/oci/keys/{key['id']}/versions", version)

    # ------------------------------------------------------------------ what the server made

    def learn_bytes(self, what: str, raw: bytes) -> None:
        """Some bytes that must stand nowhere."""
        assert len(raw) >= LEAST
        self.made.append(Needle(next(self._made), "", what, raw))

    def learn(self, what: str, value: str) -> None:
        """One more value that must stand nowhere; too short ones are no secret."""
        if len(value) >= LEAST or what == "one-time password":
            self.made.append(Needle(next(self._made), value, what))

    def _learn_tokens(self, answer: Mapping[str, Any]) -> None:
        """The signature of a token, and a refresh token without the word that finds it in the database."""
        self.learn("access token", answer["jwt"].rpartition(".")[2])
        self.learn("refresh token", answer.get("refresh_token", "")[16:])

    def _learn_texts(self, what: str, answer: Mapping[str, Any], names: tuple[str, ...]) -> None:
        found = [str(answer[name]) for name in names if answer.get(name)]
        if not found:
            raise RuntimeError(f"the {what} was given no secret: {sorted(answer)}")
        for value in found:
            self.learn(what, value.removeprefix("whsec_"))

    async def open_all(self) -> None:
        """Opens everything that is sealed, with the keys of the server, which has stopped."""
        values = {name.upper(): value for name, value in self._product.settings.items() if name.startswith("CLAVIGER_")}
        async with opened(load_settings(values, data=self._product.data), SystemClock()) as house:
            safe = Safe(house.store, house.keyring)
            for kind, ident in await house.store.read("SELECT kind, ident FROM cckm_sealed"):
                value = await safe.must_open(kind, ident)
                whole = value.reveal()
                # A backup begins with the id of the key that it is locked with, which is no secret.
                for piece in _pieces(whole[len(whole) // 2 :] if kind == "backup" else whole):
                    self.opened += 1
                    self.made.append(Needle(next(self._made), "", f"sealed {kind}", piece))

    # ------------------------------------------------------------------ what others are shown

    def look(self) -> None:
        """Everything that can be read, as an admin and as another user, and the pages about the API."""
        described = json.loads(self._ask("GET", "/openapi.json", None, None).body)
        for path, operations in described["paths"].items():
            if "get" in operations and "{" not in path:
                nobody = [None] if operations["get"].get("security") == [] else []
                for token in (self._token, self._other, *nobody):
                    answer = self._ask("GET", path.removeprefix(API), None, token)
                    self._haystack.add(f"answers to others: {path}", answer.body)
                    if token == self._token and answer.status == 200:
                        self._look_at_each(path, answer, described["paths"])

    def _look_at_each(self, path: str, answer: Answer, paths: Mapping[str, Any]) -> None:
        if not any("get" in paths[each] for each in paths if re.fullmatch(re.escape(path) + r"/\{\w+\}", each)):
            return
        for each in json.loads(answer.body).get("resources", ())[:SHOWN]:
            ident = quote(str(each.get("user_id") or each.get("id") or each.get("name")), safe="")
            told = self._ask("GET", f"{path.removeprefix(API)}/{ident}", None, self._token)
            self._haystack.add(f"answers to others: {path}/one", told.body)

    # ------------------------------------------------------------------ inside

    def _judge(self, answer: Answer, needle: Needle, way: str) -> None:
        if answer.status >= 500 and answer.status not in (501, 502, 504):
            self._findings.append(("5xx", f"{way}: {answer.status} {answer.body[:200]!r}"))
        if Search([needle]).places_in(answer.body):
            self._findings.append(("told to its sender", f"{way}: {answer.status} {answer.body[:300]!r}"))

    def _must(self, method: str, path: str, body: object = None, token: str | None = "own") -> Any:
        content = None if body is None else json.dumps(body).encode()
        answer = self._ask(method, path, content, self._token if token == "own" else token)
        if answer.status >= 300:
            self._findings.append(("not stored", f"{method} {path}: {answer.status} {answer.body[:200]!r}"))
            raise RuntimeError(f"{method} {path} was answered {answer.status} {answer.body[:300]!r}")
        return json.loads(answer.body) if answer.body else None

    def _ask(self, method: str, path: str, body: bytes | None, token: str | None) -> Answer:
        raw = request(method, f"{HOST}:{self._product.port}", API + path, token, body)
        return ask(self._product.port, self._product.context, raw, HOST, 30.0)


def _pieces(value: bytes) -> Iterator[bytes]:
    """What of a sealed value is secret: of a private key the number, of a JSON object its texts; else all of it.

    A private key also holds its public half, which is shown to everybody.
    """
    key = private_key(value)
    if key is not None:
        yield key
        return
    try:
        told = json.loads(value)
    except ValueError:
        yield value
        return
    left = [told]
    while left:
        each = left.pop()
        if isinstance(each, dict | list):
            left += each.values() if isinstance(each, dict) else each
        elif isinstance(each, str) and len(each) >= LEAST:
            yield private_key(each.encode()) or each.encode()


def _pem(key: rsa.RSAPrivateKey, phrase: str = "") -> str:
    lock = BestAvailableEncryption(phrase.encode()) if phrase else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, lock).decode()


def _public(key: rsa.RSAPrivateKey) -> str:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def private_key(value: bytes) -> bytes | None:
    """The secret number of a private key, as PEM or DER; None for anything else."""
    load = load_pem_private_key if value.startswith(b"-----BEGIN") else load_der_private_key
    try:
        key = load(value, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return key.private_numbers().private_value.to_bytes((key.key_size + 7) // 8)
    if isinstance(key, rsa.RSAPrivateKey):
        return key.private_numbers().p.to_bytes(key.key_size // 16)
    return None
