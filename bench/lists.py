"""Lists of secrets: every filter with every order over many records; the first, a middle and the last page.

The records are made by the product's own code in a database of their own, and the pages are asked for in this process,
down to their JSON: what HTTP adds is measured elsewhere. Two things are told apart, since what was expensive to find is
remembered until a secret changes: a page while nothing changes, and the first one after a change.
"""

from __future__ import annotations

import asyncio
import random
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from bench.report import Figure
from claviger.cckm.azure.secrets import records
from claviger.cckm.azure.secrets.listing import SecretLists
from claviger.cckm.azure.secrets.rows import SecretRow, Told
from claviger.cckm.azure.secrets.rules import Status
from claviger.cckm.azure.vaults import records as vaults
from claviger.cckm.azure.vaults.records import VaultDetails, VaultRow, encode_details
from claviger.cckm.calls import ROOT_DOMAIN, Query
from claviger.core.clock import ManualClock, SystemClock
from claviger.core.ids import new_uuid, new_version
from claviger.store.contract import Store, Tx
from claviger.store.opening import open_store

BATCH = 2_500
EPOCH = 1_700_000_000
DAY_S = 86_400
RECORDS_A_VAULT = 1_000
MOST_MS = 20.0
MOST_RATIO = 2.0
SUBSCRIPTION = "1cda5d8b-c825-4976-9999-26022adb76b5"
SORTS = ("updatedAt", "-updatedAt", "createdAt", "secret_name", "status", "-key_vault", "region", "status,-updatedAt")
CLOCK = ManualClock(EPOCH + 700 * DAY_S)
SCANNED = ("secret_name=*", "secret_name=secret-00*", "tags=env:prod&tags=owner", "expir", "older")
"""Filters whose matches are searched for, since no count tells how many there are; after a change, anew."""

Pairs = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Line:
    """One filter in one order: medians in milliseconds of the first, the middle and the last page."""

    name: str
    sort: str
    total: int
    pages_ms: tuple[float, float, float]
    fresh_ms: tuple[float, float, float]

    @property
    def ratio(self) -> float:
        """The slower end against the faster one."""
        first, _, last = self.pages_ms
        return max(first, last) / min(first, last)

    @property
    def median_ms(self) -> float:
        """Of the three pages."""
        return statistics.median(self.pages_ms)


def measure(folder: Path, count: int, rounds: int, seed: int) -> list[Figure]:
    """Fills a database with `count` records and asks it for pages."""
    return asyncio.run(_measure(f"sqlite://{folder}/lists/claviger.db", count, rounds, random.Random(seed)))


async def _measure(url: str, count: int, rounds: int, dice: random.Random) -> list[Figure]:
    store = await open_store(url, SystemClock())
    try:
        began = time.perf_counter()
        _say(f"filling a database with {count:,} records of secrets in {max(count // RECORDS_A_VAULT, 5):,} vaults")
        await fill(store, count, dice)
        _say(f"  took {time.perf_counter() - began:.0f} s")
        asked = await _filters(store, dice)
        _say(f"{'':34}{'order':20}{'matches':>9}  first  middle   last ms   after a change: first  middle   last ms")
        lines = []
        for name, pairs in asked.items():
            for sort in SORTS:
                lines.append(await _line(store, name, pairs, sort, rounds))
                _say(_told(lines[-1]))
    finally:
        await store.close()
    return _figures(lines, count)


async def _line(store: Store, name: str, pairs: Pairs, sort: str, rounds: int) -> Line:
    total = (await _page(SecretLists(store, CLOCK), pairs, sort, 0))[1]
    places = (0, total // 2, max(total - 10, 0))
    fresh: list[list[float]] = [[], [], []]
    for _ in range(3):
        for at, skip in enumerate(places):
            fresh[at].append((await _page(SecretLists(store, CLOCK), pairs, sort, skip))[0])
    lists = SecretLists(store, CLOCK)
    taken: list[list[float]] = [[], [], []]
    for turn in range(rounds + 1):
        for at, skip in enumerate(places):
            ms = (await _page(lists, pairs, sort, skip))[0]
            if turn:
                taken[at].append(ms)
    pages = [statistics.median(each) for each in taken]
    news = [statistics.median(each) for each in fresh]
    return Line(name, sort, total, (pages[0], pages[1], pages[2]), (news[0], news[1], news[2]))


async def _page(lists: SecretLists, pairs: Pairs, sort: str, skip: int) -> tuple[float, int]:
    """Milliseconds for a page of ten, and the total."""
    began = time.perf_counter()
    page = await lists.page(ROOT_DOMAIN, Query([*pairs, ("sort", sort), ("skip", str(skip)), ("limit", "10")]), None)
    msgspec.json.encode(page)
    return (time.perf_counter() - began) * 1000, page.total


def _figures(lines: Sequence[Line], count: int) -> list[Figure]:
    """The worst of all filters, for each order, and what a change costs."""
    figures = []
    for sort in SORTS:
        here = [line for line in lines if line.sort == sort]
        slow, uneven = max(here, key=lambda line: line.median_ms), max(here, key=lambda line: line.ratio)
        of = f"of {len(here)} filters over {count:,} records by {sort}"
        detail = {line.name: [line.total, *line.pages_ms, *line.fresh_ms] for line in here}
        told = (min(line.median_ms for line in here), slow.median_ms)
        figures.append(Figure(f"slowest list {of}", slow.median_ms, MOST_MS, "at most", "ms", *told, slow.name, detail))
        ends = (min(line.ratio for line in here), uneven.ratio)
        figures.append(Figure(f"most uneven list {of}", uneven.ratio, MOST_RATIO, "at most", "x", *ends, uneven.name))
    for title, are_scanned in (("counted", False), ("searched for", True)):
        here = [line for line in lines if line.name.startswith(SCANNED) is are_scanned]
        ends_ms = [(ms, line) for line in here for ms in (line.fresh_ms[0], line.fresh_ms[2])]
        slowest, line = max(ends_ms, key=lambda each: each[0])
        note = f"{line.name} by {line.sort}; median {statistics.median(ms for ms, _ in ends_ms):.1f} ms"
        figures.append(
            Figure(f"first or last page after a change, matches {title}", slowest, MOST_MS, "at most", "ms", note=note)
        )
    return figures


def _told(line: Line) -> str:
    pages = "".join(f"{ms:8.2f}" for ms in line.pages_ms)
    news = "".join(f"{ms:8.1f}" for ms in line.fresh_ms)
    missed = line.median_ms > MOST_MS or line.ratio > MOST_RATIO
    return f"{line.name:34}{line.sort:20}{line.total:>9,}{pages}{'':18}{news}{'  short' if missed else ''}"


async def _filters(store: Store, dice: random.Random) -> Mapping[str, Pairs]:
    """Every filter, rare and frequent, with values that occur."""
    num = dice.randrange(1, int((await store.read("SELECT MAX(num) FROM cckm_azure_secrets"))[0][0]) + 1)
    row = (await store.read("SELECT id, version, backup, name, vault_num FROM cckm_azure_secrets WHERE num = ?", num))[
        0
    ]
    vault = (await store.read("SELECT id, azure_name FROM cckm_azure_vaults WHERE num = ?", row[4]))[0]
    words = (
        "",
        "status=AVAILABLE",
        "status=DELETED",
        "enabled=true",
        "enabled=false",
        "deleted_in_azure=true",
        "gone=true",
        "managed=true",
        "key_material_origin=cckm",
        "version=-1",
        "region=eastus",
        "cloud_name=AzureCloud",
        f"key_vault={vault[1]}",
        "key_vault=vault-00*",
        f"key_vault_id={vault[0]}",
        "gone=true&managed=true&status=DELETED",
        "rotation_job_enabled=false",
        "never_rotated=true",
        "expiring_within_days=30",
        "expires_before=2024-06-01",
        "older_than_days=690",
        "older_than_days=90",
        "job_config_id=job",
        "tags=env:prod",
        "tags=owner:team-5",
        "tags=env",
        "tags=env:prod&status=DELETED",
        "tags=env:prod&tags=owner:team-5",
        f"id={row[0]}",
        f"version={row[1]}",
        f"backup={row[2]}",
        f"secret_name={row[3]}",
        f"secret_id=https://{vault[1]}.vault.azure.net/secrets/{row[3]}",
        "secret_name=*99-db",
        "secret_name=secret-00*",
        "secret_name=*-db",
    )
    return {
        word or "no filter": [(part.partition("=")[0], part.partition("=")[2]) for part in word.split("&") if part]
        for word in words
    }


async def fill(store: Store, count: int, dice: random.Random) -> None:
    """`count` records, vault after vault as synchronisation would make them, of every kind."""

    def domain(tx: Tx) -> None:
        tx.execute(
            "INSERT INTO cckm_domains (id, name, details, created_at, updated_at) VALUES (?, 'root', '{}', 0, 0)",
            ROOT_DOMAIN,
        )

    await store.write(domain)
    vault_count = max(count // RECORDS_A_VAULT, 5)
    made = [await store.write(lambda tx, n=number: vaults.add(tx, _vault(n, dice))) for number in range(vault_count)]
    for start in range(0, count, BATCH):
        rows = [
            _row(made[number * vault_count // count], number, dice)
            for number in range(start, min(start + BATCH, count))
        ]
        await store.write(lambda tx, rows=rows: records.add_many(tx, ROOT_DOMAIN, rows))


def _vault(number: int, dice: random.Random) -> VaultRow:
    name = f"vault-{number:04d}"
    said = VaultDetails(
        properties={
            "enableSoftDelete": True,
            "tenantId": new_uuid(),
            "vaultUri": f"https://{name}.vault.azure.net/",
            "sku": {"family": "A", "name": "standard"},
        }
    )
    return VaultRow(
        num=0,
        id=new_uuid(),
        domain_id=ROOT_DOMAIN,
        connection_id="connection",
        connection_name="connection",
        subscription_id=SUBSCRIPTION,
        subscription_name="subscription",
        azure_name=name,
        azure_vault_id=f"/subscriptions/{SUBSCRIPTION}/vaults/{name}",
        cloud_name=dice.choice(("AzureCloud", "AzureUSGovernment")),
        location=dice.choice(("eastus", "westus", "northeurope")),
        type="Microsoft.KeyVault/vaults",
        details=encode_details(said),
        labels="{}",
        cloud_key_backup_limit=0,
        synced_at=None,
        created_by="user",
        created_at=0.0,
        updated_at=0.0,
    )


def _row(vault: VaultRow, number: int, dice: random.Random) -> SecretRow:
    """Facts are independent of one another, which makes more facets than life would."""
    name = f"secret-{number:07d}-{dice.choice(('db', 'api', 'cert', 'token'))}"
    version = new_version()
    at = EPOCH + number * 60.0
    status = dice.choices(tuple(Status), (90, 7, 3))[0]
    tags = {"env": dice.choice(("prod", "dev", "test", "qa"))} if dice.random() < 0.5 else {}
    if dice.random() < 0.1:
        tags["owner"] = f"team-{dice.randrange(1000)}"
    return SecretRow(
        id=new_uuid(),
        vault_num=vault.num,
        name=name,
        version=version,
        status=status,
        soft_deleted=status is Status.SOFT_DELETED,
        gone=dice.random() < 0.01,
        origin=dice.choice(("cckm", "native", "native", "unknown")),
        told=Told(
            azure_id=f"https://{vault.azure_name}.vault.azure.net/secrets/{name}/{version}",
            content_type="password",
            tags=tags,
            managed=dice.random() < 0.02,
            enabled=dice.random() < 0.95,
            expires_at=EPOCH + dice.randrange(1, 1500) * DAY_S if dice.random() < 0.3 else None,
            created_at=int(at),
            updated_at=int(at),
            recovery_level="Recoverable+Purgeable",
            recoverable_days=90,
            purge_at=EPOCH + dice.randrange(700, 790) * DAY_S if status is Status.SOFT_DELETED else None,
        ),
        backup=f"{dice.getrandbits(256):064x}",
        backup_at=at,
        synced_at=at,
        created_by="user",
        modified_by="user",
        created_at=at,
        updated_at=at + dice.random() * 1000 if dice.random() < 0.5 else at,
    )


def _say(text: str) -> None:
    print(text, file=sys.stdout, flush=True)
