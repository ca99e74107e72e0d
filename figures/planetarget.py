"""The control plane that hostile input is sent to: callers of every sort, objects to meet, and some that nobody names.

Drawn requests know objects by words that stand for ids (`~cckm.azure.secrets~0~`); `replaced` puts in what is there at
the moment, so that the same seed draws the same requests though ids are random. What is named `fuzz-...` is fair game;
what is named `kept-...` must be the same at the end. A caller whom the trial has robbed of his rights or his password
is replaced by a new user with the same rights.
"""

from __future__ import annotations

import itertools
import json
import re
import time
import uuid
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from bench import machine
from bench.client import Answer, ask, request
from figures.ociplane import OciPart
from figures.target import MAX_GROWTH_MIB, SetProduct, complaints

HOST = "localhost"
API = "/api/v1"
PASSWORD = "correct-horse-9-Battery"
SUBSCRIPTION = "c1a51e50-0000-4000-8000-000000000001"
VAULTS = ("fuzz-open", "fuzz-spare", "kept-vault")
NAMES = ("fuzz-1", "fuzz-2", "fuzz-3", "Fuzz-4")
ROLES: Mapping[str, tuple[str, ...]] = {
    "officer": ("admin",),
    "keeper": ("CCKM Admins",),
    "reader": ("CCKM Users",),
    "stranger": (),
}
"""Callers by the groups they are in; the reader has what the ACL of a vault gives to his group."""
ACTIONS = (
    "secretview", "secretcreate", "secretupdate", "secretdelete", "secretpurge", "secretrecover",
    "secretrestore", "secretdeletebackup", "secretsynchronize",
)  # fmt: skip
PATIENCE_S = 180.0
SETTINGS = {"CLAVIGER_ADMIN_PASSWORD": PASSWORD, "CLAVIGER_LOG_LEVEL": "info"}
_WORD = re.compile(rb"~([a-z0-9.-]+)~(\d)~")
"""Nothing in it is ever escaped, wherever it stands in a URL."""
_TOKEN = re.compile(rb"@token-(\w+)@")

ON_THIS_MACHINE = """
from claviger.cckm.azure.connections import cloud as azure
from claviger.cckm.oci.connections import cloud as oci
from claviger.cckm.pace import Limits

_limits = Limits(connect_s=1, read_s=3, sign_in_s=2, call_s=4, queue_s=1, read_retries=0)


def bound(clouds):
    make = clouds.__init__
    clouds.__init__ = lambda self, safe: make(self, safe, _limits, "http://127.0.0.1:1")


bound(azure.AzureClouds)
bound(oci.OciClouds)
"""
"""For the server of a trial: whatever connections are drawn, none leads to a real cloud or is waited for long."""


class PlaneTarget:
    """A prepared server."""

    def __init__(self, product: SetProduct) -> None:
        self.product = product
        self.tokens: dict[str, str] = {}
        self.told = product.told()
        self.numbers = itertools.count(1)
        self.oci: OciPart | None = None
        self._listed: dict[str, list[str]] = {}
        self._refresh_token = ""
        self._before: object = None
        self._rss_before_kib = 0

    @property
    def port(self) -> int:
        """Where it listens."""
        return self.product.port

    # ------------------------------------------------------------------ calls

    def ask(self, method: str, path: str, body: object = None, caller: str | None = "admin") -> Answer:
        """One request on a connection of its own, to a path below /api/v1."""
        content = None if body is None else json.dumps(body).encode()
        token = self.tokens[caller] if caller else None
        raw = request(method, f"{HOST}:{self.port}", API + path, token, content)
        return ask(self.port, self.product.context, raw, HOST, 30.0)

    def must(self, method: str, path: str, body: object = None, caller: str | None = "admin") -> Any:
        """The JSON of a call that must succeed."""
        answer = self.ask(method, path, body, caller)
        if answer.status == 401 and caller == "admin":  # its token lives for minutes
            self.tokens["admin"] = self._refreshed() or self.sign_in("admin")
            answer = self.ask(method, path, body, caller)
        give_up_at = time.monotonic() + PATIENCE_S
        while answer.status == 429 and time.monotonic() < give_up_at:  # the trial itself keeps it busy
            time.sleep(0.2)
            answer = self.ask(method, path, body, caller)
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path} was answered {answer.status} {answer.body[:300]!r}")
        return answer.json() if answer.body else None

    def sign_in(self, username: str) -> str:
        """A token of a user with the password that all have; waits where too many sign-ins have failed."""
        give_up_at = time.monotonic() + PATIENCE_S
        while not (token := self._signed_in(username)):
            if time.monotonic() > give_up_at:
                raise RuntimeError(f"{username} cannot sign in")
            time.sleep(2)
        return token

    def _signed_in(self, username: str) -> str:
        """A token, or "" while too many sign-ins have failed, or come at once."""
        answer = self.ask("POST", "/auth/tokens", {"username": username, "password": PASSWORD}, None)
        if answer.status not in (200, 429):
            raise RuntimeError(f"{username} cannot sign in: {answer.status} {answer.body[:300]!r}")
        if answer.status != 200:
            return ""
        told = answer.json()
        if username == "admin":
            self._refresh_token = told["refresh_token"]
        return str(told["jwt"])

    def _refreshed(self) -> str:
        """Another token of the admin's session, which no failed sign-in of this address delays; "" where it ended."""
        body = {"grant_type": "refresh_token", "refresh_token": self._refresh_token}
        answer = self.ask("POST", "/auth/tokens", body, None)
        return str(answer.json()["jwt"]) if answer.status == 200 else ""

    # ------------------------------------------------------------------ callers

    def renew(self, who: str) -> None:
        """A new user in the place of the caller, with a token; none while too many sign-ins have failed."""
        name = f"caller-{who}-{next(self.numbers)}"
        made = self.must("POST", "/usermgmt/users", {"username": name, "password": PASSWORD})
        for group in ROLES[who]:
            self.must("POST", f"/usermgmt/groups/{group.replace(' ', '%20')}/users/{made['user_id']}")
        self.tokens[who] = self._signed_in(name) or self.tokens[who]

    @staticmethod
    def lost(status: int, body: bytes) -> bool:
        """Whether an answer tells that its caller is not what he was."""
        return status == 401 or (status == 403 and b"change the password first" in body)

    # ------------------------------------------------------------------ words

    def replaced(self, text: bytes) -> bytes:
        """A drawn text with what is there now in the place of its words; a random id where nothing is."""
        return _WORD.sub(lambda word: self.ident("/" + word[1].decode().replace(".", "/"), int(word[2])).encode(), text)

    def with_token(self, raw: bytes) -> bytes:
        """A request with the tokens of this moment."""
        return _TOKEN.sub(lambda word: self.tokens[word[1].decode()].encode(), raw)

    def ident(self, path: str, number: int) -> str:
        """What is there now for a word; a random id where nothing is."""
        found = self._listed.get(path)
        if found is None:
            of_oci = None if self.oci is None else self.oci.found(path)
            found = self._listed[path] = self._found(path) if of_oci is None else of_oci
        return found[number % len(found)] if found else str(uuid.uuid4())

    def _found(self, path: str) -> list[str]:
        try:
            told = self.must("GET", f"{path}{'&' if '?' in path else '?'}limit=100")
        except RuntimeError:
            return []
        rows = [each for each in told.get("resources", ()) if isinstance(each, dict)]
        fair = [each for each in rows if _is_fair(each)]
        first = "user_id" if path.startswith("/usermgmt/users") else "id"
        return [quote(str(each.get(first) or each.get("name")), safe="") for each in fair]

    def refill(self) -> None:
        """Sees to it that there is something of everything, and looks for what is there anew."""
        _refill(self)
        self._listed.clear()

    def lacks(self, path: str) -> bool:
        """Whether nothing that is fair game is listed at a path."""
        return not self._found(path)

    @staticmethod
    def word(path: str, number: int) -> str:
        """What stands for the id of something that is listed at a path below /api/v1."""
        return f"~{path.strip('/').replace('/', '.')}~{number}~"

    # ------------------------------------------------------------------ before and after

    def begin(self) -> None:
        """Notes what must be the same at the end."""
        self._before = self._shown()
        self._rss_before_kib = machine.resident_kib(self.product.pid)

    def growth_mib(self) -> float:
        """How much memory the server has gained since `begin`."""
        return (machine.resident_kib(self.product.pid) - self._rss_before_kib) / 1024

    def findings(self) -> list[tuple[str, str]]:
        """What is wrong with the server after a trial."""
        try:
            found = [] if self.lives() else [("server down", "/health does not say ready")]
            after = self._shown()
        except (OSError, RuntimeError, ValueError, LookupError) as problem:
            return [("server down", f"{type(problem).__name__}: {problem}"), *complaints(self.product)]
        if after != self._before:
            found.append(("state changed", f"before {self._before}, after {after}"))
        grown = self.growth_mib()
        if grown > MAX_GROWTH_MIB:
            found.append(("memory", f"grown by {grown:.0f} MiB"))
        return [*found, *complaints(self.product)]

    def lives(self) -> bool:
        """Whether the server is ready, and knows its admin."""
        self.must("GET", "/auth/self/user")
        raw = request("GET", f"{HOST}:{self.port}", "/health")
        told = ask(self.port, self.product.context, raw, HOST, 20.0).json()
        return bool(told["status"] == "ready")

    def _shown(self) -> object:
        kept = [self.must("GET", "/usermgmt/users?username=kept-user"), self.must("GET", "/domains?name=kept-domain")]
        secrets = self.must("GET", "/cckm/azure/secrets?limit=1000")["resources"]
        stable = ("id", "secret_name", "version", "status", "backup", "azure_param")
        shown = [[each.get(name) for name in stable] for each in secrets if each["secret_name"].startswith("kept-")]
        return [*(_stable(each) for each in kept), shown, *([] if self.oci is None else [self.oci.shown()])]


def _stable(listed: Any) -> Any:
    return [{name: value for name, value in each.items() if name != "updatedAt"} for each in listed["resources"]]


def _is_fair(record: Mapping[str, Any]) -> bool:
    """Whether anybody may do anything to it: what the trial itself has made, and what goes with it."""
    said = json.dumps(record)
    if record.get("name") in ("embedded-azure", "embedded-oci", "root"):
        return False
    return "kept-" not in said and "caller-" not in said and ("fuzz-" in said or "username" not in record)


def prepare(product: SetProduct) -> PlaneTarget:
    """Makes callers, vaults, secrets and sentinels on a started server with the settings SETTINGS."""
    target = PlaneTarget(product)
    for vault in VAULTS:
        product.command("vault", "create", vault)
    target.tokens["admin"] = target.sign_in("admin")
    target.tokens["misfit"] = product.token  # of the embedded cloud
    for who in ROLES:
        target.renew(who)
    target.oci = OciPart(target)
    _refill(target)
    _keep(target)
    target.oci.keep()
    return target


def _refill(target: PlaneTarget) -> None:
    """One or more of everything that requests can be about."""
    _manage(target)
    if target.lacks("/cckm/azure/secrets?status=AVAILABLE"):
        deleted, purged, *_ = [_secret(target, "fuzz-open") for _ in range(4)]
        _secret(target, "fuzz-spare")
        target.must("POST", f"/cckm/azure/secrets/{deleted}/soft-delete")
        target.must("POST", f"/cckm/azure/secrets/{purged}/soft-delete")
        target.must("POST", f"/cckm/azure/secrets/{purged}/hard-delete?wait=20")
    number = next(target.numbers)
    victim = {"username": "fuzz-victim", "password": PASSWORD, "name": "fuzz-"}
    if target.lacks("/usermgmt/users?username=fuzz-victim"):
        target.must("POST", "/usermgmt/users", victim)
    more: tuple[tuple[str, object], ...] = (
        ("/usermgmt/groups", {"name": "fuzz-victims"}),
        ("/domains", {"name": f"fuzz-domain-{number}", "admins": ["admin"]}),
        ("/auth/clients", {"name": "fuzz-client"}),
        ("/connectionmgmt/services/azure/connections", _connection(target, f"fuzz-connection-{number}")),
        ("/claviger/notices/subscriptions", _hook(target.port)),
    )
    for path, body in more:
        if target.lacks(path):
            target.must("POST", path, body)
    if target.oci is not None:
        target.oci.refill()


def _manage(target: PlaneTarget) -> None:
    """Vaults under management, and what the ACL of one of them gives."""
    azure = "/cckm/azure"
    place = {"connection": "embedded-azure", "subscription_id": SUBSCRIPTION}
    listed = target.must("GET", f"{azure}/vaults?limit=100")["resources"]
    missing = set(VAULTS) - {each["azure_name"] for each in listed}
    if missing:
        target.must("POST", f"{azure}/get-subscriptions", {"connection": "embedded-azure"})
        found = target.must("POST", f"{azure}/get-vaults", place)["vaults"]
        ours = [each for each in found if each["name"] in missing]
        target.must("POST", f"{azure}/add-vaults", {**place, "vaults": ours})
        listed = target.must("GET", f"{azure}/vaults?limit=100")["resources"]
    vault_id = next(each["id"] for each in listed if each["azure_name"] == "fuzz-open")
    entry = {"group": "CCKM Users", "permit": True, "actions": list(ACTIONS)}
    target.must("POST", f"{azure}/vaults/{vault_id}/update-acls", {"acls": [entry]})


def _secret(target: PlaneTarget, vault: str, name: str = "") -> str:
    name = name or f"fuzz-{next(target.numbers)}"
    asked = {"secret_name": name, "key_vault": vault, "azure_param": {"value": f"{name}!", "tags": {"team": "fuzz-"}}}
    ident: str = target.must("POST", "/cckm/azure/secrets", asked)["id"]
    return ident


def _hook(port: int) -> dict[str, object]:
    return {"url": f"https://{HOST}:{port}{API}/fuzz-hook", "types": ["test", "drift"], "description": "fuzz-hook"}


def _connection(target: PlaneTarget, name: str) -> dict[str, str]:
    told = target.told
    return {
        "name": name,
        "cloud_name": "AzureStack",
        "tenant_id": told["AZURE_TENANT_ID"],
        "client_id": told["AZURE_CLIENT_ID"],
        "client_secret": told["AZURE_CLIENT_SECRET"],
        **endpoints(target.port),
    }


def endpoints(port: int | str) -> dict[str, str]:
    """The embedded cloud's addresses, as a connection names them."""
    return {
        "active_directory_endpoint": f"https://login.localhost:{port}",
        "management_url": f"https://management.localhost:{port}",
        "resource_manager_url": f"https://management.localhost:{port}",
        "key_vault_dns_suffix": f"vault.localhost:{port}",
        "vault_resource_url": "https://vault.azure.net",
        "azure_stack_connection_type": "AAD",
    }


def _keep(target: PlaneTarget) -> None:
    """What nobody names."""
    target.must("POST", "/usermgmt/users", {"username": "kept-user", "password": PASSWORD, "nickname": "kept-"})
    target.must("POST", "/domains", {"name": "kept-domain", "admins": ["admin"]})
    for number in range(2):
        _secret(target, "kept-vault", f"kept-{number}")
