"""The fuzz trial of OCI: right requests spoilt in every part, signed before or after, and bytes that are no requests.

Requests of every operation (`ocidrafts`) are spoilt (`ocispoiling`) and sent to a real server over TLS, one after the
other, so that after each refusal the database can be looked at: nothing of what was refused may have changed anything,
and no request may be let through whose signature does not hold for it. Every answer is judged by the contract
(`ocijudging`). A part of the inputs is spoilt at the level of bytes, by the means of `rawfuzz`.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Mapping
from pathlib import Path

from figures.answers import Answer
from figures.databases import Database, Reports, kinds, on_each
from figures.fuzz import KINDS, FuzzReport
from figures.ocidrafts import Draft, drawn
from figures.ocijudging import OciAsked, OciJudge
from figures.ocispoiling import Sent, spoilt
from figures.ocitarget import OciTarget, Watch, dice_for
from figures.rawfuzz import ByteTrial
from figures.sending import Channel
from figures.target import SetProduct

NAME = "ocifuzz"
SIZE, QUICK_SIZE = 24_000, 6_000
RAW_SHARE = 0.25
REFILLED_EVERY = 100
OWN_KINDS = ("let through", "changed by what was refused")
PORTION, GOOD_FOR_S = 200, 300.0
"""Good requests that are spoilt as bytes are signed anew for so many inputs: their dates are good for five minutes."""


class OciFuzzReport(FuzzReport):
    """What so many inputs came to."""

    all_kinds = (*OWN_KINDS, *KINDS)


def run(folder: Path, inputs: int, seed: int) -> Reports:
    """The trial on each kind of database, the inputs shared between them."""
    return on_each(lambda database: run_on(database, folder, inputs // kinds(), seed))


def run_on(
    database: Database, folder: Path, inputs: int, seed: int, environment: Mapping[str, str] | None = None
) -> FuzzReport:
    """Sends so many inputs to a fresh server below `folder`, on an empty database."""
    report = OciFuzzReport(seed, NAME, database.kind)
    product = SetProduct(folder / f"{NAME}-{database.kind.lower()}", {**database.settings, **(environment or {})})
    try:
        product.start()
        target = OciTarget(product)
        target.prepare()
        target.begin()
        watch = Watch(database, product.data / "claviger.db")
        raw = int(inputs * RAW_SHARE)
        not_offered = asyncio.run(_Trial(target, watch, report).send(inputs - raw))
        watch.close()
        not_offered += _send_bytes(target, report, raw)
        report.growth_mib = target.growth_mib()
        for kind, detail in target.findings(not_offered):
            report.add(kind, detail)
    finally:
        product.kill()
    return report


class _Trial:
    """Whole requests, one after the other."""

    def __init__(self, target: OciTarget, watch: Watch, report: FuzzReport) -> None:
        self._target = target
        self._watch = watch
        self._report = report
        self._judge = OciJudge()
        self._not_offered = 0
        self._seen = watch.seen()

    async def send(self, count: int) -> int:
        """Sends so many; how many were answered 501."""
        target = self._target
        channel = Channel(target.port, target.product.context, target.host("control"))
        for number in range(count):
            if number and number % REFILLED_EVERY == 0:
                await asyncio.to_thread(target.refill)
                self._seen = self._watch.seen()
            dice = dice_for(self._report.seed, number)
            sent = spoilt(drawn(target, dice), target, dice)
            outcome = await channel.exchange(sent.raw, sent.draft.method)
            self._report.inputs += 1
            self._report.parts["odd" if sent.draft.oddities else "right"] += 1
            self._report.longest_s = max(self._report.longest_s, outcome.seconds)
            findings = [(outcome.kind, outcome.detail)]
            if outcome.answer is not None:
                findings = self._judged(sent, outcome.answer)
            for kind, detail in findings:
                shown = target.without_tokens(sent.raw)
                told = f"{detail} | input {number}: {sent.draft.name} {sent.draft.oddities} | {shown[:1500]!r}"
                self._report.add(kind, told)
        channel.close()
        return self._not_offered

    def _judged(self, sent: Sent, answer: Answer) -> list[tuple[str, str]]:
        draft, report = sent.draft, self._report
        report.statuses[str(answer.status)] += 1
        report.reached[draft.name] += answer.status < 300
        self._not_offered += answer.status == 501
        asked = OciAsked(
            draft.method, draft.target, sent.raw, draft.plane, sent.request_id, sent.must_refuse, sent.is_ours
        )
        found = self._judge.of(answer, asked)
        now = self._watch.seen()
        if answer.status >= 400 and now != self._seen:
            changed = [new for old, new in zip(self._seen, now, strict=True) if old != new]
            found.append(("changed by what was refused", f"{answer.status}: {changed}"))
        self._seen = now
        return found


def _send_bytes(target: OciTarget, report: FuzzReport, count: int) -> int:
    """Spoils good requests as bytes, in portions, each signed just before; how many were answered 501."""
    done, before = 0, report.statuses["501"]
    while done < count:
        dice = random.Random(f"good/{report.seed}/{done}")
        good = [_right(target, dice) for _ in range(60)]
        began = time.monotonic()
        trial = ByteTrial(target, report, good, OciJudge())
        portion = min(count - done, PORTION)
        asyncio.run(trial.send_all(portion, 0, first=done))
        done += portion
        if time.monotonic() - began > GOOD_FOR_S:  # no fault of the server's: what hangs was found one by one
            report.parts["HTTP, perhaps out of date"] += portion
    return report.statuses["501"] - before


def _right(target: OciTarget, dice: random.Random) -> bytes:
    """A request with nothing wrong."""
    draft: Draft = drawn(target, dice)
    signer = target.signers[draft.caller]
    return signer.request(draft.method, f"{draft.host}:{target.port}", draft.target, draft.body, time.time())
