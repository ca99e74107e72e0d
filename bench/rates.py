"""The rates: reads against the bare hello, durable writes against raw group commit, a large vault against a small one.

Each contender runs alone, in turn, pinned to the same core; every figure is a ratio of neighbours in time. Where the
system tells, the server's processor time a request is compared too: it hardly notices what else the machine does.
"""

from __future__ import annotations

import json
import random
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench import machine
from bench.client import request
from bench.load import Burst, Generator
from bench.population import Population
from bench.ports import KeptPort
from bench.product import Product
from bench.report import Figure, interleaved, ratio

READ_CONNECTIONS = 64
WRITE_CLIENTS = 32
VALUE_LENGTH = 100
REPLAYED = 20_000


@dataclass(frozen=True)
class Plan:
    """How long and how often to measure, and with what dice."""

    rounds: int
    seconds: float
    dice: random.Random


@dataclass(frozen=True)
class Sample:
    """One burst on one server: answers a second, and microseconds of the server's processor time an answer."""

    rate: float
    processor_us: float | None
    load_busy: float
    p50_ms: float = 0.0
    p99_ms: float = 0.0


def sample(generator: Generator, pid: int, port: int, replay: Path, connections: int, seconds: float) -> Sample:
    """One burst, watched."""
    before = machine.processor_s(pid)
    burst: Burst = generator.burst(port, replay, connections, seconds)
    after = machine.processor_s(pid)
    used = None if before is None or after is None else (after - before) / burst.requests * 1e6
    return Sample(burst.rate, used, burst.load_busy, burst.p50_ms, burst.p99_ms)


@contextmanager
def hello_server(folder: Path, cores: frozenset[int] | None) -> Iterator[tuple[int, int]]:
    """The bare hello, running: its pid and port."""
    kept = KeptPort()
    port = kept.number
    process = subprocess.Popen([sys.executable, "-m", "bench.hello", str(port), str(folder)])
    try:
        machine.pin(process.pid, cores)
        give_up_at = time.monotonic() + 30
        while not _listens(port):
            if process.poll() is not None or time.monotonic() > give_up_at:
                raise RuntimeError("the hello server did not start")
            time.sleep(0.02)
        yield process.pid, port
    finally:
        process.terminate()
        process.wait()
        kept.free()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def reads(product: Product, population: Population, generator: Generator, folder: Path, plan: Plan) -> list[Figure]:
    """GET of a secret by name against the bare hello, on kept connections."""
    gets = save_gets(product, population, generator, plan.dice)
    with hello_server(folder / "hello", machine.cores().server) as (pid, port):
        greeting = request("GET", f"{product.host}:{port}", "/secrets/hello?api-version=7.4", product.token)
        hellos = generator.save("hello", [greeting])
        taken = interleaved(
            {
                "hello": lambda: sample(generator, pid, port, hellos, READ_CONNECTIONS, plan.seconds),
                "get": lambda: sample(generator, product.pid, product.port, gets, READ_CONNECTIONS, plan.seconds),
            },
            plan.rounds,
        )
    return [against("GET secret / bare hello", taken["get"], taken["hello"], 0.6)]


def save_gets(product: Product, population: Population, generator: Generator, dice: random.Random) -> Path:
    """Requests for live secrets in no order, for a load generator."""
    return generator.save("get", [product.request("GET", path) for path in _get_paths(population, dice)])


def writes(product: Product, population: Population, generator: Generator, folder: Path, plan: Plan) -> list[Figure]:
    """Durable SET (new versions of the vault's secrets) against raw group commit with as many clients."""
    names = [population.live_name(plan.dice) for _ in range(REPLAYED)]
    bodies = [json.dumps({"value": plan.dice.randbytes(VALUE_LENGTH // 2).hex()}).encode() for _ in names]
    sets = generator.save(
        "set", [product.request("PUT", f"/secrets/{name}", body) for name, body in zip(names, bodies, strict=True)]
    )
    taken = interleaved(
        {
            "commit": lambda: _raw_commit(folder, plan.seconds),
            "set": lambda: sample(generator, product.pid, product.port, sets, WRITE_CLIENTS, plan.seconds),
        },
        plan.rounds,
    )
    return [against("durable SET / raw group commit", taken["set"], taken["commit"], 0.5)]


def _raw_commit(folder: Path, seconds: float) -> Sample:
    command = [sys.executable, "-m", "bench.commit", str(folder), str(WRITE_CLIENTS), str(seconds)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    machine.pin(process.pid, machine.cores().server)
    said, _ = process.communicate(timeout=seconds + 60)
    if process.returncode:
        raise RuntimeError("raw group commit failed")
    told = json.loads(said)
    return Sample(told["rows"] / told["seconds"], told["processor_us"], 0.0)


def growth(
    small: tuple[Product, Population], large: tuple[Product, Population], generator: Generator, plan: Plan
) -> list[Figure]:
    """The time of a GET and of a page in a large vault against the same in a small one."""
    count = f"{len(large[1].live):,} secrets / {len(small[1].live):,}"
    figures: list[Figure] = []
    for name, paths in _PATHS.items():
        contenders: dict[str, Callable[[], Sample]] = {}
        for size, (product, population) in (("small", small), ("large", large)):
            requests = [product.request("GET", path) for path in paths(population, plan.dice)]
            replay = generator.save(f"{name.replace(' ', '-')}-{size}", requests)
            contenders[size] = _bound(generator, product, replay, plan.seconds)
        taken = interleaved(contenders, plan.rounds)
        figures.append(
            ratio(
                f"time of {name}, {count}",
                [one.rate for one in taken["small"]],
                [one.rate for one in taken["large"]],
                1.5,
                "at most",
                _note(taken["large"], taken["small"]),
                _detail(taken["large"], taken["small"]),
            )
        )
    return figures


def _bound(generator: Generator, product: Product, replay: Path, seconds: float) -> Callable[[], Sample]:
    return lambda: sample(generator, product.pid, product.port, replay, READ_CONNECTIONS, seconds)


def _get_paths(population: Population, dice: random.Random) -> list[str]:
    return [f"/secrets/{population.live_name(dice)}" for _ in range(REPLAYED)]


def _list_paths(population: Population, dice: random.Random) -> list[str]:
    return [f"/secrets?$skiptoken={population.live_mark(dice)}" for _ in range(1_000)]


def _deleted_paths(population: Population, dice: random.Random) -> list[str]:
    return [f"/deletedsecrets?$skiptoken={population.deleted_mark(dice)}" for _ in range(1_000)]


_PATHS: dict[str, Callable[[Population, random.Random], list[str]]] = {
    "GET": _get_paths,
    "a list page": _list_paths,
    "a deleted-list page": _deleted_paths,
}


def against(name: str, ours: Sequence[Sample], measure: Sequence[Sample], target: float) -> Figure:
    """Our rates over those of the yardstick, with processor times in the note."""
    return ratio(
        name,
        [one.rate for one in ours],
        [one.rate for one in measure],
        target,
        "at least",
        _note(ours, measure),
        _detail(ours, measure),
    )


def _note(ours: Sequence[Sample], measure: Sequence[Sample]) -> str:
    rates = f"{_median(ours, 'rate') / 1000:.1f} k/s, {_median(measure, 'rate') / 1000:.1f} k/s"
    used, measured = _median(ours, "processor_us"), _median(measure, "processor_us")
    processor = f"; processor {used:.0f} us, {measured:.0f} us" if used and measured else ""
    busy = max(one.load_busy for one in (*ours, *measure))
    return rates + processor + ("; the load generator was the limit" if busy > 0.9 else "")


def _detail(ours: Sequence[Sample], measure: Sequence[Sample]) -> dict[str, object]:
    return {"ours": [vars(one) for one in ours], "measure": [vars(one) for one in measure]}


def _median(samples: Sequence[Sample], what: str) -> float:
    values = [getattr(one, what) for one in samples]
    return 0.0 if None in values else statistics.median(values)
