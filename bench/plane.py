"""The control plane: reading one record against the bare hello, creating one against the cloud's own SDK, memory.

A record is read as clients read it, over kept TLS connections with a token, by the same load as the other reads. A
creation goes through the control plane to the embedded cloud, one after the other; it is compared with a program of its
own (`bench.bare_sdk`) that makes the same calls of the cloud, set and back up, on the same server with the official SDK
and nothing else. Both sides wait for the same server, so their ratio shows what the record costs.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from bench import machine
from bench.client import Client, ask, request
from bench.load import Generator
from bench.product import Product
from bench.rates import READ_CONNECTIONS, Plan, Sample, against, hello_server, sample
from bench.report import Figure, interleaved, ratio

HOST = "localhost"
API = "/api/v1"
AZURE = f"{API}/cckm/azure"
SECRETS = f"{AZURE}/secrets"
SUBSCRIPTION = "c1a51e50-0000-4000-8000-000000000001"
PASSWORD = "correct-horse-9-Battery"
RECORDS = 500
LEAST_READ = 0.25
MOST_CREATE = 2.0
MAX_IDLE_MIB = 120
MAX_USED_MIB = 120
SDK_LIMIT_S = 120.0


class Refused(RuntimeError):
    """The control plane did not do what it has to do before anything can be measured."""


class PlaneProduct(Product):
    """The product with an `admin` whose password is known."""

    @property
    def environment(self) -> dict[str, str]:
        """The environment of the server and of commands on its data."""
        return super().environment | {"CLAVIGER_ADMIN_PASSWORD": PASSWORD}

    def call(self, method: str, path: str, body: object = None, token: str | None = None) -> Any:
        """The JSON of a call to the control plane on a connection of its own. Raises Refused."""
        raw = self.plane_request(method, path, body, token)
        answer = ask(self.port, self.context, raw, HOST, 20.0)
        if answer.status >= 300:
            raise Refused(f"{method} {path} was answered {answer.status} {answer.body[:300]!r}")
        return answer.json() if answer.body else None

    def plane_request(self, method: str, path: str, body: object = None, token: str | None = None) -> bytes:
        """A whole request to the control plane."""
        content = None if body is None else json.dumps(body).encode()
        return request(method, f"{HOST}:{self.port}", path, token, content)

    def sign_in(self) -> str:
        """A token of `admin`, good for five minutes."""
        asked = {"grant_type": "password", "username": "admin", "password": PASSWORD}
        token: str = self.call("POST", f"{API}/auth/tokens", asked)["jwt"]
        return token

    def manage_vaults(self, token: str) -> str:
        """Brings the embedded cloud's vaults under management; the id of the demo vault's record."""
        place = {"connection": "embedded-azure", "subscription_id": SUBSCRIPTION}
        self.call("POST", f"{AZURE}/get-subscriptions", {"connection": "embedded-azure"}, token)
        found = self.call("POST", f"{AZURE}/get-vaults", place, token)
        self.call("POST", f"{AZURE}/add-vaults", {**place, "vaults": found["vaults"]}, token)
        listed = self.call("GET", f"{AZURE}/vaults?limit=100", None, token)
        ids = {each["azure_name"]: each["id"] for each in listed["resources"]}
        vault_id: str = ids[self.host.partition(".")[0]]
        return vault_id


class _Creator:
    """Creates secrets through the control plane, one after the other, on one kept connection."""

    def __init__(self, product: PlaneProduct, vault_id: str) -> None:
        self._product = product
        self._vault_id = vault_id
        self._made = 0
        self.ids: list[str] = []

    def create(self, count: int) -> Sample:
        """So many more; the rate."""
        return asyncio.run(self._create(count))

    async def _create(self, count: int) -> Sample:
        product = self._product
        client = Client(product.port, HOST, product.context, product.sign_in())
        used = machine.processor_s(product.pid)
        began = time.perf_counter()
        for _ in range(count):
            self._made += 1
            asked = {
                "secret_name": f"bench-{self._made}",
                "key_vault": self._vault_id,
                "azure_param": {"value": "x" * 100, "tags": {"team": "billing"}},
            }
            answer = await client.call("POST", SECRETS, asked)
            if answer.status != 201:
                raise Refused(f"a creation was answered {answer.status} {answer.body[:300]!r}")
            self.ids.append(answer.json()["id"])
        lasted = time.perf_counter() - began
        await client.close()
        return _sample(count, lasted, used, machine.processor_s(product.pid))


class _BareSdk:
    """The other program, kept running so that its start is not measured."""

    def __init__(self, product: Product) -> None:
        told = product.told()
        command = [sys.executable, "-m", "bench.bare_sdk"]
        environment = product.environment | told
        self._product = product
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        machine.pin(self._process.pid, machine.cores().load)

    def create(self, count: int) -> Sample:
        """So many secrets set and backed up; the rate."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        used = machine.processor_s(self._product.pid, self._process.pid)
        print(count, file=self._process.stdin, flush=True)
        said = self._process.stdout.readline()
        if not said:
            raise Refused("the program with the bare SDK ended")
        after = machine.processor_s(self._product.pid, self._process.pid)
        return _sample(count, float(said), used, after)

    def close(self) -> None:
        """Ends it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(SDK_LIMIT_S)


def _sample(count: int, seconds: float, before: float | None, after: float | None) -> Sample:
    used = None if before is None or after is None else (after - before) / count * 1e6
    return Sample(count / seconds, used, 0.0)


def measure(folder: Path, generator: Generator, plan: Plan, creations: int) -> list[Figure]:
    """All figures of the group; `creations` is how many each side makes in a round."""
    product = PlaneProduct(folder / "plane", machine.cores().server)
    try:
        product.start()
        idle = machine.resident_kib(product.pid)
        vault_id = product.manage_vaults(product.sign_in())
        creator = _Creator(product, vault_id)
        creator.create(1)
        used = machine.resident_kib(product.pid)
        figures = [_creates(product, creator, plan, creations)]
        creator.create(max(0, RECORDS - len(creator.ids)))
        figures.insert(0, _reads(product, creator.ids, generator, folder, plan))
        busy = machine.resident_kib(product.pid)
        product.stop()
        figures += _memory(idle, used, busy)
        figures.append(_starts(product, plan.rounds))
    finally:
        product.stop()
    return figures


def _reads(product: PlaneProduct, ids: list[str], generator: Generator, folder: Path, plan: Plan) -> Figure:
    token = product.sign_in()
    plan.dice.shuffle(ids)
    gets = generator.save("records", [product.plane_request("GET", f"{SECRETS}/{ident}", None, token) for ident in ids])
    with hello_server(folder / "hello-plane", machine.cores().server) as (pid, port):
        greeting = request("GET", f"{HOST}:{port}", f"{SECRETS}/{ids[0]}", token)
        hellos = generator.save("hello-plane", [greeting])
        taken = interleaved(
            {
                "hello": lambda: sample(generator, pid, port, hellos, READ_CONNECTIONS, plan.seconds),
                "read": lambda: sample(generator, product.pid, product.port, gets, READ_CONNECTIONS, plan.seconds),
            },
            plan.rounds,
        )
    return against("control plane: read a record / bare hello", taken["read"], taken["hello"], LEAST_READ)


def _creates(product: PlaneProduct, creator: _Creator, plan: Plan, count: int) -> Figure:
    bare = _BareSdk(product)
    try:
        contenders = {"bare": lambda: bare.create(count), "plane": lambda: creator.create(count)}
        taken = interleaved(contenders, plan.rounds)
    finally:
        bare.close()
    times = {who: [1e3 / one.rate for one in samples] for who, samples in taken.items()}
    spent = {who: statistics.median(one.processor_us or 0.0 for one in samples) for who, samples in taken.items()}
    note = f"{statistics.median(times['plane']):.1f} ms, {statistics.median(times['bare']):.1f} ms; "
    note += f"processor {spent['plane'] / 1e3:.1f} ms, {spent['bare'] / 1e3:.1f} ms with the SDK's own"
    name = "control plane: time of a create / bare SDK"
    return ratio(name, times["plane"], times["bare"], MOST_CREATE, "at most", note, {"ms": times})


def _memory(idle: int, used: int, busy: int) -> list[Figure]:
    return [
        Figure("control plane: resident memory, idle", idle / 1024, MAX_IDLE_MIB, "at most", "MiB"),
        Figure(
            "control plane: resident memory, cloud used",
            busy / 1024,
            MAX_USED_MIB,
            "at most",
            "MiB",
            note=f"{used / 1024:.0f} MiB after the first creation, which loads the cloud's SDK",
        ),
    ]


def _starts(product: Product, rounds: int) -> Figure:
    taken = []
    for _ in range(rounds):
        taken.append(product.start())
        product.stop()
    name = "control plane: start to first answer, with vaults"
    return Figure(name, statistics.median(taken), 1.0, "at most", "s", min(taken), max(taken))
