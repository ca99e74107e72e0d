"""The synchronisation trial of `make figures` in a size for every run, and proof that it sees what is wrong."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import apsw

from bench.estate import ControlPlane
from figures import synchronization as trial
from figures.watching import Met

SECRETS = 100


def test_a_throttled_and_a_killed_control_plane_end_with_what_is_in_the_cloud(tmp_path: Path, seed: int) -> None:
    report = trial.run(tmp_path, SECRETS, seed)
    # On a machine that is busy enough a call may be on its way for longer than the trial allows.
    assert [finding for finding in report.findings if finding[0] != "early"] == [], report.table()
    assert report.answered_ratio <= trial.MOST_CALLS
    assert report.throttled > SECRETS / 3
    assert report.touched > 0

    cloud, plane = trial.WatchedCloud(tmp_path / "sync-cloud"), ControlPlane(tmp_path / "sync-plane-0")
    live = "SELECT MAX(num) FROM cckm_azure_secrets WHERE gone = 0 AND status = 'AVAILABLE'"
    lose = f"DELETE FROM cckm_azure_secrets WHERE num = ({live})"
    spoil = f"UPDATE cckm_azure_secrets SET version = 'x' WHERE num = ({live})"
    for damage, kind in ((lose, "lost"), (spoil, "wrong")):
        database = apsw.Connection(str(plane.data / "claviger.db"))
        database.execute(damage)
        database.close()
        found = trial.SynchronizationReport(seed, SECRETS)
        trial._compare(cloud, plane, found)
        assert found.count(kind) > 0


def test_a_call_before_its_time_is_found() -> None:
    refused = Met(100.0, "SecretList", "a", True)
    for passed, on_their_way, count in ((0.2, 0.5, 0), (0.2, 0.0, 1), (0.9, 0.5, 1), (1.0, 0.0, 0), (1.5, 0.0, 0)):
        met = [refused, Met(100.0 + passed, "SecretList", "a", False), Met(100.1, "SecretList", "b", False)]
        assert len(trial._early(sorted(met), on_their_way)) == count


def test_a_call_that_was_on_its_way_is_not_early_however_busy_the_machine_is() -> None:
    refused = [Met(10.0 * number, "SecretListVersions", "a", True) for number in range(200)]
    delayed = Met(0.53, "SecretListVersions", "a", False)
    assert trial._early(sorted([*refused, delayed]), trial.ON_THEIR_WAY_S) == []
    assert len(trial._early(sorted([*refused, delayed]), 0.0)) == 1
    more = [delayed._replace(at=0.53 + number / 100) for number in range(trial.AT_ONCE)]
    assert len(trial._early(sorted([*refused, *more]), trial.ON_THEIR_WAY_S)) == 1
    often = [delayed._replace(at=call.at + 0.7) for call in refused]
    assert len(trial._early(sorted([*refused, *often]), trial.ON_THEIR_WAY_S)) == len(refused)


def test_a_trial_that_tried_nothing_is_worth_nothing() -> None:
    full = trial.SynchronizationReport(1, trial.QUICK_SIZE, throttled=90, answered=100, kills=1)
    assert trial._not_tried(full) == []
    for poor in (replace(full, throttled=10), replace(full, kills=0)):
        assert [kind for kind, _ in trial._not_tried(poor)] == ["not tried"]
