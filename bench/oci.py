"""The embedded OCI: reading a key, using one, lists, signatures, and reading while large keys are made.

Every request is signed, and its signature is verified, as with any client; the share of that in a read is told beside
it. The yardstick is the bare hello, as for the other reads; for signatures a process that does nothing but sign.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bench import machine
from bench.load import Generator
from bench.oci_signatures import scope_of
from bench.oci_vault import AES, OciVault, Refused, Request, coded, read, used
from bench.rates import READ_CONNECTIONS, Plan, Sample, against, hello_server, sample
from bench.report import Figure, interleaved, ratio

POOL = 1_000
KEYS_READ = 200
SMALL = 1_000
PAGE = 100
LEAST_READ, LEAST_USE, LEAST_SIGNED = 0.4, 0.3, 0.7
MOST_GROWTH, MOST_DELAY = 1.5, 5.0
QUIET_CONNECTIONS = 8
MAKERS = 2
"""Clients that have RSA-4096 keys made, each one after the other, so that one is always being made."""
RSA_2048 = {"algorithm": "RSA", "length": 256}
RSA_4096 = {"algorithm": "RSA", "length": 512}
VERIFIED = 3_000


def measure(folder: Path, generator: Generator, plan: Plan, large: int) -> list[Figure]:
    """All figures of the group; `large` is how many keys the larger list has."""
    vault = OciVault(folder / "oci", machine.cores().server)
    try:
        vault.open()
        figures, signs = _rates(vault, generator, folder, plan)
        figures.append(_while_keys_are_made(vault, generator, plan))
        vault.product.stop()
        figures.insert(3, _signatures(vault, generator, signs, plan))
    finally:
        vault.product.stop()
    return figures + _lists(folder, generator, plan, large)


class _Load:
    """A pool of requests that is signed anew before each burst."""

    def __init__(
        self, vault: OciVault, generator: Generator, name: str, requests: Sequence[Request], plan: Plan
    ) -> None:
        self._vault = vault
        self._generator = generator
        self._name = name
        self._requests = requests
        self._plan = plan

    def burst(self, connections: int = READ_CONNECTIONS) -> Sample:
        """One burst."""
        product = self._vault.product
        replay = self._generator.save(self._name, self._vault.signed(self._requests))
        return sample(self._generator, product.pid, product.port, replay, connections, self._plan.seconds)


def _rates(
    vault: OciVault, generator: Generator, folder: Path, plan: Plan
) -> tuple[list[Figure], tuple[Sequence[Request], float]]:
    """The figures over HTTP, and for signatures the requests and the median rate."""
    dice = plan.dice
    keys = [vault.key(f"k{number}")["id"] for number in range(KEYS_READ)]
    signing = vault.key("signing", RSA_2048)["id"]
    plain = [{"keyId": dice.choice(keys), "plaintext": coded(dice.randbytes(64))} for _ in range(POOL)]
    host = vault.host("crypto")
    sealed = [
        {"keyId": each["keyId"], "ciphertext": vault.must("POST", host, "/20180608/encrypt", each)["ciphertext"]}
        for each in plain[:KEYS_READ]
    ]
    messages = [
        {"keyId": signing, "message": coded(dice.randbytes(100)), "signingAlgorithm": "SHA_256_RSA_PKCS1_V1_5"}
        for _ in range(POOL)
    ]
    pools = {
        "get": read(vault, [dice.choice(keys) for _ in range(POOL)]),
        "encrypt": used(vault, "encrypt", plain),
        "decrypt": used(vault, "decrypt", [dice.choice(sealed) for _ in range(POOL)]),
        "sign": used(vault, "sign", messages),
    }
    loads = {name: _Load(vault, generator, f"oci-{name}", pool, plan) for name, pool in pools.items()}
    with hello_server(folder / "hello-oci", machine.cores().server) as (pid, port):
        hellos = generator.save("hello-oci", vault.signed(pools["get"]))  # heads of the same length, at least
        contenders: dict[str, Callable[[], Sample]] = {
            "hello": lambda: sample(generator, pid, port, hellos, READ_CONNECTIONS, plan.seconds),
        }
        contenders |= {name: load.burst for name, load in loads.items()}
        taken = interleaved(contenders, plan.rounds)
    figures = [
        against("OCI GetKey / bare hello", taken["get"], taken["hello"], LEAST_READ),
        against("OCI Encrypt / bare hello", taken["encrypt"], taken["hello"], LEAST_USE),
        against("OCI Decrypt / bare hello", taken["decrypt"], taken["hello"], LEAST_USE),
    ]
    figures[0] = _with_share(figures[0], vault, pools["get"], taken["get"])
    return figures, (pools["sign"], statistics.median(one.rate for one in taken["sign"]))


def _signatures(
    vault: OciVault, generator: Generator, over_http: tuple[Sequence[Request], float], plan: Plan
) -> Figure:
    """Signatures in one process, on the data of the stopped server, against the library alone."""
    pool, rate = over_http
    replay = generator.save("oci-signatures", vault.signed(pool[:100]))
    command = [sys.executable, "-m", "bench.oci_signatures", str(vault.product.data), str(replay)]
    process = subprocess.Popen(
        [*command, str(plan.seconds), str(plan.rounds)],
        stdout=subprocess.PIPE,
        text=True,
        env=vault.product.environment,
    )
    machine.pin(process.pid, machine.cores().server)
    said, _ = process.communicate(timeout=(plan.rounds + 1) * plan.seconds + 60)
    if process.returncode:
        raise Refused("the program that signs in one process failed")
    whole, bare = zip(*json.loads(said), strict=True)
    note = f"processor {statistics.median(whole) * 1e6:.0f} us, {statistics.median(bare) * 1e6:.0f} us; "
    note += f"over HTTP {rate:.0f}/s, which is {rate * statistics.median(bare):.2f} of what the library alone could do"
    name = "OCI Sign with RSA-2048 / the library alone, one process"
    return ratio(name, bare, whole, LEAST_SIGNED, "at least", note, {"s": {"whole": whole, "bare": bare}})


def _with_share(figure: Figure, vault: OciVault, requests: Sequence[Request], samples: Sequence[Sample]) -> Figure:
    """The figure of a read with the share that the verification of its signature has in it."""
    verified_us = _verification_us(vault.signed(requests[:50]), vault)
    whole_us = statistics.median(one.processor_us or 0.0 for one in samples)
    share = f"; verification {verified_us:.0f} us" + (f", {verified_us / whole_us:.0%} of it" if whole_us else "")
    detail = {**figure.detail, "verification_us": verified_us, "processor_us": whole_us}
    return Figure(
        figure.name, figure.value, figure.target, figure.sense, figure.unit, figure.low, figure.high,
        figure.note + share, detail,
    )  # fmt: skip


def _verification_us(raws: Sequence[bytes], vault: OciVault) -> float:
    """Processor time of verifying one head, in this process."""
    from claviger.core.clock import SystemClock
    from claviger.ocikms.calls import NOBODY
    from claviger.ocikms.signature import Head, Verifier

    verifier, pem = Verifier(SystemClock()), vault.public_pem
    scopes = [scope_of(raw)[0] for raw in raws]
    for scope in scopes:
        verifier.admit(Head(scope), lambda *_: (NOBODY, pem))
    began = time.process_time()
    for number in range(VERIFIED):
        verifier.admit(Head(scopes[number % len(scopes)]), lambda *_: (NOBODY, pem))
    return (time.process_time() - began) / VERIFIED * 1e6


# ---------------------------------------------------------------- while keys are made


def _while_keys_are_made(vault: OciVault, generator: Generator, plan: Plan) -> Figure:
    """The 99th percentile of a read while RSA-4096 keys are made without a pause, against the same without."""
    keys = [vault.key(f"quiet{number}", AES)["id"] for number in range(20)]
    pool = read(vault, [plan.dice.choice(keys) for _ in range(POOL // 2)])
    load = _Load(vault, generator, "oci-quiet", pool, plan)
    made: list[float] = []

    def busy() -> Sample:
        with _making(vault, made):
            return load.burst(QUIET_CONNECTIONS)

    contenders: dict[str, Callable[[], Sample]] = {"idle": lambda: load.burst(QUIET_CONNECTIONS), "busy": busy}
    taken = interleaved(contenders, plan.rounds)
    late = [one.p99_ms for one in taken["busy"]]
    usual = [one.p99_ms for one in taken["idle"]]
    note = f"{statistics.median(late):.1f} ms, {statistics.median(usual):.1f} ms; {len(made)} keys made, "
    note += f"{statistics.median(made):.1f} s each"
    name = "OCI p99 of GetKey while RSA-4096 keys are made / idle"
    return ratio(name, late, usual, MOST_DELAY, "at most", note, {"busy_ms": late, "idle_ms": usual, "made_s": made})


@contextmanager
def _making(vault: OciVault, made: list[float]) -> Iterator[None]:
    """Clients that have large keys made, for as long as this lasts; each key's seconds go to `made`."""
    stopping = threading.Event()
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            while not stopping.is_set():
                began = time.perf_counter()
                vault.key(f"large{number}", RSA_4096)
                made.append(time.perf_counter() - began)
        except (OSError, Refused) as problem:
            failures.append(problem)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(MAKERS)]
    for thread in threads:
        thread.start()
    time.sleep(0.3)  # they have begun
    try:
        yield
    finally:
        stopping.set()
        for thread in threads:
            thread.join()
    if failures:
        raise Refused(f"no key was made: {failures[0]}")


# ---------------------------------------------------------------- lists


def _lists(folder: Path, generator: Generator, plan: Plan, large: int) -> list[Figure]:
    """A page of a long list of keys against a page of a short one, by each order."""
    vaults = {count: OciVault(folder / f"oci-{count}", machine.cores().server) for count in (SMALL, large)}
    figures = []
    try:
        for count, vault in vaults.items():
            vault.open()
            vault.multiply(vault.key("first")["id"], count - 1)
        for by in ("TIMECREATED", "DISPLAYNAME"):
            contenders: dict[str, Callable[[], Sample]] = {}
            for count, vault in vaults.items():
                pages = vault.pages(by, PAGE, max(PAGE, count // 100))
                contenders[str(count)] = _Load(vault, generator, f"oci-{by}-{count}", pages, plan).burst
            taken = interleaved(contenders, plan.rounds)
            short, long = taken[str(SMALL)], taken[str(large)]
            name = f"time of a page of keys by {by}, {large:,} / {SMALL:,}"
            rates = f"{statistics.median(one.rate for one in long):.0f}/s, "
            rates += f"{statistics.median(one.rate for one in short):.0f}/s"
            above, below = [one.rate for one in short], [one.rate for one in long]
            figures.append(ratio(name, above, below, MOST_GROWTH, "at most", rates))
    finally:
        for vault in vaults.values():
            vault.product.stop()
    return figures
