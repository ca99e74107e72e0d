"""The audit trial of `make figures` in a size for every run, and proof that it sees what is missed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from claviger.audit.verify import Checker, Finding, Report
from figures import audit
from figures.audit import AuditReport


@pytest.fixture
def report(seed: int) -> AuditReport:
    return AuditReport(seed, "SQLite")


async def run(report: AuditReport, folder: Path, inputs: int) -> None:
    await audit._run(f"sqlite://{folder}/database/claviger.db", folder, inputs, report)


async def test_nothing_is_missed(report: AuditReport, tmp_path: Path):
    await run(report, tmp_path, 60)
    assert report.findings == [], report.table()
    assert report.tampered.total() > 600
    assert "rolled back" in report.table()


@pytest.mark.parametrize(("finding", "kind"), [(None, "missed"), (Finding("is bad", 10**6), "misnamed")])
async def test_what_is_missed_or_misnamed_is_counted(
    report: AuditReport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, finding: Finding | None, kind: str
):
    async def blind(*_: Any) -> Report:
        return Report(
            record_count=0,
            checkpoint_count=0,
            signed_count=0,
            witnessed_count=0,
            origin="",
            root=b"",
            finding=finding,
        )

    monkeypatch.setattr(audit, "verify_stored", blind)
    monkeypatch.setattr(audit, "SAMPLED", 0)
    monkeypatch.setattr(audit, "QUICK_SAMPLED", 0)
    await run(report, tmp_path, 30)
    assert report.count(kind) > 0
    assert f"{report.count(kind)} found" in report.table()


async def test_checkpoints_that_are_not_compared_are_found_where_a_witness_would_hide_it(
    report: AuditReport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def believing(self: Checker, size: int, note: str) -> None:
        self.checkpoint_count += 1
        self.signed_count = size

    monkeypatch.setattr(Checker, "checkpoint", believing)
    monkeypatch.setattr(audit, "QUICK_SAMPLED", 0)
    await run(report, tmp_path, 30)
    missed = {detail.partition(":")[0] for kind, detail in report.findings if kind == "missed"}
    assert any(what.endswith("with new hashes, without a witness") for what in missed), report.table()
