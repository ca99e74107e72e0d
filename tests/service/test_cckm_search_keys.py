"""The search over secrets and keys at once, against a model in plain Python: what is found, and in which order."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable, Sequence
from itertools import accumulate
from typing import Any, NamedTuple

import msgspec
import pytest

from claviger.cckm.azure.secrets import records as secrets
from claviger.cckm.azure.secrets.parts import records as secret_parts
from claviger.cckm.azure.secrets.rows import SecretRow
from claviger.cckm.azure.vaults.records import VaultRow
from claviger.cckm.calls import ROOT_DOMAIN, Query
from claviger.cckm.estate import operations
from claviger.cckm.estate.operations import Searches, Seen
from claviger.cckm.oci.keys import records as keys
from claviger.cckm.oci.keys.parts import records as key_parts
from claviger.cckm.oci.keys.rows import KeyRow
from claviger.cckm.oci.synchronization import records as synchronized
from claviger.cckm.oci.vaults import records as vaults
from claviger.cckm.oci.vaults.records import OciVault
from claviger.core.clock import ManualClock, SystemClock
from claviger.core.errors import Invalid
from claviger.store.contract import Store
from claviger.store.opening import open_store
from tests.many_keys import add_keys, draw_key, make_oci_vault
from tests.many_secrets import DAY_S, START, draw_row, make_domain, make_vault

OTHER = "9c1f0d5e-0000-4000-8000-00000000000d"
CLOCK = ManualClock(START + 30.0)
NOW = int(CLOCK.now())
ALL: Seen = {"azure": None, "oci": None}
ROWS = 160


class Term(NamedTuple):
    """A part of a query, and what it means for a secret and for a key."""

    text: str
    of_secret: Callable[[SecretRow, VaultRow], bool]
    of_key: Callable[[KeyRow, OciVault], bool]


class Estate:
    """A store with secrets and keys, and the same rows in memory."""

    def __init__(self, store: Store, of_azure: Sequence[VaultRow], of_oci: Sequence[OciVault]) -> None:
        self.store = store
        self.of_azure = {vault.num: vault for vault in of_azure}
        self.of_oci = {vault.num: vault for vault in of_oci}
        self.secrets: list[SecretRow] = []
        self.keys: dict[int, KeyRow] = {}

    def found(self, terms: Sequence[Term], domain_id: str, seen: Seen) -> list[str]:
        """The ids of all that match: the newest first, none before what has a greater number."""
        rows: list[tuple[int, int, int, str]] = []
        ages = accumulate((int(row.created_at) for row in self.secrets), max)
        for age, row in zip(ages, self.secrets, strict=True):
            vault = self.of_azure[row.vault_num]
            if is_seen(vault, domain_id, seen["azure"]) and all(term.of_secret(row, vault) for term in terms):
                rows.append((-age, 0, -row.num, row.id))
        in_order = [self.keys[num] for num in sorted(self.keys)]
        ages = accumulate((int(row.created_at) for row in in_order), max)
        for age, key in zip(ages, in_order, strict=True):
            place = self.of_oci[key.vault_num]
            if place.removed or not is_seen(place, domain_id, seen["oci"]):
                continue
            if all(term.of_key(key, place) for term in terms):
                rows.append((-age, 1, -key.num, key.id))
        return [ident for *_, ident in sorted(rows)]


def is_seen(vault: Any, domain_id: str, seen: frozenset[str] | None) -> bool:
    return vault.domain_id == domain_id and (seen is None or vault.id in seen)


@pytest.fixture
async def estate(database_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Estate]:
    monkeypatch.setattr(secret_parts.PARTS, "rows_a_part", 64)
    monkeypatch.setattr(key_parts.PARTS, "rows_a_part", 32)
    chance = random.Random(8)
    store = await open_store(database_url, SystemClock())
    await make_domain(store, ROOT_DOMAIN, "root")
    await make_domain(store, OTHER, "other")
    of_azure = [await make_vault(store, ROOT_DOMAIN, chance, f"vault-{number}") for number in range(3)]
    of_oci = [
        await make_oci_vault(store, ROOT_DOMAIN, chance, "Vault-one"),
        await make_oci_vault(store, ROOT_DOMAIN, chance, "hsm"),
        await make_oci_vault(store, ROOT_DOMAIN, chance, "gone", removed=True),
        await make_oci_vault(store, OTHER, chance, "hsm"),
    ]
    made = Estate(store, of_azure, of_oci)
    drawn = [draw_row(chance, of_azure) for _ in range(ROWS)]
    made.secrets = await store.write(lambda tx: secrets.add_many(tx, ROOT_DOMAIN, drawn))
    made.keys = {row.num: row for row in await add_keys(store, [draw_key(chance, of_oci) for _ in range(ROWS)])}
    yield made
    await store.close()


def tags_of(key: KeyRow) -> dict[str, str]:
    said = key.said
    defined = {f"{space}.{name}": text for space, tags in said.defined_tags.items() for name, text in tags.items()}
    return {name.lower(): text.lower() for name, text in {**defined, **said.freeform_tags}.items()}


def final_at(key: KeyRow) -> float | None:
    return key.deletes_at if key.state in ("SCHEDULING_DELETION", "PENDING_DELETION") else None


def draw_term(chance: random.Random, estate: Estate) -> Term:
    key = chance.choice(list(estate.keys.values()))
    word = chance.choice(("db", "api", "prod", "key-1", "vault", "hsm", "costcenter", key.name))
    state = chance.choice(("enabled", "disabled", "pending-deletion", "deleted", "available"))
    algorithm, mode = key.algorithm.lower(), key.protection_mode.lower()
    place = estate.of_oci[key.vault_num]
    days = chance.choice((0, 3, 10, 20))
    terms = [
        Term(
            word,
            lambda row, vault: any(
                word in text.lower() for text in (row.name, vault.azure_name, *row.told.tags, *row.told.tags.values())
            ),
            lambda row, vault: any(
                word.lower() in text
                for text in (row.name_key, vault.display_name.lower(), *tags_of(row), *tags_of(row).values())
            ),
        ),
        Term("kind:key", lambda *_: False, lambda *_: True),
        Term("kind:secret", lambda *_: True, lambda *_: False),
        Term(f"algorithm:{algorithm}", lambda *_: False, lambda row, _: row.algorithm.lower() == algorithm),
        Term(f"mode:{mode}", lambda *_: False, lambda row, _: row.protection_mode.lower() == mode),
        Term(
            f"{chance.choice(('status', 'state'))}:{chance.choice((state, state.replace('-', '_').upper()))}",
            lambda row, _: row.status.value.lower() == state,
            lambda row, _: row.state.lower().replace("_", "-") == state,
        ),
        Term("is:enabled", lambda row, _: row.told.enabled, lambda row, _: row.state == "ENABLED"),
        Term("is:disabled", lambda row, _: not row.told.enabled, lambda row, _: row.state == "DISABLED"),
        Term("is:auto-rotated", lambda *_: False, lambda row, _: row.auto_rotate == 1),
        Term("is:gone", lambda row, _: row.gone, lambda row, _: row.gone == 1),
        Term("is:managed", lambda row, _: row.told.managed, lambda *_: False),
        Term("tag:env=prod", lambda row, _: row.told.tags.get("env") == "prod", lambda row, _: has(row, "env", "prod")),
        Term(
            "tag:operations.costcenter=2",
            lambda *_: False,
            lambda row, _: has(row, "operations.costcenter", "2"),
        ),
        Term("cloud:oci", lambda *_: False, lambda *_: True),
        Term(
            f"region:{place.region}",
            lambda _, vault: place.region in vault.location,
            lambda _, vault: place.region in vault.region,
        ),
        Term(f"vault:{place.id}", lambda *_: False, lambda _, vault: vault.id == place.id),
        Term(f"vault:{place.ocid}", lambda *_: False, lambda _, vault: vault.ocid == place.ocid),
        Term(
            f"age>{days}d",
            lambda row, _: bool(row.told.created_at) and NOW - int(row.told.created_at) > days * DAY_S,
            lambda row, _: NOW - int(row.oci_created_at) > days * DAY_S,
        ),
        Term(
            f"final<{days}d",
            lambda row, _: bool(row.told.purge_at) and int(row.told.purge_at or 0) - NOW < days * DAY_S,
            lambda row, _: final_at(row) is not None and int(final_at(row) or 0) - NOW < days * DAY_S,
        ),
        Term("final:never", lambda row, _: not row.told.purge_at, lambda row, _: final_at(row) is None),
        Term("expires:never", lambda row, _: row.told.expires_at is None, lambda *_: True),
    ]
    term = chance.choice([*terms, terms[0], terms[0]])
    if chance.random() < 0.25:
        return Term(
            f"-{term.text}",
            lambda row, vault: not term.of_secret(row, vault),
            lambda row, vault: not term.of_key(row, vault),
        )
    return term


def has(key: KeyRow, name: str, text: str) -> bool:
    return tags_of(key).get(name) == text


async def check(estate: Estate, searches: Searches, chance: random.Random) -> int:
    """One drawn search; how many matched."""
    terms = [draw_term(chance, estate) for _ in range(chance.choice((0, 1, 1, 2)))]
    skip, limit = chance.choice((0, 0, 3, 40, 120, 400)), chance.choice((0, 5, 30, -1))
    pairs = [("q", " ".join(term.text for term in terms)), ("skip", str(skip)), ("limit", str(limit))]
    ids = [*(vault.id for vault in estate.of_azure.values()), *(vault.id for vault in estate.of_oci.values())]
    seen: Seen = {
        cloud: frozenset(chance.sample(ids, chance.randrange(5))) if chance.random() < 0.25 else None
        for cloud in ("azure", "oci")
    }
    domain_id = OTHER if chance.random() < 0.1 else ROOT_DOMAIN
    page = await searches.page(domain_id, Query(pairs), seen)
    expected = estate.found(terms, domain_id, seen)
    shown = [each.id for each in page.resources]
    assert shown == (expected[skip:] if limit == -1 else expected[skip : skip + limit]), pairs
    assert (page.total, page.total_is_exact) == (len(expected), True)
    return len(expected)


async def test_a_search_finds_secrets_and_keys_as_the_model_does(estate: Estate) -> None:
    chance = random.Random(3)
    searches = Searches(estate.store, CLOCK)
    matched = [await check(estate, searches, chance) for _ in range(400)]
    assert sum(1 for count in matched if 0 < count < ROWS) > 100


async def test_changed_keys_are_found_as_they_are(estate: Estate) -> None:
    """However they were changed: by an operation, by a synchronisation, taken away; and their vaults too."""
    chance = random.Random(4)
    searches = Searches(estate.store, CLOCK)
    store, of_oci = estate.store, list(estate.of_oci.values())
    for turn in range(24):
        rows = chance.sample(list(estate.keys.values()), 5)
        redrawn = [
            msgspec.structs.replace(draw_key(chance, of_oci), num=row.num, id=row.id, vault_num=row.vault_num)
            for row in rows
        ]
        match turn % 5:
            case 0:
                await add_keys(store, redrawn)
            case 1:
                await store.write(lambda tx, moved=redrawn: synchronized.change(tx, moved, []))
            case 2:
                fresh = [draw_key(chance, of_oci) for _ in range(40)]
                nums = await store.write(lambda tx, fresh=fresh: synchronized.add(tx, fresh))
                redrawn = [msgspec.structs.replace(row, num=nums[row.ocid]) for row in fresh]
            case 3:
                await store.write(lambda tx, num=rows[0].num: keys.remove(tx, num))
                del estate.keys[rows[0].num]
                redrawn = []
            case _:
                place = chance.choice(of_oci)
                turned = msgspec.structs.replace(place, removed=1 - place.removed)
                await store.write(lambda tx, turned=turned: vaults.replace(tx, turned))
                of_oci[of_oci.index(place)] = estate.of_oci[place.num] = turned
                redrawn = []
        estate.keys |= {row.num: row for row in redrawn}
        for _ in range(4):
            await check(estate, searches, chance)


async def test_of_many_words_only_so_many_are_counted(estate: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operations, "EXACT_UP_TO", 20)
    searches = Searches(estate.store, CLOCK)
    term = Term("-", lambda row, _: "-" in row.name, lambda row, _: "-" in row.name)
    expected = estate.found([term], ROOT_DOMAIN, ALL)
    for skip in (0, 15, 60, 150):
        page = await searches.page(ROOT_DOMAIN, Query([("q", "name:-"), ("skip", str(skip)), ("limit", "10")]), ALL)
        assert [each.id for each in page.resources] == expected[skip : skip + 10]
        assert page.total <= len(expected)
        assert page.total_is_exact is (page.total == len(expected))


async def test_the_filters_beside_the_query(estate: Estate) -> None:
    searches = Searches(estate.store, CLOCK)
    for pair, term in (
        (("enabled", "true"), Term("", lambda row, _: row.told.enabled, lambda row, _: row.state == "ENABLED")),
        (("enabled", "false"), Term("", lambda row, _: not row.told.enabled, lambda row, _: row.state == "DISABLED")),
        (("expires_before", str(START + 90 * DAY_S)), None),
        (("never_rotated", "false"), None),
    ):
        page = await searches.page(ROOT_DOMAIN, Query([pair, ("limit", "-1")]), ALL)
        if term is not None:
            assert [each.id for each in page.resources] == estate.found([term], ROOT_DOMAIN, ALL)
        else:
            assert page.total > 0
            assert {each.uri.split(":")[3] for each in page.resources} == {"azure-secret"}


@pytest.mark.parametrize("query", ["kind:vault", "algorithm:des", "mode:paper", "state:lost", "is:rotated"])
async def test_words_that_are_refused(estate: Estate, query: str) -> None:
    with pytest.raises(Invalid) as refused:
        await Searches(estate.store, CLOCK).page(ROOT_DOMAIN, Query([("q", query)]), ALL)
    assert "is followed by" in str(refused.value.facts["message"])
