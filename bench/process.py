"""The process: how soon it answers after it was started, and how much memory a million requests leave it with."""

from __future__ import annotations

import statistics
from pathlib import Path

from bench import machine
from bench.load import Generator
from bench.product import Product
from bench.rates import READ_CONNECTIONS
from bench.report import Figure

MAX_START_S = 1.0
MAX_RESIDENT_MIB = 120
MAX_GROWTH_MIB = 4.0
SETTLED_AFTER = 0.2


def starts(product: Product, secret_count: int, rounds: int) -> Figure:
    """Starts a stopped server again and again: from starting the process to the answer of a GET with a token."""
    taken: list[float] = []
    used: list[float] = []
    for _ in range(rounds):
        taken.append(product.start())
        processor = machine.processor_s(product.pid)
        used.append(processor or 0.0)
        product.stop()
    return Figure(
        f"start to first answer, {secret_count:,} secrets",
        statistics.median(taken),
        MAX_START_S,
        "at most",
        "s",
        min(taken),
        max(taken),
        f"processor {statistics.median(used):.2f} s" if any(used) else "",
        {"seconds": taken, "processor_s": used},
    )


def memory(product: Product, generator: Generator, gets: Path, requests: int, seconds: float) -> list[Figure]:
    """Resident memory of a fresh server over so many GETs, and what it gained once the first fifth was behind it."""
    product.start()
    at_start = machine.resident_kib(product.pid)
    points: list[tuple[int, int]] = []
    done = 0
    while done < requests:
        done += generator.burst(product.port, gets, READ_CONNECTIONS, seconds).requests
        points.append((done, machine.resident_kib(product.pid)))
    product.stop()
    settled = [(count, kib) for count, kib in points if count >= requests * SETTLED_AFTER] or points
    gained = _gain_kib(settled) / 1024
    detail = {"at_start_kib": at_start, "points": [{"requests": count, "kib": kib} for count, kib in points]}
    path = f"{at_start / 1024:.0f} MiB at start, {settled[0][1] / 1024:.0f} at {settled[0][0]:,}, "
    path += f"{points[-1][1] / 1024:.0f} at {points[-1][0]:,}"
    peak = max(kib for _, kib in points) / 1024
    return [
        Figure(
            f"resident memory over {requests:,} GETs",
            peak,
            MAX_RESIDENT_MIB,
            "at most",
            "MiB",
            note=path,
            detail=detail,
        ),
        Figure(
            f"its growth from {settled[0][0]:,} GETs on, fitted",
            gained,
            MAX_GROWTH_MIB,
            "at most",
            "MiB",
            detail=detail,
        ),
    ]


def _gain_kib(points: list[tuple[int, int]]) -> float:
    """The slope of the straight line through the points, times their width."""
    if len(points) < 2:
        return 0.0
    counts, sizes = zip(*points, strict=True)
    if counts[0] == counts[-1]:
        return 0.0
    slope, _ = statistics.linear_regression(counts, sizes)
    return slope * (counts[-1] - counts[0])
