"""The load: whole HTTP requests out of a file, sent over and over on kept TLS connections, each answer counted.

`wrk` does it where it is installed; otherwise this module, run as a program of its own (`python -m bench.load`), which
works harder for the same load and may be what limits a figure: the report says which one was used and how busy it was.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import shutil
import ssl
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import uvloop

from bench import machine

LUA = Path(__file__).with_name("replay.lua")
SLACK_S = 60


@dataclass(frozen=True)
class Burst:
    """What one stretch of load came to."""

    requests: int
    seconds: float
    failures: int
    p50_ms: float
    p99_ms: float
    load_busy: float
    """The share of a core that the generator used, 0 to 1."""

    @property
    def rate(self) -> float:
        """Answers a second."""
        return self.requests / self.seconds


class Failed(RuntimeError):
    """The server answered something else than success, so there is nothing to measure."""


class Generator:
    """Sends bursts. `connections` are opened anew for each burst and closed after it."""

    def __init__(self, folder: Path, cores: frozenset[int] | None, *, use_wrk: bool = True) -> None:
        self._folder = folder
        self._cores = cores
        self._wrk = shutil.which("wrk") if use_wrk else None
        self.name = "wrk" if self._wrk else "python"

    def save(self, name: str, requests: Sequence[bytes]) -> Path:
        """Writes requests to a file that `burst` can replay."""
        path = self._folder / f"{name}.requests"
        with path.open("wb") as file:
            for request in requests:
                file.write(b"%d\n" % len(request) + request)
        return path

    def burst(self, port: int, replay: Path, connections: int, seconds: float) -> Burst:
        """Load on 127.0.0.1:`port` for so many seconds. Raises Failed if any answer was not a success."""
        command = self._command(port, replay, connections, seconds)
        before = _children_s()
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        machine.pin(process.pid, self._cores)
        try:
            said, _ = process.communicate(timeout=seconds + SLACK_S)
        except BaseException:
            process.kill()
            process.communicate()
            raise
        last = said.strip().rpartition("\n")[2]
        if process.returncode or not last.startswith("{"):
            raise Failed(f"the load generator said: {said.strip()[-500:]}")
        burst = Burst(**json.loads(last), load_busy=(_children_s() - before) / seconds)
        if burst.failures or not burst.requests:
            raise Failed(f"{burst.failures} of {burst.requests} answers were no success")
        return burst

    def _command(self, port: int, replay: Path, connections: int, seconds: float) -> list[str]:
        if self._wrk is None:
            return [sys.executable, "-m", "bench.load", str(port), str(replay), str(connections), str(seconds)]
        # wrk counts whole seconds only.
        timing = ["-d", f"{max(1, round(seconds))}s", "--timeout", "10s"]
        shape = ["-t", "1", "-c", str(connections), "-s", str(LUA)]
        return [self._wrk, *shape, *timing, f"https://127.0.0.1:{port}/", "--", str(replay)]


def _children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


# The generator of our own, in its own process.


class _Count:
    def __init__(self, requests: list[bytes]) -> None:
        self.requests = requests
        self.at = 0
        self.answers = 0
        self.failures = 0
        self.taken: list[float] = []
        self.running = True

    def next_request(self) -> bytes:
        self.at = (self.at + 1) % len(self.requests)
        return self.requests[self.at]


class _Connection(asyncio.Protocol):
    """Sends a request, reads its answer by Content-Length, sends the next. No task, no future, no stream."""

    def __init__(self, count: _Count) -> None:
        self.count = count
        self.buffer = b""
        self.need = -1
        self.sent_at = 0.0
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]  # uvloop's is an asyncio.Transport in all but name
        self.send()

    def send(self) -> None:
        self.sent_at = time.perf_counter()
        self.transport.write(self.count.next_request())

    def data_received(self, data: bytes) -> None:
        buffer = self.buffer + data if self.buffer else data
        if self.need < 0:
            end = buffer.find(b"\r\n\r\n")
            if end < 0:
                self.buffer = buffer
                return
            head = buffer[:end].lower()
            mark = head.find(b"\r\ncontent-length:")
            length = int(head[mark + 17 :].partition(b"\r\n")[0]) if mark >= 0 else 0
            self.need = end + 4 + length
            if head[9:10] != b"2":
                self.count.failures += 1
        if len(buffer) < self.need:
            self.buffer = buffer
            return
        self.buffer = b""
        self.need = -1
        count = self.count
        count.answers += 1
        count.taken.append(time.perf_counter() - self.sent_at)
        if count.running:
            self.send()

    def connection_lost(self, exc: Exception | None) -> None:
        if self.count.running:
            self.count.failures += 1


async def _generate(port: int, requests: list[bytes], connections: int, seconds: float) -> dict[str, float]:
    context = ssl.create_default_context()
    context.check_hostname = False  # this is a load, not a client: it only ever speaks to this machine
    context.verify_mode = ssl.CERT_NONE
    loop = asyncio.get_running_loop()
    count = _Count(requests)
    began = loop.time()
    made = [
        await loop.create_connection(lambda: _Connection(count), "127.0.0.1", port, ssl=context)
        for _ in range(connections)
    ]
    await asyncio.sleep(max(0.0, seconds - (loop.time() - began)))
    count.running = False
    lasted = loop.time() - began
    answers = count.answers
    for transport, _ in made:
        transport.abort()
    taken = sorted(count.taken) or [0.0]
    return {
        "requests": answers,
        "seconds": lasted,
        "failures": count.failures,
        "p50_ms": statistics.median(taken) * 1000,
        "p99_ms": taken[min(len(taken) - 1, len(taken) * 99 // 100)] * 1000,
    }


def requests_of(path: Path) -> list[bytes]:
    """What `Generator.save` has written."""
    requests: list[bytes] = []
    with path.open("rb") as file:
        while line := file.readline():
            requests.append(file.read(int(line)))
    return requests


def main() -> None:
    """Runs one burst and prints its figures as a line of JSON."""
    parser = argparse.ArgumentParser(prog="bench.load")
    parser.add_argument("port", type=int)
    parser.add_argument("replay", type=Path)
    parser.add_argument("connections", type=int)
    parser.add_argument("seconds", type=float)
    given = parser.parse_args()
    machine.raise_file_limit()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(
            json.dumps(runner.run(_generate(given.port, requests_of(given.replay), given.connections, given.seconds)))
        )


if __name__ == "__main__":
    main()
