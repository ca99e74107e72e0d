"""Lists of secrets against a model in plain Python: whatever is asked for, and by whichever way the page is found."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from typing import Any

import msgspec
import pytest

from claviger.cckm.azure.secrets import records
from claviger.cckm.azure.secrets.listing import SecretLists, pages, scans, ways
from claviger.cckm.azure.secrets.listing.memory import Memory
from claviger.cckm.azure.secrets.listing.records import ListReads
from claviger.cckm.azure.secrets.listing.ways import Ways
from claviger.cckm.azure.secrets.rows import SecretRow
from claviger.cckm.azure.secrets.rules import Status
from claviger.cckm.azure.vaults import records as vault_records
from claviger.cckm.azure.vaults.records import VaultRow
from claviger.cckm.calls import ROOT_DOMAIN, Query
from claviger.cckm.listing import MOST_AT_ONCE
from claviger.core.clock import ManualClock, SystemClock
from claviger.core.errors import Invalid
from claviger.store.contract import Store
from claviger.store.opening import open_store
from tests.many_secrets import DAY_S, START, draw_change, draw_row, make_domain, make_vault, uuid_of

OTHER = "9c1f0d5e-0000-4000-8000-00000000000d"
ROWS = 350
CLOCK = ManualClock(START + 30.0)
MINUTE = int(CLOCK.now()) // 60 * 60
Pairs = list[tuple[str, str]]


class Estate:
    """A store full of secrets, and the same rows in memory."""

    def __init__(self, store: Store, vaults: Sequence[VaultRow], rows: dict[int, SecretRow]) -> None:
        self.store = store
        self.vaults = {vault.num: vault for vault in vaults}
        self.rows = rows
        self.named: Counter[Any] = Counter()

    def all_of(self, domain_id: str, containers: frozenset[str] | None) -> list[SecretRow]:
        return [
            row
            for row in self.rows.values()
            if self.vaults[row.vault_num].domain_id == domain_id
            and (containers is None or self.vaults[row.vault_num].id in containers)
        ]

    def latest(self) -> set[int]:
        newest: dict[Any, SecretRow] = {}
        for num, row in sorted(self.rows.items()):
            key = (row.vault_num, row.name.lower())
            if key not in newest or (row.told.created_at, num) >= (newest[key].told.created_at, newest[key].num):
                newest[key] = row
        return {row.num for row in newest.values()}

    def meets(self, row: SecretRow, name: str, word: str, latest: set[int]) -> bool:
        """Whether a row meets one value of one filter."""
        vault, truth = self.vaults[row.vault_num], {"true": True, "false": False}
        if name == "tags":
            tag, mark, value = re.match(r"([^=:]*)([=:]?)(.*)", word).groups()  # type: ignore[union-attr]
            return tag in row.told.tags and (not mark or row.told.tags[tag] == value)
        if name == "expires_before":
            return row.told.expires_at is not None and row.told.expires_at < int(word)
        if name == "expiring_within_days":
            return row.told.expires_at is not None and MINUTE <= row.told.expires_at < MINUTE + int(word) * DAY_S
        if name == "older_than_days":
            return row.told.created_at < MINUTE - int(word) * DAY_S
        if name == "secret_id":
            whole = row.told.azure_id.lower()
            return whole == word.lower() or whole.rpartition("/")[0] == word.lower()
        if name in ("secret_name", "key_vault"):
            values = [row.name] if name == "secret_name" else [vault.name, vault.azure_name, vault.id]
            pattern = ".*".join(re.escape(part) for part in word.split("*"))
            return any(re.fullmatch(pattern, value, re.IGNORECASE) for value in values)
        return bool(
            {
                "id": lambda: row.id == word,
                "key_vault_id": lambda: vault.id == word,
                "region": lambda: vault.location == word,
                "cloud_name": lambda: vault.cloud_name == word,
                "status": lambda: row.status.value == word,
                "version": lambda: row.num in latest if word == "-1" else row.version == word,
                "backup": lambda: row.backup == word,
                "key_material_origin": lambda: row.origin == word,
                "job_config_id": lambda: False,
                "rotation_job_enabled": lambda: word == "false",
                "enabled": lambda: row.told.enabled is truth.get(word),
                "deleted_in_azure": lambda: row.soft_deleted is truth.get(word),
                "gone": lambda: row.gone is truth.get(word),
                "managed": lambda: row.told.managed is truth.get(word),
                "never_rotated": lambda: (self.named[row.vault_num, row.name.lower()] == 1) is truth.get(word),
            }[name]()
        )

    def listed(self, domain_id: str, pairs: Pairs, containers: frozenset[str] | None) -> list[str]:
        """The ids of all rows that a list should have, in order."""
        latest = self.latest()
        self.named = Counter((row.vault_num, row.name.lower()) for row in self.rows.values())
        asked: dict[str, list[str]] = {}
        for name, word in pairs:
            if name not in ("sort", "skip", "limit"):
                asked.setdefault(name, []).append(word)
        found = [
            row
            for row in self.all_of(domain_id, containers)
            if all(any(self.meets(row, name, word, latest) for word in words) for name, words in asked.items())
        ]
        sorts = dict(pairs).get("sort", "updatedAt").split(",")
        found.sort(key=lambda row: row.num, reverse=sorts[-1].startswith("-"))
        for sort in reversed(sorts):
            found.sort(key=lambda row: self.place(row, sort.removeprefix("-")), reverse=sort.startswith("-"))
        return [row.id for row in found]

    def place(self, row: SecretRow, name: str) -> Any:
        vault = self.vaults[row.vault_num]
        return {
            "updatedAt": row.updated_at,
            "createdAt": row.num,
            "secret_name": row.name.lower(),
            "status": row.status.value,
            "key_vault": vault.name,
            "region": vault.location,
        }[name]

    async def check(
        self, lists: SecretLists, pairs: Pairs, domain_id: str = ROOT_DOMAIN, containers: frozenset[str] | None = None
    ) -> None:
        """The page is what the model says."""
        page = await lists.page(domain_id, Query(pairs), containers)
        ids = self.listed(domain_id, pairs, containers)
        given = dict(pairs)
        skip, limit = int(given.get("skip", 0)), int(given.get("limit", 10))
        assert (page.skip, page.limit, page.total) == (skip, limit, len(ids)), pairs
        expected = ids[skip:] if limit == -1 else ids[skip : skip + limit]
        assert [record.id for record in page.resources] == expected, pairs


@pytest.fixture
async def estate(database_url: str) -> AsyncIterator[Estate]:
    chance = random.Random(11)
    store = await open_store(database_url, SystemClock())
    await make_domain(store, ROOT_DOMAIN, "root")
    await make_domain(store, OTHER, "other")
    vaults = [await make_vault(store, ROOT_DOMAIN, chance, f"vault-{number}") for number in range(6)]
    vaults.append(await make_vault(store, OTHER, chance, "vault-0"))
    found: dict[int, SecretRow] = {}
    for domain_id, theirs in ((ROOT_DOMAIN, vaults[:-1]), (OTHER, vaults[-1:])):
        drawn = [draw_row(chance, theirs) for _ in range(ROWS if domain_id == ROOT_DOMAIN else 40)]
        made = await store.write(lambda tx, drawn=drawn, to=domain_id: records.add_many(tx, to, drawn))
        found |= {row.num: row for row in made}
    yield Estate(store, vaults, found)
    await store.close()


def draw_pairs(chance: random.Random, estate: Estate, *, complex_ones: bool = True) -> Pairs:
    """Filters, a sort and a window, with values that mostly occur."""
    row = chance.choice(list(estate.rows.values()))
    vault = estate.vaults[row.vault_num]
    tags = [f"{name}{chance.choice('=:')}{value}" for name, value in row.told.tags.items()] or ["env"]
    several: dict[str, Sequence[str]] = {
        "status": [status.value for status in Status],
        "enabled": ("true", "false"),
        "gone": ("true", "false"),
        "managed": ("true", "false"),
        "deleted_in_azure": ("true", "false"),
        "key_material_origin": ("cckm", "native", "unknown", "nobody"),
        "region": ("eastus", "westus", "northeurope", "nowhere"),
        "cloud_name": ("AzureCloud", "AzureUSGovernment"),
        "key_vault": (vault.name, vault.azure_name.upper(), vault.id, "vault-*", "*-1*", "nothing"),
        "key_vault_id": (vault.id, uuid_of(chance)),
        "version": ("-1",),
        "never_rotated": ("true", "false"),
        "tags": (tags[0], "env", "env=prod", "env=a=b"),
    }
    rare: dict[str, Sequence[str]] = {
        "id": (row.id, uuid_of(chance)),
        "version": (row.version, "-1"),
        "backup": (row.backup or "none", f"{3:064x}"),
        "secret_name": (row.name, "db-1", "API-*", "*-1*", "*", "t*n-*", "100%", "a_i-*"),
        "secret_id": (row.told.azure_id, row.told.azure_id.rpartition("/")[0], "https://nowhere/secrets/x", "no url"),
        "tags": (tags[0], "owner", "owner:team-1", "env=dev", "nothing", "nothing=1"),
        "rotation_job_enabled": ("true", "false"),
        "job_config_id": ("job",),
    }
    dates = {
        "expires_before": str(START + chance.randrange(-5, 40) * DAY_S),
        "expiring_within_days": str(chance.choice((0, 1, 30, 36525))),
        "older_than_days": str(chance.choice((0, 1, 3, 36525))),
    }
    pairs: Pairs = [chance.choice(list(dates.items()))] if complex_ones and chance.random() < 0.3 else []
    for _ in range(chance.choice((0, 1, 1, 1, 2, 3))):
        name, words = chance.choice(
            list((several | rare if complex_ones and chance.random() < 0.5 else several).items())
        )
        if name not in dict(pairs):
            pairs += [(name, word) for word in chance.sample(words, min(len(words), chance.choice((1, 1, 2))))]
    sorts = ["updatedAt", "createdAt", "secret_name", "status", "key_vault", "region"]
    chosen = chance.sample(sorts, chance.choice((1, 1, 1, 2, 3)) if complex_ones else 1)
    if chance.random() < 0.8:
        pairs.append(("sort", ",".join(chance.choice(("", "-")) + name for name in chosen)))
    if chance.random() < 0.7:
        pairs.append(("skip", str(chance.choice((0, 1, 7, chance.randrange(60), chance.randrange(ROWS + 5))))))
    if chance.random() < 0.8:
        pairs.append(("limit", str(chance.choice((0, 1, 5, 50, 1000, -1)))))
    return pairs


@pytest.mark.parametrize("seed", range(3))
async def test_a_list_is_what_the_model_says(estate: Estate, seed: int) -> None:
    chance = random.Random(seed)
    lists = SecretLists(estate.store, CLOCK)
    ids = [vault.id for vault in estate.vaults.values()]
    for _ in range(90):
        containers = frozenset(chance.sample(ids, chance.randrange(4))) if chance.random() < 0.3 else None
        domain_id = OTHER if chance.random() < 0.1 else ROOT_DOMAIN
        await estate.check(lists, draw_pairs(chance, estate), domain_id, containers)


@pytest.mark.parametrize("way", ["walk", "impatient", "gather", "whole", "gather tagged", "merge", "tops", "scan"])
async def test_every_way_leads_to_the_same_page(estate: Estate, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    taken = 0

    async def costs(self: Ways, *args: Any) -> dict[str, float]:
        nonlocal taken
        found: dict[str, float] = await usual(self, *args)
        wanted = {"impatient": "walk", "whole": "gather"}.get(way, way)
        if wanted in found:
            taken += 1
            found[wanted] = -1.0
        return found

    usual = Ways._costs
    monkeypatch.setattr(Ways, "_costs", costs)
    monkeypatch.setattr(ways, "STEP", 16)
    monkeypatch.setattr(ways, "WORTH_REMEMBERING", -2.0 if way == "whole" else 1e9)
    monkeypatch.setattr(ways, "ROW_WALKED", 1e9 if way == "impatient" else ways.ROW_WALKED)
    monkeypatch.setattr(pages, "MOST_GROUPS", 3)
    monkeypatch.setattr(pages, "VIEWS_A_READ", 7)
    monkeypatch.setattr(scans, "NUMS_A_READ", 30)
    monkeypatch.setattr(scans, "NAMES_A_READ", 2)
    chance = random.Random(way)
    lists = SecretLists(estate.store, CLOCK)
    for _ in range(80):
        pairs = draw_pairs(chance, estate, complex_ones=way == "walk")
        if way in ("gather tagged", "scan") and "tags" not in dict(pairs):
            pairs.append(("tags", "env=prod"))
        await estate.check(lists, pairs)
    assert taken > 8


async def test_what_is_equal_is_in_the_order_of_all_else_that_is_sorted_by(estate: Estate) -> None:
    lists = SecretLists(estate.store, CLOCK)
    sorts = (
        "secret_name,-updatedAt",
        "-status,secret_name,region,-createdAt",
        "-secret_name,status",
        "region,secret_name",
    )
    filters: tuple[Pairs, ...] = ([], [("status", "AVAILABLE")], [("tags", "env"), ("enabled", "true")])
    for sort in sorts:
        for pairs in filters:
            for skip in (0, 5, 31, ROWS // 2):
                await estate.check(lists, [*pairs, ("sort", sort), ("skip", str(skip)), ("limit", "9")])


async def test_a_search_among_few_rows_looks_at_those_alone(estate: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ways, "FEW_OF_ALL", 1)
    seen: list[list[int]] = []

    async def noted(self: ListReads, *args: Any) -> list[Any]:
        found = await usual(self, *args)
        seen.append([row[0] for row in found])
        return found

    usual = ListReads.scan_facets
    monkeypatch.setattr(ListReads, "scan_facets", noted)
    vault = next(iter(estate.vaults.values()))
    for searched in ([("secret_name", "*-1*")], [("tags", "env"), ("tags", "owner")], [("older_than_days", "1")]):
        await estate.check(SecretLists(estate.store, CLOCK), [("key_vault", vault.name), *searched])
    assert len(seen) == 3
    assert any(seen)


async def test_what_is_remembered_is_forgotten_with_every_change(
    estate: Estate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ways, "STEP", 16)
    monkeypatch.setattr(ways, "WORTH_REMEMBERING", 0.0)
    chance = random.Random(8)
    lists = SecretLists(estate.store, CLOCK)
    asked: list[Pairs] = [draw_pairs(chance, estate) for _ in range(30)]
    for turn in range(8):
        for pairs in chance.sample(asked, 12):
            await estate.check(lists, pairs)
        rows = chance.sample(list(estate.rows.values()), 20)
        rows = [row for row in rows if estate.vaults[row.vault_num].domain_id == ROOT_DOMAIN]
        if turn % 2:
            moved = [
                msgspec.structs.replace(draw_change(chance, row, estate.vaults[row.vault_num]), told=row.told)
                for row in rows
            ]
            await estate.store.write(lambda tx, moved=moved: records.change_many(tx, moved))
            estate.rows |= {row.num: row for row in moved}
        else:
            await estate.store.write(lambda tx, rows=rows: records.remove(tx, rows))
            for row in rows:
                del estate.rows[row.num]


async def test_the_secrets_of_a_removed_vault_are_in_no_list(estate: Estate) -> None:
    lists = SecretLists(estate.store, CLOCK)
    for pairs in ([], [("secret_name", "*-*")], [("tags", "env")], [("sort", "key_vault")]):
        await estate.check(lists, pairs)
    gone = next(vault for vault in estate.vaults.values() if vault.domain_id == ROOT_DOMAIN)
    await estate.store.write(lambda tx: vault_records.remove(tx, gone))
    estate.rows = {num: row for num, row in estate.rows.items() if row.vault_num != gone.num}
    for pairs in ([], [("secret_name", "*-*")], [("tags", "env")], [("sort", "key_vault")], [("id", "x")]):
        await estate.check(lists, pairs)


async def test_words_that_are_no_filters(estate: Estate) -> None:
    lists = SecretLists(estate.store, CLOCK)
    everything = await lists.page(ROOT_DOMAIN, Query([("limit", "0")]), None)
    assert (everything.total, everything.resources) == (ROWS, [])
    unknown = await lists.page(ROOT_DOMAIN, Query([("limit", "0"), ("colour", "blue"), ("status", "")]), None)
    assert unknown.total == ROWS
    assert (await lists.page(ROOT_DOMAIN, Query([]), frozenset())).total == 0


REFUSED: Sequence[Pairs] = (
    [("enabled", "yes")],
    [("gone", "true"), ("gone", "1")],
    [("rotation_job_enabled", "TRUE")],
    [("sort", "value")],
    [("sort", "updatedAt,,status")],
    [("skip", "-1")],
    [("limit", "-2")],
    [("limit", "ten")],
    [("never_rotated", "no")],
    [("expires_before", "soon")],
    [("expires_before", "-1")],
    [("expiring_within_days", "-1")],
    [("expiring_within_days", "1.5")],
    [("older_than_days", "36526")],
)


async def test_words_that_are_refused(estate: Estate) -> None:
    for pairs in REFUSED:
        with pytest.raises(Invalid) as refused:
            await SecretLists(estate.store, CLOCK).page(ROOT_DOMAIN, Query(pairs), None)
        assert refused.value.reason == "Validation", pairs


async def test_a_page_that_is_too_long_is_refused(estate: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("claviger.cckm.listing.MOST_AT_ONCE", 100)
    assert MOST_AT_ONCE > 100
    for pairs in ([("limit", "-1")], [("limit", "101")], [("limit", "-1"), ("secret_name", "*-*")]):
        with pytest.raises(Invalid) as refused:
            await SecretLists(estate.store, CLOCK).page(ROOT_DOMAIN, Query(pairs), None)
        assert refused.value.reason == "TooMany"
    page = await SecretLists(estate.store, CLOCK).page(
        ROOT_DOMAIN, Query([("limit", "-1"), ("skip", str(ROWS - 100))]), None
    )
    assert len(page.resources) == 100


async def test_hostile_words_match_nothing_and_fail_nothing(estate: Estate) -> None:
    lists = SecretLists(estate.store, CLOCK)
    hostile = (
        "'",
        '"',
        "%",
        "_",
        "!",
        "\\",
        "*'*",
        "*!*",
        "é*",
        "*" * 50 + "a",
        "a" * 5000,
        "[1]",
        "{}",
        "\U0010ffff*",
    )
    for name in ("id", "secret_name", "version", "backup", "tags", "secret_id", "key_vault", "status", "region"):
        for word in hostile:
            page = await lists.page(ROOT_DOMAIN, Query([(name, word)]), None)
            assert page.total == 0, (name, word)


def test_memory_is_bounded_and_keeps_what_was_used_last() -> None:
    memory = Memory(most=1000)
    notes = memory.notes("1")
    notes.put("a", range(300))
    notes.put("b", range(300))
    memory.keep(notes, "1")
    again = memory.notes("1")
    assert again.get("a") == range(300)
    again.put("c", range(300))
    again.put("too large", range(1000))
    memory.keep(again, "1")
    assert [memory.notes("1").get(key) for key in ("a", "b", "c", "too large")] == [range(300), None, range(300), None]


def test_what_was_found_while_something_changed_is_not_kept() -> None:
    memory = Memory()
    notes = memory.notes("1")
    notes.put("a", 1)
    memory.keep(notes, "2")
    assert memory.notes("1").get("a") is None
    notes = memory.notes("1")
    notes.put("a", 1)
    memory.notes("2")
    memory.keep(notes, "1")
    assert memory.notes("1").get("a") is None
