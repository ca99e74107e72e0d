"""The audit trial of `make figures` in a size for every run, and proof that it sees what is missed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from claviger.audit.verify import Finding, Report
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
