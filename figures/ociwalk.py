"""The walk: thousands of calls of the embedded OCI by chance, each answer compared with a small model's.

Vaults, keys and versions are made, changed, rotated, moved, scheduled, brought back and used, with right and wrong
etags, dates and retry tokens, by somebody who may and somebody who may not, while the clock goes on by seconds up to
forty days, often to the very edge of a date, and the server comes and goes. `figures.ocimodel` says what must be
answered; now and then the whole estate is compared, before the sweeper has come by and after, and then the database:
material must be there exactly as long as its version is. The walk ends where the two disagree.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from figures.databases import Database, Reports, kinds, on_each
from figures.findings import Findings
from figures.ocidesk import OciProduct
from figures.ociestate import compare_estate, compare_material
from figures.ocimodel import Model
from figures.ocisteps import STEPS, Walker

NAME = "ociwalk"
SIZE, QUICK_SIZE = 20_000, 2_000
KINDS = ("status", "code", "state", "date", "etag", "estate", "material", "content")
SETTLES_S = (0, 0, 30, 900)
COMPARED_EVERY, RESTARTED_EVERY = 250, 150
DAY_S = 86_400
MOST_VAULTS, MOST_KEYS = 5, 8
"""So many are alive at a time at most: the others are deleted, and stay to be looked at."""


@dataclass
class WalkReport(Findings):
    """How the walk went."""

    seed: int
    database: str
    steps: Counter[str] = field(default_factory=Counter)
    accepted: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    restarts: int = 0
    comparisons: int = 0
    days: float = 0.0

    def as_json(self) -> dict[str, object]:
        """For the report."""
        return {
            "seed": self.seed,
            "steps": self.steps.total(),
            "accepted": dict(sorted(self.accepted.items())),
            "refused": dict(sorted(self.refused.items())),
            "restarts": self.restarts,
            "days": round(self.days),
            "comparisons_of_the_estate": self.comparisons,
            "found": {kind: self.count(kind) for kind in KINDS},
            "findings": self.findings[:50],
        }

    def table(self) -> str:
        """Counts, a line each."""
        within = f"in {self.steps.total():,} steps (seed {self.seed})"
        title = f"{NAME}: {self.steps.total():,} steps on {self.database} over {self.days:,.0f} days, "
        title += f"{self.accepted.total():,} accepted, {self.refused.total():,} refused, {self.restarts} restarts, "
        lines = [
            f"{title}the estate compared {self.comparisons} times",
            *(f"  {kind + ' not as the model says':<32} {self.count(kind)} found {within}" for kind in KINDS),
        ]
        return "\n".join([*lines, *(f"  ! {kind}: {detail[:400]}" for kind, detail in self.findings[:10])])


def run(folder: Path, steps: int, seed: int) -> Reports:
    """So many steps, shared between the kinds of database; each has a seed of its own."""
    return on_each(
        lambda database: asyncio.run(run_on(database, folder, steps // kinds(), seed + (database.url is not None)))
    )


async def run_on(database: Database, folder: Path, steps: int, seed: int) -> WalkReport:
    """The walk on one, below `folder`."""
    report = WalkReport(seed, database.kind)
    dice = random.Random(f"walk/{seed}")
    product = OciProduct(folder / f"{NAME}-{database.kind.lower()}", database)
    model = Model(int(product.clock.now()))
    began, done = model.now, 0
    walker: Walker | None = None
    while done < steps:
        product.settle_s = model.settle_s = dice.choice(SETTLES_S)
        async with product.running() as desk:
            walker = walker or Walker(model, dice, report)
            walker.desk = desk
            if report.restarts:  # what fell due while nothing ran is shown as deleted before anybody sweeps
                await compare_estate(desk, model, report, dice, etags=walker.etags)
            for _ in range(min(steps - done, dice.randrange(1, 2 * RESTARTED_EVERY))):
                if report.findings:  # from here on the two are of different minds about everything
                    steps = done
                    break
                await walker.step(_chosen(model, dice))
                done += 1
                if done % COMPARED_EVERY == 0:
                    await compare_estate(desk, model, report, dice, etags=walker.etags)
                    await desk.sweep()
                    await compare_estate(desk, model, report, dice, etags=walker.etags)
                    await compare_material(desk, model, report)
        report.restarts += 1
        if dice.random() < 0.5:
            walker.move_clock()
    report.days = (model.now - began) / DAY_S
    return report


def _chosen(model: Model, dice: random.Random) -> str:
    """A step by chance, of those that keep the estate of a fair size."""
    living = [vault for vault in model.vaults if vault.own(model.now) != "DELETED"]
    keys = sum(key.shown(model.now) != "DELETED" for key in model.all_keys())
    if not living:
        return "create_vault"
    names = [
        name
        for name in STEPS
        if not (name == "create_vault" and len(living) >= MOST_VAULTS)
        and not (name == "create_key" and keys >= MOST_KEYS * len(living))
        and not (name not in NEEDS_NO_KEY and not keys)
    ]
    return dice.choices(names, [STEPS[name] for name in names])[0]


NEEDS_NO_KEY = frozenset(
    {
        "create_vault",
        "update_vault",
        "schedule_vault",
        "cancel_vault",
        "move_vault",
        "read_vault",
        "create_key",
        "clock",
    }
)
