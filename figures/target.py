"""The server that hostile input is sent to: a real process with vaults, callers of different rights, and sentinels.

Sentinels are secrets that no input names: live, disabled, of several versions, deleted. What the server shows of them
must be the same after a trial as before it. `vault` is the one where the main caller may do everything; `kept` is one
where it may do nothing, so that nothing at all may change there.
"""

from __future__ import annotations

import base64
import json
import os
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from click.testing import CliRunner, Result

from bench import machine
from bench.client import Answer, ask, request
from bench.product import Product
from claviger.cli.main import main

OFFICER, READER = "Key Vault Secrets Officer", "Key Vault Reader"
SUBSCRIPTION = "5eed5eed-5eed-4eed-8eed-5eed5eed5eed"
GROUP = "fuzz-group"
LOGIN, MANAGEMENT = "login.localhost", "management.localhost"
KNOWN_NAMES = ("fuzz-1", "fuzz-2", "fuzz-3", "Fuzz-4")
MAX_GROWTH_MIB = 96.0


class SetProduct(Product):
    """A server with settings of its own (`CLAVIGER_...`)."""

    def __init__(self, data: Path, settings: Mapping[str, str] | None = None) -> None:
        super().__init__(data)
        self.settings = dict(settings or {})

    @property
    def environment(self) -> dict[str, str]:
        """What commands and the server itself get."""
        return super().environment | self.settings

    @property
    def log(self) -> Path:
        """The file with all that the process said."""
        return self._log

    def command(self, *words: str) -> Any:
        """Runs a `claviger` command on this data, in this process to be quick; its JSON. Raises RuntimeError.

        Not to be called where an event loop runs.
        """
        done = self._invoke(*words, "--json")
        if done.exit_code:
            raise RuntimeError(f"claviger {' '.join(words[:2])} failed: {done.stderr[-500:]} {done.exception!r}")
        return json.loads(done.stdout)

    def said_by(self, *words: str) -> str:
        """Everything that a command said, whether it succeeded or not."""
        done = self._invoke(*words)
        return f"{done.stdout}\n{done.stderr}\n{done.exception!r}"

    def _invoke(self, *words: str) -> Result:
        unset = {name: None for name in os.environ if name.startswith("CLAVIGER_")}
        return CliRunner().invoke(main, [*words, "--data", str(self.data)], env={**unset, **self.settings})


@dataclass(frozen=True)
class Application:
    """A program that may sign in."""

    client_id: str
    client_secret: str


@dataclass
class Target:
    """A prepared server. `tokens` are by what the caller may do in `vault`, `managing` are those for management calls.

    There the officer may do everything in SUBSCRIPTION; a misfit's token is for another audience.
    """

    product: SetProduct
    vault: str
    kept: str
    tenant_id: str
    applications: dict[str, Application] = field(default_factory=dict)
    tokens: dict[str, str] = field(default_factory=dict)
    managing: dict[str, str] = field(default_factory=dict)
    versions: list[str] = field(default_factory=list)
    places: list[dict[str, str]] = field(default_factory=list)
    blobs: list[str] = field(default_factory=list)
    _sentinels: list[tuple[str, str]] = field(default_factory=list)
    _before: object = None
    _rss_before_kib: int = 0

    @property
    def port(self) -> int:
        """Where it listens."""
        return self.product.port

    @property
    def tls_name(self) -> str:
        """The name that TLS is asked for."""
        return self.host(self.vault)

    def host(self, vault: str) -> str:
        """The name of a vault's host, without port."""
        return f"{vault}.vault.localhost"

    def without_tokens(self, raw: bytes) -> bytes:
        """A request with the name of its caller in the place of a token, to be shown."""
        for kind, tokens in (("", self.tokens), ("managing-", self.managing)):
            for who in self.applications:
                raw = raw.replace(tokens[who].encode(), f"<{kind}{who}>".encode())
        return raw

    def ask(self, method: str, host: str, path: str, body: object = None, caller: str | None = "officer") -> Answer:
        """One request on a connection of its own; `body` is sent as JSON."""
        content = None if body is None else json.dumps(body).encode()
        token = self.tokens[caller] if caller else None
        raw = request(method, f"{host}:{self.port}", path, token, content)
        return ask(self.port, self.product.context, raw, host, 20.0)

    def must(self, method: str, vault: str, path: str, body: object = None, caller: str | None = "officer") -> Any:
        """The JSON of a call that must succeed."""
        answer = self.ask(method, self.host(vault), f"{path}?api-version=7.6", body, caller)
        if answer.status not in (200, 204):
            raise RuntimeError(f"{method} {path} was answered {answer.status} {answer.body[:300]!r}")
        return answer.json() if answer.body else None

    def begin(self) -> None:
        """Notes what must be the same at the end: to be called once the trial's own set-up is done."""
        self._before = self._shown()
        self._rss_before_kib = machine.resident_kib(self.product.pid)

    def growth_mib(self) -> float:
        """How much memory the server has gained since `begin`."""
        return (machine.resident_kib(self.product.pid) - self._rss_before_kib) / 1024

    def findings(self) -> list[tuple[str, str]]:
        """What is wrong with the server after a trial: gone, not ready, changed, grown, or complaining in its log."""
        try:
            found = [] if self.lives() else [("server down", "/health does not say ready")]
            after = self._shown()
        except (OSError, RuntimeError, ValueError, LookupError) as problem:
            return [("server down", f"{type(problem).__name__}: {problem}"), *self.complaints()]
        if after != self._before:
            found.append(("state changed", f"before {self._before}, after {after}"))
        grown = self.growth_mib()
        if grown > MAX_GROWTH_MIB:
            found.append(("memory", f"grown by {grown:.0f} MiB"))
        failed = re.findall(r'claviger_requests_total\{[^}]*status="5xx"\} [1-9].*', self._text("/metrics"))
        found += [("5xx", f"counted in /metrics: {line}") for line in failed]
        return [*found, *self.complaints()]

    def complaints(self) -> list[tuple[str, str]]:
        """Errors that the server has logged."""
        return complaints(self.product)

    def lives(self) -> bool:
        """Whether the server is ready, and signs in an application that nobody attacked. Raises where it is gone."""
        self._sign_in("keeper")
        return bool(json.loads(self._text("/health"))["status"] == "ready")

    def _text(self, path: str) -> str:
        return self.ask("GET", "localhost", path, caller=None).body.decode()

    def _shown(self) -> object:
        """Everything that the server shows of the sentinels, and of the vault that nobody may touch."""
        told = [self.must("GET", vault, path, caller="keeper") for vault, path in self._sentinels]
        lists = ("/secrets", "/deletedsecrets")
        return [*told, *(self.must("GET", self.kept, path, caller="keeper") for path in lists)]

    def _sign_in(self, who: str, audience: str = "https://vault.azure.net") -> str:
        known = self.applications[who]
        form = {
            "grant_type": "client_credentials",
            "client_id": known.client_id,
            "client_secret": known.client_secret,
            "scope": f"{audience}/.default",
        }
        body = urlencode(form).encode()
        raw = request("POST", f"{LOGIN}:{self.port}", f"/{self.tenant_id}/oauth2/v2.0/token", None, body)
        raw = raw.replace(b"application/json", b"application/x-www-form-urlencoded")
        answer = ask(self.port, self.product.context, raw, LOGIN, 20.0)
        if answer.status != 200:
            raise RuntimeError(f"the token endpoint answered {answer.status}")
        token: str = answer.json()["access_token"]
        return token


def complaints(product: SetProduct) -> list[tuple[str, str]]:
    """Errors that a server has logged."""
    said = product.log.read_text(errors="replace").splitlines()
    bad = [line for line in said if " error " in line or " critical " in line or "Traceback" in line]
    return [("error in the log", line[:500]) for line in bad[:20]]


def prepare(product: SetProduct, seed: int) -> Target:
    """Makes callers, vaults, secrets and sentinels on a started server. Same seed, same names and values."""
    dice = random.Random(f"target/{seed}")
    told = product.told()
    target = Target(product, "fuzz-open", "fuzz-kept", told["AZURE_TENANT_ID"])
    target.applications["demo"] = Application(told["AZURE_CLIENT_ID"], told["AZURE_CLIENT_SECRET"])
    for vault in (target.vault, target.kept):
        product.command("vault", "create", vault)
    for who in ("officer", "reader", "stranger", "keeper"):
        made = product.command("app", "create", f"fuzz-{who}")
        target.applications[who] = Application(made["client_id"], made["client_secret"])
    for who, role, vault in (
        ("officer", OFFICER, target.vault),
        ("reader", READER, target.vault),
        ("keeper", OFFICER, target.vault),
        ("keeper", OFFICER, target.kept),
    ):
        product.command("role", "assign", role, target.applications[who].client_id, "--vault", vault)
    place = ("--subscription", SUBSCRIPTION)
    for vault, group, *more in (("fuzz-vault", GROUP), ("fuzz-anchor", "fuzz-anchor", "--purge-protection")):
        product.command("vault", "create", vault, "--resource-group", group, *place, *more)
    for who, role in (("officer", "Owner"), ("reader", "Reader")):
        product.command("role", "assign", role, target.applications[who].client_id, *place)
    for who in target.applications:
        target.tokens[who] = target._sign_in(who)
        target.managing[who] = target._sign_in(who, "https://management.azure.com")
    target.tokens["misfit"], target.managing["misfit"] = target.managing["officer"], target.tokens["officer"]
    _fill(target)
    _plant(target, dice)
    return target


def _fill(target: Target) -> None:
    """A few secrets with versions and backups, so that drawn requests meet something."""
    of_vaults = {"subscription": SUBSCRIPTION, "group": GROUP, "location": "local", "namespace": "Microsoft.KeyVault"}
    target.places += [of_vaults | {"vault": vault} for vault in ("fuzz-vault", "fuzz-second")]
    target.places.append({"tenant": target.tenant_id})
    for name in KNOWN_NAMES:
        for number in range(2):
            made = target.must("PUT", target.vault, f"/secrets/{name}", {"value": f"{name} {number}"})
            target.versions.append(urlsplit(made["id"]).path.rpartition("/")[2])
            target.places.append({"name": name, "secret-version": target.versions[-1]})
    for name in KNOWN_NAMES[:2]:
        target.blobs.append(target.must("POST", target.vault, f"/secrets/{name}/backup")["value"])
    target.must("DELETE", target.vault, f"/secrets/{KNOWN_NAMES[1]}")
    target.blobs.append(base64.urlsafe_b64encode(b"no backup of ours").decode().rstrip("="))


def _plant(target: Target, dice: random.Random) -> None:
    def name() -> str:
        return f"sentinel-{dice.getrandbits(64):016x}"

    for vault in (target.vault, target.kept):
        live, disabled, deleted = name(), name(), name()
        for number in range(2):
            content = {"value": f"{dice.getrandbits(64):x}", "tags": {"n": str(number)}, "contentType": "text/plain"}
            target.must("PUT", vault, f"/secrets/{live}", content, "keeper")
        target.must("PUT", vault, f"/secrets/{disabled}", {"value": "x", "attributes": {"enabled": False}}, "keeper")
        target.must("PUT", vault, f"/secrets/{deleted}", {"value": "x"}, "keeper")
        target.must("DELETE", vault, f"/secrets/{deleted}", caller="keeper")
        paths = (f"/secrets/{live}", f"/secrets/{live}/versions", f"/secrets/{disabled}/versions")
        target._sentinels += [(vault, path) for path in (*paths, f"/deletedsecrets/{deleted}")]
