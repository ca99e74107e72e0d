"""What the trials in a size for every run have in common: patience."""

from __future__ import annotations

import pytest


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside the rest of the suite a machine may be slow; `make figures` keeps to its five seconds."""
    monkeypatch.setattr("figures.sending.ANSWER_LIMIT_S", 20.0)
    for limit in ("points.FINISH_LIMIT_S", "points.END_LIMIT_S", "operations.FINISH_LIMIT_S"):
        monkeypatch.setattr(f"figures.{limit}", 90.0)
