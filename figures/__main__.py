"""`python -m figures`: the trials, with their counts as a table and as JSON.

Exit status 1 if anything was found. `--seed` replays the choices of an earlier run, `--quick` makes all of them short.
"""

from __future__ import annotations

import argparse
import asyncio
import compileall
import json
import random
import tempfile
from pathlib import Path

import claviger
from figures import (
    audit,
    crash,
    fuzz,
    leaks,
    ocicrash,
    ocifuzz,
    ocileaks,
    ocistates,
    ociwalk,
    operations,
    planefuzz,
    rawfuzz,
    recorded,
    retention,
    synchronization,
)
from figures.crash import CrashReport
from figures.retention import RetentionReport

RESULTS = Path(__file__).with_name("results.json")
_OCI = (ocistates, ociwalk, ocicrash, ocifuzz, ocileaks)
HOSTILE = {
    each.NAME: each for each in (operations, synchronization, fuzz, planefuzz, rawfuzz, leaks, audit, recorded, *_OCI)
}
TRIALS = ("crash", "retention", *HOSTILE)
KILLS, QUICK_KILLS = 200, 12
DELETIONS, QUICK_DELETIONS = 10_000, 1_000


def main(arguments: list[str] | None = None) -> int:
    """The exit status: 1 if a trial found something."""
    given = _options(arguments)
    seed = random.SystemRandom().randrange(2**32) if given.seed is None else given.seed
    print(f"seed {seed}", flush=True)
    # As an installation does: a server that is started hundreds of times shall not compile its sources every time.
    compileall.compile_dir(Path(claviger.__file__).parent, quiet=2)
    told: dict[str, object] = {"seed": seed}
    found = 0
    with tempfile.TemporaryDirectory(prefix="claviger-figures-", dir=given.folder) as made:
        if "crash" in given.trials:
            crashed = asyncio.run(crash.run(Path(made), given.kills or (QUICK_KILLS if given.quick else KILLS), seed))
            told["crash"] = crashed.as_json()
            found += crashed.found
            print(crash_table(crashed), flush=True)
        if "retention" in given.trials:
            count = given.deletions or (QUICK_DELETIONS if given.quick else DELETIONS)
            kept = asyncio.run(retention.run(Path(made), count, seed))
            told["retention"] = kept.as_json()
            found += kept.found
            print(retention_table(kept), flush=True)
        for name, trial in HOSTILE.items():
            if name in given.trials:
                own = {operations: given.kills, ocicrash: given.kills, synchronization: None, ocistates: None}
                chosen = own.get(trial, given.inputs)
                report = trial.run(Path(made), chosen or (trial.QUICK_SIZE if given.quick else trial.SIZE), seed)
                told[name] = report.as_json()
                found += report.found
                print(report.table(), flush=True)
    given.output.write_text(json.dumps(told, indent=2) + "\n")
    print(f"written to {given.output}")
    return 1 if found else 0


def crash_table(report: CrashReport) -> str:
    """Counts of the crash trial, a line each."""
    within = f"in {report.kills} kills (seed {report.seed})"
    title = (
        f"crash: {report.kills} kills under {crash.WRITERS} writers and {report.kills_at_start} while starting, "
        f"{report.acknowledged:,} changes acknowledged, {report.under_way} under way at a kill, "
        f"{report.happened} of them carried out"
    )
    lines = [
        title,
        f"  acknowledged and lost         {report.count('lost')} found {within}",
        f"  half-written                  {report.count('half-written')} found {within}",
        f"  rows without their owner      {report.count('orphan rows')} found {within}",
        f"  answers that should not be    {report.count('wrong answer')} found {within}",
        f"  not ready again in {crash.READY_LIMIT_S:g} s        {report.slow} found {within}; {report.ready}",
    ]
    return "\n".join([*lines, *(f"  ! {kind}: {detail}" for kind, detail in report.findings[:10])])


def retention_table(report: RetentionReport) -> str:
    """Counts of the retention trial, a line each."""
    within = f"in {report.deletions:,} deletions (seed {report.seed})"
    title = (
        f"retention: {report.deletions:,} deletions, {report.jumps_forward} jumps of the clock forward, "
        f"{report.jumps_back} back, {report.restarts} restarts, {report.sweeps} sweeps, {report.purged:,} purged"
    )
    lines = [
        title,
        f"  purged early                  {report.count('early')} found {within}",
        f"  later than one sweep          {report.count('late')} found {within}",
        f"  wrongly shown                 {report.count('shown')} found {within}",
    ]
    return "\n".join([*lines, *(f"  ! {kind}: {detail}" for kind, detail in report.findings[:10])])


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m figures", description=__doc__)
    parser.add_argument("trials", nargs="*", metavar="TRIAL", help=f"which: {', '.join(TRIALS)} (default: all)")
    inputs = fuzz.QUICK_SIZE + planefuzz.QUICK_SIZE + rawfuzz.QUICK_SIZE + ocifuzz.QUICK_SIZE
    sizes = f"{inputs:,} hostile inputs, {leaks.QUICK_SIZE + ocileaks.QUICK_SIZE:,} values"
    kills = f"{QUICK_KILLS}, {operations.QUICK_SIZE} and {ocicrash.QUICK_SIZE} kills"
    short = f"{kills}, {QUICK_DELETIONS:,} deletions, {ociwalk.QUICK_SIZE:,} steps, {sizes}"
    parser.add_argument("--quick", action="store_true", help=short)
    parser.add_argument(
        "--kills", type=int, help=f"how often to kill (default: {KILLS}, {operations.SIZE}, {ocicrash.SIZE})"
    )
    parser.add_argument("--deletions", type=int, help=f"how many secrets to delete (default: {DELETIONS:,})")
    parser.add_argument("--inputs", type=int, help="how many inputs, or values, for each of the other trials")
    parser.add_argument("--seed", type=int, help="of an earlier run (default: a new one)")
    parser.add_argument("--folder", type=Path, help="where to put the data (default: the system's temporary folder)")
    parser.add_argument("--output", type=Path, default=RESULTS, help="the JSON file (default: figures/results.json)")
    given = parser.parse_args(arguments)
    given.trials = given.trials or TRIALS
    unknown = set(given.trials) - set(TRIALS)
    if unknown:
        parser.error(f"no such trial: {', '.join(sorted(unknown))}")
    return given


if __name__ == "__main__":
    raise SystemExit(main())
