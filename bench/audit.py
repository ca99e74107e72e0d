"""What auditing costs: setting a secret with its record in the same commit and without, reading one with and without.

The product's own operations on its own store, in this process. What the record adds in processor time is compared with
that of a whole request over HTTPS, as the other groups measure it: processor time hardly notices what else the machine
does. The log is switched off by leaving the call out, here alone. Also: records verified in a second.
"""

from __future__ import annotations

import asyncio
import gc
import statistics
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import uvloop

from bench.report import Figure
from claviger.audit.entry import Actor, Entry, Subject
from claviger.audit.log import AuditLog
from claviger.audit.stored import verify_stored
from claviger.bootstrap import opened, root_keys_of
from claviger.core.clock import SystemClock
from claviger.keyvault.directory.operations import set_tenant
from claviger.keyvault.secrets.operations import Secrets
from claviger.keyvault.secrets.wire import SetSecret
from claviger.keyvault.vaults.operations import NewVault, create_vault
from claviger.keyvault.vaults.records import Vault
from claviger.sealing.keyring import Keyring
from claviger.settings import load_settings
from claviger.store.contract import Store, Tx
from tests.auditing import audited

T = TypeVar("T")
CLIENTS = 32
NAMES = 500
VERIFIED, QUICK_VERIFIED = 500_000, 50_000
REQUEST_READ_US, REQUEST_SET_US = 79.0, 148.0
"""Processor time of a whole GET and PUT as `make bench` had it when this was written (bench/results.json)."""
ACTOR = Actor(
    address="127.0.0.1",
    session_id="8c4f4bd0-6a70-4a53-8f3c-54c4a1a3ab4e",
    user_id="f2a4a5f6-4a0f-4d7e-9a5b-0c9a3a1f2b3c",
    username="claviger-demo",
)
"""Made once for a token, as a server would."""


def _entry(clock: SystemClock, action: str, name: str) -> Entry:
    return Entry(
        at=clock.now(),
        action=action,
        actor=ACTOR,
        domain_id="5e4f6e0e-6f0f-4c56-9a55-9d1b1ad3a5a1",
        object=Subject(container="demo", id=f"https://demo.vault.localhost/secrets/{name}", kind="secret", name=name),
        origin="keyvault",
        outcome="granted",
        request_id="0b0e1c44-38a2-44d6-8fd3-6f8c2f3a5ed1",
        service="keyvault",
        status=200,
    )


class AuditedStore:
    """The store of one setter: each change notes its record."""

    def __init__(self, store: Store, log: AuditLog, clock: SystemClock) -> None:
        self._store = store
        self._log = log
        self._clock = clock

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def write(self, change: Callable[[Tx], T]) -> T:
        """The change, and its record."""

        def both(tx: Tx) -> T:
            done = change(tx)
            self._log.note(tx, _entry(self._clock, "Set Secret", "db-password"))
            return done

        return await self._store.write(both)


class _Sample:
    def __init__(self, count: int, wall_s: float, used_s: float) -> None:
        self.wall_us = wall_s / count * 1e6
        self.used_us = used_s / count * 1e6


def costs(folder: Path, rounds: int, seconds: float, *, quick: bool) -> list[Figure]:
    """The figures."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        samples = runner.run(_measure(folder / "audit", rounds, seconds))
        rate, used = runner.run(_verify(folder / "verify", QUICK_VERIFIED if quick else VERIFIED))
    figures = []
    for name, whole_us in (("SET", REQUEST_SET_US), ("GET", REQUEST_READ_US)):
        with_log, without = samples[f"{name} audited"], samples[name]
        extra = [a.used_us - b.used_us for a, b in zip(with_log, without, strict=True)]
        alone = statistics.median(a.wall_us / b.wall_us for a, b in zip(with_log, without, strict=True))
        middle = statistics.median(extra)
        figures.append(
            Figure(
                "audited SET / without" if name == "SET" else "buffered audit of GET / without",
                1 + middle / whole_us,
                1.2,
                "at most",
                "x",
                1 + min(extra) / whole_us,
                1 + max(extra) / whole_us,
                f"processor {middle:+.0f} us of {whole_us:.0f}; {alone:.2g} x of the operation without HTTP",
                {"extra_processor_us": extra, "operation_alone": alone},
            )
        )
    figures.append(Figure("audit records verified", rate, 50_000, "at least", "/s", note=f"{used:.0f}/s of processor"))
    return figures


async def _measure(folder: Path, rounds: int, seconds: float) -> dict[str, list[_Sample]]:
    clock = SystemClock()
    async with opened(load_settings({}, data=folder), clock) as house:
        await set_tenant(house.store, clock, name="Bench", domain="bench.localhost")
        vault = await create_vault(house.store, clock, NewVault(name="demo"))
        log = AuditLog(house.store)
        writing = asyncio.create_task(log.run())
        plain = Secrets(house.store, house.keyring, clock)
        audited_store: Any = AuditedStore(house.store, log, clock)
        keyring = Keyring(audited_store, root_keys_of(house.settings), clock)
        await keyring.load()
        noted = Secrets(audited_store, keyring, clock)
        for number in range(NAMES):
            await plain.set(vault, f"secret-{number}", SetSecret(value="x" * 100))

        contenders: dict[str, Callable[[], Awaitable[_Sample]]] = {
            "SET": lambda: _sets(plain, vault, seconds),
            "SET audited": lambda: _sets(noted, vault, seconds),
            "GET": lambda: _gets(plain, vault, seconds, None, clock),
            "GET audited": lambda: _gets(plain, vault, seconds, log, clock),
        }
        taken: dict[str, list[_Sample]] = {name: [] for name in contenders}
        for number in range(rounds + 1):  # the first does not count
            for name, work in contenders.items():
                gc.collect()
                sample = await work()
                if number:
                    taken[name].append(sample)
        writing.cancel()
        await log.stop()
    return taken


async def _sets(secrets: Secrets, vault: Vault, seconds: float) -> _Sample:
    done = 0
    end_at = time.perf_counter() + seconds

    async def client(number: int) -> None:
        nonlocal done
        while time.perf_counter() < end_at:
            await secrets.set(vault, f"secret-{(done * 7 + number) % NAMES}", SetSecret(value="x" * 100))
            done += 1

    began, used = time.perf_counter(), time.process_time()
    await asyncio.gather(*(client(number) for number in range(CLIENTS)))
    return _Sample(done, time.perf_counter() - began, time.process_time() - used)


async def _gets(secrets: Secrets, vault: Vault, seconds: float, log: AuditLog | None, clock: SystemClock) -> _Sample:
    """Reads at the rate of a busy server, a turn of the loop for every few; the writing of records counts too."""
    done = 0
    began, used = time.perf_counter(), time.process_time()
    end_at = began + seconds
    while time.perf_counter() < end_at:
        for _ in range(32):
            name = f"secret-{done % NAMES}"
            await secrets.get(vault, name, None)
            if log is not None:
                log.buffer(_entry(clock, "Get Secret", name))
            done += 1
        await asyncio.sleep(0)
        if done % 2048 == 0:  # idle times in which a server would write
            await asyncio.sleep(0.02)
    if log is not None:
        await log.flush()
    return _Sample(done, time.perf_counter() - began, time.process_time() - used)


async def _verify(folder: Path, count: int) -> tuple[float, float]:
    async with audited(f"sqlite://{folder}/claviger.db") as own:
        for start in range(0, count, 10_000):
            await own.fill(10_000, start)
            await own.checkpoints.make()
        began, used = time.perf_counter(), time.process_time()
        report = await verify_stored(own.store, own.key)
        lasted, used = time.perf_counter() - began, time.process_time() - used
        assert report.finding is None
        assert report.record_count == count
    return count / lasted, count / used
