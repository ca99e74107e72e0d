"""A trial on each kind of database that there is: SQLite always, and a private PostgreSQL where one is installed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from scripts.machine import postgres_programs
from tests.postgres import Cluster, Databases


class Report(Protocol):
    """What a trial came to."""

    database: str

    @property
    def found(self) -> int:
        """All that should not be."""
        ...

    def as_json(self) -> dict[str, object]:
        """For the report."""
        ...

    def table(self) -> str:
        """Counts, a line each."""
        ...


@dataclass(frozen=True)
class Database:
    """Where a server keeps its rows: `url` None is its own SQLite file; `folder` is what PostgreSQL itself writes."""

    url: str | None = None
    folder: Path | None = None

    @property
    def kind(self) -> str:
        """For people."""
        return "SQLite" if self.url is None else "PostgreSQL"

    @property
    def settings(self) -> dict[str, str]:
        """For the server."""
        return {} if self.url is None else {"CLAVIGER_DATABASE_URL": self.url}


@dataclass
class Reports:
    """One report for each kind of database."""

    reports: list[Report] = field(default_factory=list)

    @property
    def found(self) -> int:
        """All that should not be."""
        return sum(report.found for report in self.reports)

    def as_json(self) -> dict[str, object]:
        """For the report."""
        return {report.database: report.as_json() for report in self.reports}

    def table(self) -> str:
        """Counts, a line each."""
        missing = [] if len(self.reports) > 1 else ["  (not on PostgreSQL, which is not installed here)"]
        return "\n".join([*(report.table() for report in self.reports), *missing])


def kinds() -> int:
    """On how many kinds of database a trial runs."""
    return 1 if postgres_programs() is None else 2


def on_each(trial: Callable[[Database], Report]) -> Reports:
    """Runs the trial once on each."""
    found = Reports([trial(Database())])
    programs = postgres_programs()
    if programs is not None:
        cluster = Cluster.make(programs)
        try:
            cluster.start()
            found.reports.append(trial(Database(Databases(cluster.url).create(), cluster.folder)))
        finally:
            cluster.remove()
    return found
