"""The schema trial: requests drawn from OpenAPI documents, right and wrong, by callers of all kinds, oddly dressed.

schemathesis draws from `schemas/`: the secrets data plane, the login host, the management calls. Each drawn request
goes out in several forms (`varying`) to a real server over TLS, and every answer is judged (`judging`); one to a
request as drawn must be of the documented shape too. At the end the server must live, be ready, have kept what nobody
named (`target`), not have grown, and not have logged an error.
"""

from __future__ import annotations

import asyncio
import itertools
import math
import random
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from figures.databases import Database, Reports, kinds, on_each
from figures.judging import Judge
from figures.sending import Channel, Crew, Outcome
from figures.target import KNOWN_NAMES, LOGIN, MANAGEMENT, SUBSCRIPTION, SetProduct, Target, prepare

NAME = "fuzz"
SIZE, QUICK_SIZE = 30_000, 8_000
FORMS = 4
CHANNELS = 8
DOCUMENTS = (("keyvault-secrets", "vault", 0.4), ("login", "issuer", 0.25), ("management", "management", 0.35))
"""The file, whose errors its answers have, and the share of the inputs."""
KINDS = (
    "5xx", "hang", "no answer", "not an answer", "error shape", "content type", "header", "undocumented",
    "server down", "state changed", "memory", "error in the log",
)  # fmt: skip
_KEPT_FINDINGS = 200


@dataclass
class FuzzReport:
    """What so many inputs came to. Times in seconds. `all_kinds` are what is looked for."""

    all_kinds: ClassVar[tuple[str, ...]] = KINDS

    seed: int
    name: str = NAME
    database: str = "SQLite"
    inputs: int = 0
    parts: Counter[str] = field(default_factory=Counter)
    statuses: Counter[str] = field(default_factory=Counter)
    reached: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    longest_s: float = 0.0
    growth_mib: float = 0.0
    findings: list[tuple[str, str]] = field(default_factory=list)

    @property
    def found(self) -> int:
        """All that should not be."""
        return sum(self.kinds.values())

    def add(self, kind: str, detail: str) -> None:
        """One more finding; of very many only the first are kept in words."""
        self.kinds[kind] += 1
        if len(self.findings) < _KEPT_FINDINGS:
            self.findings.append((kind, detail))

    def as_json(self) -> dict[str, object]:
        """For the report."""
        return {
            "seed": self.seed,
            "inputs": self.inputs,
            "parts": dict(sorted(self.parts.items())),
            "answers_by_status": dict(sorted(self.statuses.items())),
            "operations": len(self.reached),
            "operations_never_successful": sorted(name for name, count in self.reached.items() if not count),
            "longest_answer_s": round(self.longest_s, 3),
            "memory_growth_mib": round(self.growth_mib, 1),
            "found": {kind: self.kinds[kind] for kind in self.all_kinds},
            "findings": self.findings[:50],
        }

    def table(self) -> str:
        """Counts, a line each."""
        within = f"in {self.inputs:,} inputs (seed {self.seed})"
        parts = ", ".join(f"{part} {count:,}" for part, count in sorted(self.parts.items()))
        statuses = ", ".join(f"{status} {count:,}" for status, count in sorted(self.statuses.items()))
        lines = [
            f"{self.name}: {self.inputs:,} inputs on {self.database}: {parts}",
            f"  answered: {statuses}; longest {self.longest_s:.2f} s; memory grown by {self.growth_mib:.0f} MiB",
            *(f"  {kind:<29} {self.kinds[kind]} found {within}" for kind in self.all_kinds),
        ]
        return "\n".join([*lines, *(f"  ! {kind}: {detail[:600]}" for kind, detail in self.findings[:10])])


def run(folder: Path, inputs: int, seed: int) -> Reports:
    """The trial on each kind of database, the inputs shared between them; each has a seed of its own."""
    return on_each(lambda database: run_on(database, folder, inputs // kinds(), seed + (database.url is not None)))


def run_on(database: Database, folder: Path, inputs: int, seed: int) -> FuzzReport:
    """Sends so many inputs to a fresh server below `folder`, on an empty database."""
    report = FuzzReport(seed, NAME, database.kind)
    product = SetProduct(folder / f"{NAME}-{database.kind.lower()}", {"CLAVIGER_IMDS": "true"} | database.settings)
    try:
        product.start()
        target = prepare(product, seed)
        target.begin()
        asyncio.run(_send_all(target, inputs, report))
        report.growth_mib = target.growth_mib()
        for kind, detail in target.findings():
            report.add(kind, detail)
    finally:
        product.kill()
    return report


async def _send_all(target: Target, inputs: int, report: FuzzReport) -> None:
    from figures.drawing import undocumented  # takes two seconds to import, and is needed here only
    from figures.varying import Form, Varying

    names = {"vault": target.vault, "kept": target.kept, "port": str(target.port)}
    hosts = {"vault": target.host(target.vault), "issuer": LOGIN, "identity": LOGIN, "management": MANAGEMENT}
    tokens = dict.fromkeys(hosts, target.tokens) | {"management": target.managing}
    varying, judge = Varying(hosts, names, tokens), Judge()
    dice = random.Random(f"forms/{report.seed}")
    drawn = _drawn(target, -(-inputs // FORMS), report.seed)
    made = (form for each in itertools.cycle(drawn) for form in varying.forms(each, FORMS, dice))
    forms = list(itertools.islice(made, inputs))  # again from the first where a document has no more to draw
    forms.sort(
        key=lambda form: not form.plain or form.asked.service != "issuer"
    )  # before failed sign-ins are throttled

    def note(form: Form, outcome: Outcome) -> None:
        report.inputs += 1
        report.parts[form.drawn.service] += 1
        report.longest_s = max(report.longest_s, outcome.seconds)
        if outcome.answer is None:
            findings = [(outcome.kind, outcome.detail)]
        else:
            report.statuses[str(outcome.answer.status)] += 1
            report.reached[form.drawn.label] += outcome.answer.status < 300
            findings = judge.of_host(outcome.answer, form.asked)
            if form.plain and outcome.answer.status < 300:
                findings += [("undocumented", said) for said in undocumented(form.drawn.operation, outcome.answer)]
        for kind, detail in findings:
            shown = target.without_tokens(form.raw)
            report.add(kind, f"{detail} | {form.drawn.label} {form.oddities} | {shown[:1500]!r}")

    crew = Crew(forms, note)
    channels = [Channel(target.port, target.product.context, hosts["vault"]) for _ in range(CHANNELS)]
    await asyncio.gather(*(crew.work(each, lambda form: (form.raw, form.asked.method)) for each in channels))


def _drawn(target: Target, count: int, seed: int) -> list[Any]:
    """Drawn requests of every document, mixed."""
    from figures.drawing import Document, written

    demo = target.applications["demo"]
    known = {
        "names": KNOWN_NAMES,
        "versions": target.versions,
        "blobs": target.blobs,
        "tenants": [target.tenant_id],
        "subscriptions": [SUBSCRIPTION],
        "client_ids": [demo.client_id],
        "client_secrets": [demo.client_secret],
        "identity_headers": [target.product.told()["IDENTITY_HEADER"]],
    }
    found: list[Any] = []
    for name, service, share in DOCUMENTS:
        found += Document(written(name, known), service, target.places).draw(math.ceil(count * share), seed)
    random.Random(seed).shuffle(found)
    return found
