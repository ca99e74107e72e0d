"""The crash trial of OCI: `claviger serve` is killed with SIGKILL at random moments while six clients change vaults.

As `figures.crash`, with signed requests: vaults with keys, versions and secrets are made, changed, scheduled with all
that is in them and brought back. After each kill the server is started again on the same data and every writer looks at
all of its vault; the database is searched for rows that do not belong together.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.client import Client
from bench.oci_signing import Signer
from figures.crash import LONGEST_S, READY_LIMIT_S, SHORTEST_S, CrashReport, kill_amid, orphans, timed
from figures.ociwriter import OciWriter
from figures.target import SetProduct

NAME = "ocicrash"
SIZE, QUICK_SIZE = 200, 12
WRITERS = 6

ORPHANS: Mapping[str, str] = {
    "a key without its vault": (
        "SELECT COUNT(*) FROM oci_keys k LEFT JOIN oci_vaults v ON v.num = k.vault_num WHERE v.num IS NULL"
    ),
    "a key whose current version is not its own": (
        "SELECT COUNT(*) FROM oci_keys k LEFT JOIN oci_key_versions r"
        " ON r.id = k.current_version_id AND r.key_num = k.num WHERE r.num IS NULL"
    ),
    "a version without its key": (
        "SELECT COUNT(*) FROM oci_key_versions r LEFT JOIN oci_keys k ON k.num = r.key_num WHERE k.num IS NULL"
    ),
    "a version without its material": (
        "SELECT COUNT(*) FROM oci_key_versions r LEFT JOIN data_keys d ON d.id = r.data_key_id"
        " WHERE (r.state = 'DELETED') <> (r.sealed IS NULL) OR (r.sealed IS NULL) <> (d.id IS NULL)"
    ),
    "a key half scheduled": (
        "SELECT COUNT(*) FROM oci_keys WHERE (state IN ('ENABLED', 'DISABLED')) <> (deletes_at IS NULL)"
        " OR (state IN ('ENABLED', 'DISABLED')) <> (previous_state IS NULL)"
    ),
    "a vault half scheduled": ("SELECT COUNT(*) FROM oci_vaults WHERE (state = 'ACTIVE') <> (deletes_at IS NULL)"),
    "a key that was left behind by its vault, or went without it": (
        "SELECT COUNT(*) FROM oci_keys k JOIN oci_vaults v ON v.num = k.vault_num"
        " WHERE (v.state = 'ACTIVE' AND k.by_vault = 1)"
        " OR (v.state = 'PENDING_DELETION' AND k.state IN ('ENABLED', 'DISABLED'))"
    ),
    "a secret without its current or its latest version": (
        "SELECT COUNT(*) FROM oci_secrets s WHERE 2 > (SELECT COUNT(*) FROM (SELECT s.current_version AS number"
        " UNION ALL SELECT s.latest_version) w JOIN oci_secret_versions r"
        " ON r.secret_num = s.num AND r.number = w.number)"
    ),
    "a version of a secret that came after the latest one": (
        "SELECT COUNT(*) FROM oci_secret_versions r LEFT JOIN oci_secrets s ON s.num = r.secret_num"
        " WHERE s.num IS NULL OR r.number > s.latest_version"
    ),
    "a content without its data key": (
        "SELECT COUNT(*) FROM oci_secret_versions r LEFT JOIN data_keys d ON d.id = r.data_key_id"
        " WHERE (r.sealed IS NULL) <> (d.id IS NULL)"
    ),
    "a secret half scheduled": ("SELECT COUNT(*) FROM oci_secrets WHERE (state = 'ACTIVE') <> (deletes_at IS NULL)"),
}


@dataclass
class OciCrashReport(CrashReport):
    """What so many kills came to."""

    again: int = 0

    def as_json(self) -> dict[str, object]:
        """For the report."""
        return super().as_json() | {"writers": WRITERS, "asked_for_again_with_their_token": self.again}

    def table(self) -> str:
        """Counts, a line each."""
        within = f"in {self.kills} kills (seed {self.seed})"
        title = f"{NAME}: {self.kills} kills under {WRITERS} writers and {self.kills_at_start} while starting, "
        title += f"{self.acknowledged:,} changes acknowledged, {self.under_way} under way at a kill: "
        lines = [
            f"{title}{self.happened} carried out, {self.again} asked for again with their retry token",
            f"  acknowledged and lost         {self.count('lost')} found {within}",
            f"  half-written                  {self.count('half-written')} found {within}",
            f"  rows that do not belong       {self.count('orphan rows')} found {within}",
            f"  answers that should not be    {self.count('wrong answer')} found {within}",
            f"  not ready again in {READY_LIMIT_S:g} s        {self.slow} found {within}; {self.ready}",
        ]
        return "\n".join([*lines, *(f"  ! {kind}: {detail[:1500]}" for kind, detail in self.findings[:10])])


def run(folder: Path, kills: int, seed: int) -> OciCrashReport:
    """Kills a server on a fresh data directory below `folder` so many times."""
    product = SetProduct(folder / NAME)
    report = OciCrashReport(seed)
    try:
        product.start()
        places = [_compartment(product, f"writer-{number}") for number in range(WRITERS)]
        shared = _compartment(product, "writers")
        signer = Signer.from_profile(Path(product.told()["OCI_CONFIG_FILE"]))
        clients = [Client(product.port, product.host, product.context) for _ in range(WRITERS)]
        writers = [
            OciWriter(number, seed, client, signer, (place, shared))
            for number, (client, place) in enumerate(zip(clients, places, strict=True))
        ]
        asyncio.run(_kill(product, writers, kills, report))
        product.stop()
        report.add(orphans(product.data / "claviger.db", whole=True, queries=ORPHANS))
    finally:
        product.kill()
    report.acknowledged = sum(writer.acknowledged_count for writer in writers)
    report.under_way = sum(writer.doubts_count for writer in writers)
    report.happened = sum(writer.happened_count for writer in writers)
    report.again = sum(writer.again_count for writer in writers)
    report.add([finding for writer in writers for finding in writer.findings])
    return report


def _compartment(product: SetProduct, name: str) -> str:
    made = product.command("oci", "compartment", "create", name, "--tenancy", "demo")
    return str(made["id"])


async def _kill(product: SetProduct, writers: list[OciWriter], kills: int, report: OciCrashReport) -> None:
    dice = random.Random(report.seed)
    for _ in range(kills):
        report.add(await kill_amid(product, writers, dice.uniform(SHORTEST_S, LONGEST_S)))
        report.kills += 1
        if dice.random() < 0.15:
            product.launch()
            await asyncio.sleep(dice.uniform(0, LONGEST_S))
            product.kill()
            report.kills_at_start += 1
        report.started(timed(product))
        await asyncio.gather(*(writer.look() for writer in writers))
        report.add(orphans(product.data / "claviger.db", queries=ORPHANS))
    for writer in writers:
        await writer.client.close()
