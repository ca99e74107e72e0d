"""`python -m bench`: measures, prints a table with every target beside its figure, and writes bench/results.json.

A figure that is short of its target is an ordinary result; with `--strict` it makes the exit status 1.
"""

from __future__ import annotations

import argparse
import asyncio
import compileall
import random
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import claviger
from bench import (
    audit,
    audited,
    lists,
    machine,
    oci,
    oci_synchronization,
    plane,
    process,
    rates,
    search,
    synchronization,
)
from bench.load import Generator
from bench.population import Population, populate
from bench.product import Product
from bench.rates import Plan
from bench.report import Figure, save, table

RESULTS = Path(__file__).with_name("results.json")
BUSY_LOAD = 0.5
GROUPS = (
    "get",
    "set",
    "growth",
    "start",
    "memory",
    "lists",
    "search",
    "audit",
    "plane",
    "synchronization",
    "oci",
    "oci_synchronization",
)


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    rounds: int
    seconds: float
    small: int
    large: int
    memory_requests: int
    creations: int


FULL = Size(rounds=7, seconds=3, small=1_000, large=1_000_000, memory_requests=1_000_000, creations=100)
QUICK = Size(rounds=5, seconds=1, small=1_000, large=20_000, memory_requests=20_000, creations=30)


class Run:
    """One run: the servers it needs, made when first needed, and the figures so far."""

    def __init__(self, folder: Path, size: Size, seed: int) -> None:
        self.figures: list[Figure] = []
        self._folder = folder
        self._size = size
        self._seed = seed
        self._cores = machine.cores()
        self._plan = Plan(size.rounds, size.seconds, random.Random(seed))
        self._vaults: dict[int, tuple[Product, Population]] = {}
        self.generator = Generator(folder, self._cores.load)

    def vault(self, count: int) -> tuple[Product, Population]:
        """A stopped server with `count` live and as many deleted secrets."""
        if count not in self._vaults:
            product = Product(self._folder / f"vault-{count}", self._cores.server)
            product.start()
            product.stop()
            _say(f"filling a vault with {count:,} live and {count:,} deleted secrets")
            population = asyncio.run(populate(product.data, product.host.partition(".")[0], count, self._seed))
            _say(f"  took {population.seconds:.0f} s")
            self._vaults[count] = product, population
        return self._vaults[count]

    def close(self) -> None:
        """Stops what still runs."""
        for product, _ in self._vaults.values():
            product.stop()

    def get(self) -> None:
        """Reads against the bare hello."""
        product, population = self.vault(self._size.small)
        product.start()
        self.figures += rates.reads(product, population, self.generator, self._folder, self._plan)
        product.stop()

    def set(self) -> None:
        """Writes against raw group commit."""
        product, population = self.vault(self._size.small)
        product.start()
        self.figures += rates.writes(product, population, self.generator, self._folder, self._plan)
        product.stop()

    def growth(self) -> None:
        """A large vault against a small one."""
        small, large = self.vault(self._size.small), self.vault(self._size.large)
        small[0].start()
        large[0].start()
        self.figures += rates.growth(small, large, self.generator, self._plan)
        small[0].stop()
        large[0].stop()

    def start(self) -> None:
        """From exec to the first answer."""
        for count in (self._size.small, self._size.large):
            self.figures.append(process.starts(self.vault(count)[0], count, self._size.rounds))

    def memory(self) -> None:
        """Resident memory, in the large vault."""
        product, population = self.vault(self._size.large)
        gets = rates.save_gets(product, population, self.generator, self._plan.dice)
        requests, seconds = self._size.memory_requests, self._size.seconds
        self.figures += process.memory(product, self.generator, gets, requests, seconds)

    def synchronization(self) -> None:
        """Reading whole vaults through the official client, and comparing."""
        secrets = self._size.large // 10
        vaults = max(5, secrets // 1000)
        self.figures += synchronization.measure(self._folder, secrets, vaults, max(2, self._size.rounds // 2))

    def oci(self) -> None:
        """The embedded OCI: reads, use, signatures, lists."""
        self.figures += oci.measure(self._folder, self.generator, self._plan, max(20_000, self._size.large // 10))

    def oci_synchronization(self) -> None:
        """The same of OCI's keys, against the official client in threads."""
        keys = self._size.large // 100
        self.figures += oci_synchronization.measure(self._folder, keys, max(4, keys // 500), 2)

    def lists(self) -> None:
        """The control plane's lists of secrets, by any filter."""
        self.figures += lists.measure(self._folder, self._size.large, self._size.rounds, self._seed)

    def search(self) -> None:
        """The search over the estate."""
        self.figures += search.measure(self._folder, self._size.large, self._seed)

    def audit(self) -> None:
        """What auditing costs, and how fast a log is verified."""
        size = self._size
        self.figures += audited.run(self._folder, self.generator, self._plan, size.small, self._seed)
        self.figures += audit.costs(self._folder, size.rounds, size.seconds, quick=size is QUICK)

    def plane(self) -> None:
        """The control plane: reading a record, creating one, memory and start."""
        self.figures += plane.measure(self._folder, self.generator, self._plan, self._size.creations)


def main(arguments: list[str] | None = None) -> int:
    """The exit status: 1 only with --strict and a figure short of its target."""
    given = _options(arguments)
    machine.raise_file_limit()
    # As an installation does: otherwise, where byte code is not written, each start would compile all sources.
    compileall.compile_dir(Path(claviger.__file__).parent, quiet=2)
    size = QUICK if given.quick else FULL
    seed = random.SystemRandom().randrange(2**32) if given.seed is None else given.seed
    with tempfile.TemporaryDirectory(prefix="claviger-bench-", dir=given.folder) as made:
        folder = Path(made)
        facts = machine.facts(folder)
        machine_was_busy = machine.load_average()[0] > BUSY_LOAD
        run = Run(folder, size, seed)
        try:
            for group in given.groups or GROUPS:
                _say(f"measuring: {group}")
                work: Callable[[], None] = getattr(run, group)
                work()
        finally:
            run.close()
    _say(f"\n{table(run.figures)}\n")
    facts |= {"seed": seed, "quick": given.quick, "rounds": size.rounds, "seconds_a_burst": size.seconds}
    facts |= {"load_generator": run.generator.name, "pinned": machine.cores().server is not None}
    facts |= {"load_average_after": machine.load_average()}
    _say("  ".join(f"{name}: {value}" for name, value in facts.items() if name != "versions"))
    if machine_was_busy:
        _say("This machine was busy before the run began: read the spreads, or run again when it is quiet.")
    save(given.output, run.figures, facts)
    _say(f"written to {given.output}; docs/benchmarks.md says how to read it")
    return 1 if given.strict and not all(figure.met for figure in run.figures) else 0


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "groups", nargs="*", metavar="GROUP", help=f"what to measure: {', '.join(GROUPS)} (default: all)"
    )
    parser.add_argument("--quick", action="store_true", help="a short run to see that everything works")
    parser.add_argument("--strict", action="store_true", help="exit with 1 when a figure is short of its target")
    parser.add_argument("--seed", type=int, help="of names, values and order (default: a new one)")
    parser.add_argument(
        "--folder", type=Path, help="where to put the databases (default: the system's temporary folder)"
    )
    parser.add_argument("--output", type=Path, default=RESULTS, help="the JSON file (default: bench/results.json)")
    given = parser.parse_args(arguments)
    unknown = set(given.groups) - set(GROUPS)
    if unknown:
        parser.error(f"no such group: {', '.join(sorted(unknown))}")
    return given


def _say(text: str) -> None:
    print(text, file=sys.stdout, flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
