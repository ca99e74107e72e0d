"""What the trials in a size for every run have in common: a seed, and patience."""

from __future__ import annotations

import os

import pytest

EVERY_DAYS_SEED = 20261122  # the same every time: a test is red for a change, `make figures` looks further


@pytest.fixture
def seed() -> int:
    """The seed of the day, or of a run that is to be repeated."""
    chosen = int(os.environ.get("CLAVIGER_TEST_SEED", EVERY_DAYS_SEED))
    print(f"seed {chosen}: to run it again, set CLAVIGER_TEST_SEED={chosen}")  # noqa: T201
    return chosen


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside the rest of the suite a machine may be slow; `make figures` keeps to its five seconds."""
    monkeypatch.setattr("figures.sending.ANSWER_LIMIT_S", 20.0)
