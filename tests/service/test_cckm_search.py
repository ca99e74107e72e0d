"""The search over the estate against a model in plain Python, whatever is asked and however the rows have changed."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec
import pytest

from claviger.cckm.azure.secrets import records
from claviger.cckm.azure.secrets.parts import records as part_records
from claviger.cckm.azure.secrets.rows import SecretRow
from claviger.cckm.azure.secrets.rules import Status
from claviger.cckm.azure.vaults import records as vault_records
from claviger.cckm.azure.vaults.records import VaultRow
from claviger.cckm.calls import ROOT_DOMAIN, Query
from claviger.cckm.estate import index, operations, parts
from claviger.cckm.estate.operations import Searches
from claviger.core.clock import ManualClock, SystemClock
from claviger.core.errors import Invalid
from claviger.store.contract import Store
from claviger.store.opening import open_store
from tests.many_secrets import DAY_S, START, draw_change, draw_row, make_domain, make_vault

OTHER = "9c1f0d5e-0000-4000-8000-00000000000d"
CLOCK = ManualClock(START + 30.0)
NOW = int(CLOCK.now())
MINUTE = NOW // 60 * 60
ROWS = 300
ALL: operations.Seen = {"azure": None, "oci": None}
Truth = Callable[[SecretRow, VaultRow], bool]


class Term(NamedTuple):
    """A word of a query, and in plain Python what it means."""

    text: str
    holds: Truth


class Estate:
    """A store full of secrets, and the same rows in memory."""

    def __init__(self, store: Store, vaults: Sequence[VaultRow]) -> None:
        self.store = store
        self.vaults = {vault.num: vault for vault in vaults}
        self.rows: dict[int, SecretRow] = {}
        self.named: Counter[Any] = Counter()
        self.heads: set[int] = set()

    async def add(self, rows: Sequence[SecretRow]) -> None:
        for domain_id in (ROOT_DOMAIN, OTHER):
            theirs = [row for row in rows if self.vaults[row.vault_num].domain_id == domain_id]
            made = await self.store.write(lambda tx, theirs=theirs, to=domain_id: records.add_many(tx, to, theirs))
            self.rows |= {row.num: row for row in made}
        self.count()

    async def change(self, rows: Sequence[SecretRow]) -> None:
        await self.store.write(lambda tx: records.change_many(tx, rows))
        self.rows |= {row.num: row for row in rows}
        self.count()

    async def remove(self, rows: Sequence[SecretRow]) -> None:
        await self.store.write(lambda tx: records.remove(tx, rows))
        for row in rows:
            del self.rows[row.num]
        self.count()

    def count(self) -> None:
        """Which rows are the only ones of their names, and which the newest."""
        self.named = Counter((row.vault_num, row.name_key) for row in self.rows.values())
        newest: dict[Any, SecretRow] = {}
        for num, row in sorted(self.rows.items()):
            key = (row.vault_num, row.name_key)
            if key not in newest or row.told.created_at >= newest[key].told.created_at:
                newest[key] = msgspec.structs.replace(row, num=num)
        self.heads = {row.num for row in newest.values()}

    def found(
        self, terms: Sequence[Term], domain_id: str = ROOT_DOMAIN, containers: frozenset[str] | None = None
    ) -> list[str]:
        """The ids of all rows that match, the newest first."""
        there = []
        for _, row in sorted(self.rows.items(), reverse=True):
            vault = self.vaults[row.vault_num]
            if vault.domain_id != domain_id or (containers is not None and vault.id not in containers):
                continue
            if all(term.holds(row, vault) for term in terms):
                there.append(row.id)
        return there


@pytest.fixture
async def estate(database_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Estate]:
    monkeypatch.setattr(part_records.PARTS, "rows_a_part", 64)
    chance = random.Random(21)
    store = await open_store(database_url, SystemClock())
    await make_domain(store, ROOT_DOMAIN, "root")
    await make_domain(store, OTHER, "other")
    vaults = [await make_vault(store, ROOT_DOMAIN, chance, f"vault-{number}") for number in range(5)]
    vaults.append(await make_vault(store, OTHER, chance, "vault-0"))
    made = Estate(store, vaults)
    await made.add([draw_row(chance, vaults) for _ in range(ROWS)])
    yield made
    await store.close()


def starred(word: str, text: str, *, whole: bool = False) -> bool:
    """Whether a word matches a text: all of it where a * is in it."""
    word, text = word.lower(), text.lower()
    if "*" in word:
        return re.fullmatch(".*".join(re.escape(piece) for piece in word.split("*")), text) is not None
    return word == text if whole else word in text


def anywhere(word: str) -> Truth:
    return lambda row, vault: any(
        starred(word, text) for text in (row.name, vault.azure_name, *row.told.tags, *row.told.tags.values())
    )


def tagged(name: str, value: str | None) -> Truth:
    return lambda row, vault: any(
        starred(name, tag, whole=True) and (value is None or starred(value, its, whole=True))
        for tag, its in row.told.tags.items()
    )


def spelled(chance: random.Random, word: str) -> str:
    quoted = f'"{word}"'  # a word that begins with - is quoted, or it would be what must not match
    return quoted if word.startswith("-") else chance.choice((word, word.upper(), quoted))


def draw_term(chance: random.Random, estate: Estate) -> Term:
    """A word of a query that is likely to match some rows, and not all."""
    row = chance.choice(list(estate.rows.values()))
    vault = estate.vaults[row.vault_num]
    piece = row.name[(at := chance.randrange(len(row.name))) : at + chance.randrange(1, 6)]
    tag, value = chance.choice([*row.told.tags.items(), ("env", "prod")])
    word = chance.choice((piece, row.name, "db", "-1", "team", "prod", "a=b", "vault-1", "t*n-1", "db-*", "*-12", "x"))
    name = chance.choice((piece, row.name, "api-*", "*-1*", "*1", "token", "d*1*"))
    place = chance.choice((vault.azure_name, vault.name, vault.id, "vault", "*-1", "vault-*", "2"))
    status = chance.choice([each.value for each in Status])
    region, cloud = chance.choice(("eastus", "us", "*europe")), chance.choice(("azurecloud", "gov", "azure*"))
    fact, truth = chance.choice(list(facts(estate).items()))
    kinds: dict[str, Term] = {
        "any": Term(spelled(chance, word), anywhere(word)),
        "name": Term(f"name:{spelled(chance, name)}", lambda row, _: starred(name, row.name)),
        "vault": Term(
            f"vault:{spelled(chance, place)}",
            lambda _, vault: (
                starred(place, vault.azure_name)
                or starred(place, vault.name, whole=True)
                or starred(place, vault.id, whole=True)
            ),
        ),
        "status": Term(f"status:{spelled(chance, status.lower())}", lambda row, _: row.status.value == status),
        "region": Term(f"region:{region}", lambda _, vault: starred(region, vault.location)),
        "cloud": Term(f"cloud:{cloud}", lambda _, vault: starred(cloud, vault.cloud_name)),
        "is": Term(f"is:{fact}", truth),
        "tag": Term(f"tag:{spelled(chance, tag)}", tagged(tag, None)),
        "tag with": Term(f"tag:{tag}={value}", tagged(tag, value)),
        "tag like": Term("tag:*n*=t*-1", tagged("*n*", "t*-1")),
        "date": draw_date(chance),
    }
    term = chance.choice([*kinds.values(), kinds["any"], kinds["name"]])
    if chance.random() < 0.25:
        return Term(f"-{term.text}", lambda row, vault: not term.holds(row, vault))
    return term


def facts(estate: Estate) -> dict[str, Truth]:
    return {
        "enabled": lambda row, _: row.told.enabled,
        "disabled": lambda row, _: not row.told.enabled,
        "managed": lambda row, _: row.told.managed,
        "gone": lambda row, _: row.gone,
        "latest": lambda row, _: row.num in estate.heads,
        "never-rotated": lambda row, _: estate.named[row.vault_num, row.name_key] == 1,
        "expired": lambda row, _: row.told.expires_at is not None and row.told.expires_at < NOW,
    }


def draw_date(chance: random.Random) -> Term:
    """A comparison of a date with a day, a moment or a length of time."""
    fields: dict[str, Callable[[SecretRow], float | None]] = {
        "created": lambda row: row.created_at,
        "updated": lambda row: row.updated_at,
        "expires": lambda row: row.told.expires_at,
        "final": lambda row: row.told.purge_at,
        "age": lambda row: row.told.created_at,
    }
    field, date_of = chance.choice(list(fields.items()))
    if field in ("expires", "final") and chance.random() < 0.2:
        return Term(f"{field}:never", lambda row, _: date_of(row) is None)
    sign = chance.choice(("<", "<=", ">", ">="))
    compare: dict[str, Callable[[float, float], bool]] = {
        "<": lambda a, b: a < b,
        "<=": lambda a, b: a <= b,
        ">": lambda a, b: a > b,
        ">=": lambda a, b: a >= b,
        "=": lambda a, b: a == b,
    }
    if field == "age" or chance.random() < 0.4:
        days = chance.choice((0, 1, 2, 7, 40))
        length = chance.choice((f"{days}d", f"{days * 24}h"))
        since = field in ("created", "updated", "age")

        def by_length(row: SecretRow, _: VaultRow) -> bool:
            date = date_of(row)
            if not date:
                return False
            far = NOW - int(date) if since else int(date) - NOW
            return compare[sign](far, days * DAY_S)

        return Term(f"{field}{sign}{length}", by_length)
    sign = chance.choice((sign, "="))
    shown = ":" if sign == "=" and chance.random() < 0.5 else sign
    at = START + chance.randrange(-5, 50) * DAY_S
    if chance.random() < 0.5:
        day = datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d")
        return Term(
            f"{field}{shown}{day}",
            lambda row, _: bool(date_of(row)) and compare[sign](int(date_of(row) or 0) // DAY_S, at // DAY_S),
        )
    at += chance.randrange(40)
    moment = datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return Term(
        f"{field}{shown}{moment}", lambda row, _: bool(date_of(row)) and compare[sign](int(date_of(row) or 0), at)
    )


def draw_filter(chance: random.Random, estate: Estate) -> tuple[tuple[str, str], Truth]:
    """A parameter beside the query."""
    days = chance.choice((0, 1, 3, 30))
    wish = chance.random() < 0.5
    at = START + chance.randrange(-5, 50) * DAY_S
    found: list[tuple[tuple[str, str], Truth]] = [
        (("enabled", str(wish).lower()), lambda row, _: row.told.enabled is wish),
        (
            ("never_rotated", str(wish).lower()),
            lambda row, _: (estate.named[row.vault_num, row.name_key] == 1) is wish,
        ),
        (("expires_before", str(at)), lambda row, _: row.told.expires_at is not None and row.told.expires_at < at),
        (
            ("expiring_within_days", str(days)),
            lambda row, _: row.told.expires_at is not None and MINUTE <= row.told.expires_at < MINUTE + days * DAY_S,
        ),
        (("older_than_days", str(days)), lambda row, _: row.told.created_at < MINUTE - days * DAY_S),
    ]
    return chance.choice(found)


async def check(estate: Estate, searches: Searches, chance: random.Random) -> int:
    """One drawn search; how many rows matched."""
    terms = [draw_term(chance, estate) for _ in range(chance.choice((0, 1, 1, 2, 2, 3)))]
    pairs = [("q", " ".join(term.text for term in terms))]
    if chance.random() < 0.2:
        pair, holds = draw_filter(chance, estate)
        pairs.append(pair)
        terms.append(Term("", holds))
    skip, limit = chance.choice((0, 0, 3, 40, 400)), chance.choice((0, 5, 10, 300, -1))
    pairs += [("skip", str(skip)), ("limit", str(limit))]
    ids = [vault.id for vault in estate.vaults.values()]
    containers = frozenset(chance.sample(ids, chance.randrange(4))) if chance.random() < 0.3 else None
    domain_id = OTHER if chance.random() < 0.1 else ROOT_DOMAIN
    page = await searches.page(domain_id, Query(pairs), {"azure": containers, "oci": containers})
    expected = estate.found(terms, domain_id, containers)
    assert [each.id for each in page.resources] == (
        expected[skip:] if limit == -1 else expected[skip : skip + limit]
    ), pairs
    assert (page.skip, page.limit) == (skip, limit)
    if page.total_is_exact:
        assert page.total == len(expected), pairs
    else:
        assert page.total < len(expected), pairs
    return len(expected)


@pytest.mark.parametrize("few", [0, parts.FEW, 1000])
async def test_a_search_finds_what_the_model_finds(estate: Estate, few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "FEW", few)
    monkeypatch.setattr(index, "PARTS_AT_ONCE", 2)
    chance = random.Random(few)
    searches = Searches(estate.store, CLOCK)
    matched = [await check(estate, searches, chance) for _ in range(400)]
    assert sum(1 for count in matched if 0 < count < ROWS // 2) > 100


async def test_what_changes_is_found_by_whoever_has_searched_before(estate: Estate) -> None:
    chance = random.Random(5)
    searches = [Searches(estate.store, CLOCK), Searches(estate.store, CLOCK)]
    vaults = list(estate.vaults.values())
    for _ in range(25):
        rows = chance.sample(list(estate.rows.values()), chance.randrange(1, 8))
        match chance.choice(("add", "change", "remove")):
            case "add":
                await estate.add([draw_row(chance, vaults) for _ in range(chance.randrange(1, 90))])
            case "change":
                moved = [draw_change(chance, row, estate.vaults[row.vault_num]) for row in rows]
                kept = {row.num: row.told.created_at for row in rows}
                await estate.change(
                    [
                        msgspec.structs.replace(row, told=msgspec.structs.replace(row.told, created_at=kept[row.num]))
                        for row in moved
                    ]
                )
            case "remove":
                await estate.remove(rows)
        for _ in range(5):
            await check(estate, chance.choice(searches), chance)


async def test_only_what_has_moved_is_read_again(estate: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []

    async def rows_of(store: Store, part: int) -> Any:
        read.append(part)
        return await part_records.rows_of(store, part)

    monkeypatch.setattr(operations, "SECRETS", index.SECRETS._replace(rows_of=rows_of))
    searches = Searches(estate.store, CLOCK)
    await searches.page(ROOT_DOMAIN, Query([]), ALL)
    assert read == sorted({num // 64 for num in estate.rows})
    await searches.page(ROOT_DOMAIN, Query([]), ALL)
    row = estate.rows[130]
    read.clear()
    await estate.change([msgspec.structs.replace(row, gone=not row.gone)])
    await searches.page(ROOT_DOMAIN, Query([("q", "is:gone")]), ALL)
    assert read == [130 // 64]


async def test_a_removed_vault_is_not_found_any_more(estate: Estate) -> None:
    searches = Searches(estate.store, CLOCK)
    gone = next(vault for vault in estate.vaults.values() if vault.domain_id == ROOT_DOMAIN)
    before = await searches.page(ROOT_DOMAIN, Query([("q", f"vault:{gone.id}")]), ALL)
    assert before.total > 0
    await estate.store.write(lambda tx: vault_records.remove(tx, gone))
    for query in (f"vault:{gone.id}", ""):
        page = await searches.page(ROOT_DOMAIN, Query([("q", query), ("limit", "-1")]), ALL)
        assert not [record for record in page.resources if record.key_vault_id == gone.id]
    await estate.store.write(lambda tx: vault_records.sweep_some(tx, gone.num, 1000))
    estate.rows = {num: row for num, row in estate.rows.items() if row.vault_num != gone.num}
    chance = random.Random(2)
    await estate.add([draw_row(chance, [vault for vault in estate.vaults.values() if vault is not gone])])
    page = await searches.page(ROOT_DOMAIN, Query([("limit", "-1")]), ALL)
    assert [record.id for record in page.resources] == estate.found([])


async def test_of_many_matches_the_total_says_that_there_are_more(
    estate: Estate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operations, "EXACT_UP_TO", 20)
    searches = Searches(estate.store, CLOCK)
    expected = estate.found([Term("vault", anywhere("vault"))])
    page = await searches.page(ROOT_DOMAIN, Query([("q", "vault")]), ALL)
    assert (page.total, page.total_is_exact) == (20, False)
    far = await searches.page(ROOT_DOMAIN, Query([("q", "vault"), ("skip", "60"), ("limit", "5")]), ALL)
    assert (far.total, far.total_is_exact) == (65, False)
    assert [record.id for record in far.resources] == expected[60:65]
    last = await searches.page(ROOT_DOMAIN, Query([("q", "vault"), ("skip", str(len(expected) - 3))]), ALL)
    assert (last.total, last.total_is_exact) == (len(expected), True)
    monkeypatch.setattr("claviger.cckm.listing.MOST_AT_ONCE", 100)
    monkeypatch.setattr(operations, "MOST_AT_ONCE", 100)
    for limit in ("-1", "101"):
        with pytest.raises(Invalid) as refused:
            await searches.page(ROOT_DOMAIN, Query([("q", "vault"), ("limit", limit)]), ALL)
        assert refused.value.reason == "TooMany"
    await check(estate, searches, random.Random(1))


REFUSED = (
    "colour:blue",
    'a "b',
    "name:",
    "name:*",
    "*",
    '""',
    "tag:=x",
    "status:LOST",
    "is:green",
    "created>yesterday",
    "created>2026-13-01",
    "created=30d",
    "expires<5",
    "expires<-5",
    "age>2026-01-01",
    "age:never<",
    "a\nb",
    "a\0b",
    "x" * 501,
    " ".join("x" * 21),
)


@pytest.mark.parametrize("query", REFUSED)
async def test_what_cannot_be_read_is_refused(estate: Estate, query: str) -> None:
    with pytest.raises(Invalid) as refused:
        await Searches(estate.store, CLOCK).page(ROOT_DOMAIN, Query([("q", query)]), ALL)
    assert refused.value.reason == "Validation"
    assert str(refused.value.facts["message"]).startswith("Validation errors:\nq: ")


async def test_hostile_words_find_nothing_and_fail_nothing(estate: Estate) -> None:
    searches = Searches(estate.store, CLOCK)
    for query in (
        "'",
        "%",
        "_",
        "\\",
        "é",
        "*'*",
        "[x]",
        "--",
        "a*" * 100 + "b",
        "::",
        "(((",
        "$^",
        "name:%",
        "tag:a=b=c",
    ):
        page = await searches.page(ROOT_DOMAIN, Query([("q", query)]), ALL)
        assert page.total == len(estate.found([Term(query, anywhere(query))])) or ":" in query, query
    assert (await searches.page(ROOT_DOMAIN, Query([]), {"azure": frozenset(), "oci": frozenset()})).total == 0
