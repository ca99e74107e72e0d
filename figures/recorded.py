"""The trial of records: every operation, with every outcome, by every way, has to leave exactly its audit records.

The tables are `tests/recording.py` and, for keys of OCI, `tests/oci_recording.py`, which the tests run too; here they
are run on a server of their own on each database.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass, field
from pathlib import Path

from figures.databases import Database, Reports, on_each
from tests import names, oci_recording
from tests.desk import SETTINGS, Desk
from tests.oci_plane import OciDesk
from tests.oci_recording import STEPS as OCI_STEPS
from tests.recording import LAST, STEPS, run_table, world_at
from tests.server import RunningServer

NAME = "recorded"
SIZE, QUICK_SIZE = 1, 1


@dataclass
class RecordedReport:
    """What differed from the table."""

    database: str
    step_count: int
    record_count: int
    findings: list[str] = field(default_factory=list)

    @property
    def found(self) -> int:
        """All that should not be."""
        return len(self.findings)

    def as_json(self) -> dict[str, object]:
        """For the report."""
        return {"steps": self.step_count, "records": self.record_count, "findings": self.findings[:50]}

    def table(self) -> str:
        """Counts, a line each."""
        title = f"audit records on {self.database}: {self.step_count} operations and outcomes by every way"
        line = f"  missing, or too many          {self.found} found in {self.record_count} records"
        return "\n".join([title, line, *(f"  ! {finding}" for finding in self.findings[:10])])


def run(folder: Path, inputs: int, seed: int) -> Reports:
    """Every step of the table once, on each kind of database. There is no chance in it."""
    if not names.resolves():
        socket.getaddrinfo = names.knowing_localhost(socket.getaddrinfo)

    def trial(database: Database) -> RecordedReport:
        own = folder / f"recorded-{database.kind}"
        own.mkdir()
        server = RunningServer(own, database.url, SETTINGS)
        steps = (*STEPS, *LAST)
        told = [*(step.records for step in steps), *(step.records for step in OCI_STEPS)]
        report = RecordedReport(database.kind, len(told), sum(map(len, told)))
        try:
            server.start()
            desk = Desk(server)
            report.findings = run_table(world_at(desk), steps)
            desk.close()
            oci_desk = OciDesk(server)
            report.findings += oci_recording.run_table(oci_recording.world_at(oci_desk), OCI_STEPS)
            oci_desk.close()
            server.stop()
        finally:
            server.kill()
        return report

    return on_each(trial)
