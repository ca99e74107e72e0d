"""A figure with its target, and how a run is told: an aligned table for people, a JSON file for programs."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Figure:
    """One line of the report. `low` and `high` are the extremes of its rounds; `detail` is for the JSON file."""

    name: str
    value: float
    target: float
    sense: Literal["at least", "at most"]
    unit: str = ""
    low: float | None = None
    high: float | None = None
    note: str = ""
    detail: Mapping[str, object] = field(default_factory=dict)

    @property
    def met(self) -> bool:
        """Whether the target is reached."""
        return self.value >= self.target if self.sense == "at least" else self.value <= self.target


def ratio(
    name: str, above: Sequence[float], below: Sequence[float], target: float, sense: Literal["at least", "at most"],
    note: str = "", detail: Mapping[str, object] | None = None,
) -> Figure:  # fmt: skip
    """The median of `above`/`below` taken round by round, since a busy moment spoils neighbours alike."""
    rounds = [one / other for one, other in zip(above, below, strict=True)]
    return Figure(name, statistics.median(rounds), target, sense, "x", min(rounds), max(rounds), note, detail or {})


def interleaved(contenders: Mapping[str, Callable[[], T]], rounds: int) -> dict[str, list[T]]:
    """Runs every contender once a round, in turn, after one round that does not count."""
    taken: dict[str, list[T]] = {name: [] for name in contenders}
    for number in range(rounds + 1):
        for name, run in contenders.items():
            result = run()
            if number:
                taken[name].append(result)
    return taken


def table(figures: Sequence[Figure]) -> str:
    """Aligned columns: what, measured, spread of the rounds, target, verdict, note."""
    titles = ("", "measured", "rounds", "target", "", "")
    lines = [titles, *(_cells(figure) for figure in figures)]
    widths = [max(len(line[at]) for line in lines) for at in range(len(titles))]
    shown = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    return "\n".join(shown)


def _cells(figure: Figure) -> tuple[str, str, str, str, str, str]:
    spread = "" if figure.low is None or figure.high is None else f"{figure.low:.3g} to {figure.high:.3g}"
    target = f"{'>=' if figure.sense == 'at least' else '<='} {figure.target:g} {figure.unit}"
    verdict = "PASS" if figure.met else "short"
    return figure.name, f"{figure.value:.3g} {figure.unit}", spread, target, verdict, figure.note


def save(path: Path, figures: Sequence[Figure], facts: Mapping[str, object]) -> None:
    """Writes everything that is known of a run."""
    told = {"facts": facts, "figures": [asdict(figure) | {"met": figure.met} for figure in figures]}
    path.write_text(json.dumps(told, indent=2) + "\n")
