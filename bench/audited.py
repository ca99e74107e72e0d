"""What the audit log costs the whole server: GET and SET over HTTPS, with it and with it switched off, in turns.

The setting that switches it off exists for this alone. Both servers run on the same core at the same time, one of them
idle; each figure is a ratio of neighbours. It is one of processor time a request where the system tells that, which
hardly notices what else the machine does: the writing of buffered records, behind the answers, counts in it.
"""

from __future__ import annotations

import asyncio
import json
import statistics
from pathlib import Path

from bench import machine
from bench.load import Generator
from bench.population import Population, populate
from bench.product import Product
from bench.rates import READ_CONNECTIONS, REPLAYED, VALUE_LENGTH, WRITE_CLIENTS, Plan, Sample, sample, save_gets
from bench.report import Figure, interleaved

MOST = 1.2


class Unaudited(Product):
    """The product without its audit log."""

    @property
    def environment(self) -> dict[str, str]:
        """The environment of the server and of commands on its data."""
        return super().environment | {"CLAVIGER_AUDIT": "off-for-benchmarks"}


async def fill(product: Product, count: int, seed: int) -> Population:
    """A vault with so many secrets, in a server that is stopped."""
    return await populate(product.data, product.host.partition(".")[0], count, seed)


def measure(
    products: tuple[Product, Product], population: Population, generator: Generator, plan: Plan
) -> list[Figure]:
    """Both figures. The products, with the log and without, hold the same secrets and run."""
    audited, bare = products
    figures = []
    for name, connections in (("GET", READ_CONNECTIONS), ("SET", WRITE_CLIENTS)):
        replays: dict[str, Path] = {}
        for who, product in (("audited", audited), ("bare", bare)):
            if name == "GET":
                made = save_gets(product, population, generator, plan.dice)
                replays[who] = made.rename(made.with_name(f"get-{who}.requests"))
            else:
                replays[who] = _sets(product, population, generator, plan, who)

        def burst(product: Product, replay: Path, connections: int = connections) -> Sample:
            return sample(generator, product.pid, product.port, replay, connections, plan.seconds)

        taken = interleaved(
            {
                "bare": lambda replays=replays: burst(bare, replays["bare"]),
                "audited": lambda replays=replays: burst(audited, replays["audited"]),
            },
            plan.rounds,
        )
        figures.append(_figure(f"processor time of an audited {name} / without", taken["audited"], taken["bare"]))
    return figures


def _sets(product: Product, population: Population, generator: Generator, plan: Plan, who: str) -> Path:
    requests = []
    for _ in range(REPLAYED):
        body = json.dumps({"value": plan.dice.randbytes(VALUE_LENGTH // 2).hex()}).encode()
        requests.append(product.request("PUT", f"/secrets/{population.live_name(plan.dice)}", body))
    return generator.save(f"set-{who}", requests)


def _figure(name: str, ours: list[Sample], bare: list[Sample]) -> Figure:
    def ratios(one: list[float], other: list[float]) -> list[float]:
        return [a / b for a, b in zip(one, other, strict=True)]

    rates = ratios([1 / each.rate for each in ours], [1 / each.rate for each in bare])
    used = [each.processor_us for each in ours], [each.processor_us for each in bare]
    told = [each for side in used for each in side if each is not None]
    whole = len(told) == len(ours) + len(bare)
    found = ratios(told[: len(ours)], told[len(ours) :]) if whole else rates
    note = f"time of an answer {statistics.median(rates):.2f} x"
    if whole:
        middle = [statistics.median(told[: len(ours)]), statistics.median(told[len(ours) :])]
        note += f"; processor {middle[0]:.0f} us, {middle[1]:.0f} us"
    detail = {"audited": [vars(each) for each in ours], "without": [vars(each) for each in bare]}
    return Figure(name, statistics.median(found), MOST, "at most", "x", min(found), max(found), note, detail)


def run(folder: Path, generator: Generator, plan: Plan, count: int, seed: int) -> list[Figure]:
    """Makes the servers, measures, and stops them."""
    products = (Product(folder / "audited", machine.cores().server), Unaudited(folder / "bare", machine.cores().server))
    try:
        for product in products:
            product.start()
            product.stop()
            population = asyncio.run(fill(product, count, seed))
        for product in products:
            product.start()
        return measure(products, population, generator, plan)
    finally:
        for product in products:
            product.stop()
