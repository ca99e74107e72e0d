"""Signatures by an RSA-2048 key of a vault, and by the same library alone, in one process and by turns.

The whole call is made but for the sockets: the request's own signature verified, rights, one read, the audit record,
the answer as JSON. Run as a program of its own on the data of a stopped server: `python -m bench.oci_signatures DATA
REQUESTS SECONDS ROUNDS`; REQUESTS has whole requests as `bench.load` replays them. Prints one line of JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import time
from collections.abc import Sequence
from pathlib import Path

import uvloop
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256

from bench.load import requests_of
from claviger.core.asgi import Message, Scope
from claviger.core.clock import SystemClock
from claviger.house import audited, opened
from claviger.ocikms.assembly import Choices, Ground, Ocikms
from claviger.settings import load_settings

AT_ONCE = 20


def scope_of(raw: bytes) -> tuple[Scope, bytes]:
    """A whole request as ASGI has it, and its body."""
    head, _, body = raw.partition(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    method, target, _ = first.split(b" ")
    path, _, query = target.partition(b"?")
    headers = [(name.lower(), value) for name, _, value in (line.partition(b": ") for line in lines)]
    given = {"type": "http", "scheme": "https", "method": method.decode(), "path": path.decode(), "raw_path": path}
    return {**given, "query_string": query, "headers": headers, "client": ("127.0.0.1", 1)}, body


async def _call(service: Ocikms, scope: Scope, body: bytes) -> int:
    """The status of a call, which the service is first asked for without waiting, as the server does."""
    statuses: list[int] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        if "status" in message:
            statuses.append(message["status"])

    if service.app.quick(scope, body) is not None:
        return 200
    await service.app(scope, receive, send)
    return statuses[0]


async def _measure(data: Path, requests: Sequence[bytes], seconds: float, rounds: int) -> list[tuple[float, float]]:
    """Seconds of processor time a signature, of a call and of the library alone, in each round."""
    clock = SystemClock()
    calls = itertools.cycle([scope_of(raw) for raw in requests])
    async with opened(load_settings({}, data=data), clock) as house, audited(house):
        service = Ocikms(Ground(house.store, house.keyring, clock, clock, None, house.log), Choices(), lambda *_: None)
        statuses: set[int] = set()
        key, padding, digest = rsa.generate_private_key(65_537, 2048), PKCS1v15(), SHA256()
        taken = []
        for number in range(rounds + 1):
            whole, count, until = time.process_time(), 0, time.perf_counter() + seconds / 2
            while time.perf_counter() < until:
                for _ in range(AT_ONCE):
                    statuses.add(await _call(service, *next(calls)))
                count += AT_ONCE
                await asyncio.sleep(0)  # whoever writes the audit records behind the answers has his turn
            whole = (time.process_time() - whole) / count
            bare, count, until = time.process_time(), 0, time.perf_counter() + seconds / 2
            while time.perf_counter() < until:
                for _ in range(AT_ONCE):
                    key.sign(b"x" * 100, padding, digest)
                count += AT_ONCE
            bare = (time.process_time() - bare) / count
            if number:
                taken.append((whole, bare))
        await service.stop()
        if statuses != {200}:
            raise SystemExit(f"answered {statuses}")
        return taken


def main() -> None:
    """Measures."""
    parser = argparse.ArgumentParser(prog="bench.oci_signatures")
    parser.add_argument("data", type=Path)
    parser.add_argument("requests", type=Path)
    parser.add_argument("seconds", type=float)
    parser.add_argument("rounds", type=int)
    given = parser.parse_args()
    requests = requests_of(given.requests)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(json.dumps(runner.run(_measure(given.data, requests, given.seconds, given.rounds))))


if __name__ == "__main__":
    main()
