"""Lists of audit records: whatever is asked for, the same as going through all entries one by one."""

from __future__ import annotations

import random
import re
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from claviger.audit import queries
from claviger.audit.entry import Actor, Entry
from claviger.audit.queries import Filters, by_id, page, record_id, record_seq
from claviger.core.errors import NotFound
from tests.auditing import ACTIONS, DOMAIN, START, Audited, audited, entry, varied

COUNT = 600
Numbered = list[tuple[int, Entry]]


@pytest.fixture
async def own(database_url: str) -> AsyncIterator[Audited]:
    async with audited(database_url) as own:
        await own.fill(COUNT)
        yield own


def entries() -> Numbered:
    dice = random.Random(1)
    return [(number, varied(number, dice)) for number in range(COUNT)]


def fits(entry: Entry, filters: Filters) -> bool:
    """The model of a filter."""
    return all(
        (
            not filters.severity or entry.severity in filters.severity,
            filters.created_after is None or entry.at >= filters.created_after,
            filters.created_before is None or entry.at <= filters.created_before,
            filters.success in (None, entry.outcome == "granted"),
            reads_like(entry.action, filters.message),
            not filters.service or entry.service in filters.service,
            not filters.source or entry.origin in filters.source,
            not filters.client_ip or entry.actor.address in filters.client_ip,
            reads_like(entry.actor.username, filters.username),
            filters.object_id in (None, entry.object.id),
        )
    )


def reads_like(text: str, words: Sequence[str]) -> bool:
    """The model of a filter that takes `*`."""
    patterns = [".*".join(re.escape(part) for part in word.split("*")) for word in words]
    return not words or any(re.fullmatch(pattern, text, re.IGNORECASE) for pattern in patterns)


def drawn(dice: random.Random) -> dict[str, Any]:
    def several(*words: str) -> tuple[str, ...]:
        return tuple(dice.sample(words, dice.choice((1, 1, 2))))

    choices: dict[str, Any] = {
        "severity": several("info", "warning", "error", "fatal"),
        "created_after": START + dice.randrange(-10, 510),
        "created_before": START + dice.randrange(-10, 510),
        "success": dice.random() < 0.5,
        "message": several(*ACTIONS, "get secret", "*secret*", "*", "S*t S*", "100%", "Create_Token", "none", ""),
        "service": several("cckm", "keyvault", "none"),
        "source": several("api", "keyvault", "cli", "nowhere"),
        "client_ip": several("10.0.0.0", "10.0.0.1", "10.0.0.9"),
        "username": several("user-0", "USER-3", "user*", "nobody", ""),
        "object_id": dice.choice(("object-1", "object-8", "none")),
    }
    asked = dice.sample(sorted(choices), dice.choice((0, 1, 1, 2, 3)))
    return {**{name: choices[name] for name in asked}, "newest_first": dice.random() < 0.7}


@pytest.mark.parametrize("ways", [(10_000, 40, 20_000), (0, 40, 20_000), (0, 0, 0), (30, 5, 200)], ids=str)
async def test_every_list_is_that_of_the_model(
    own: Audited, ways: tuple[int, int, int], monkeypatch: pytest.MonkeyPatch
):
    """By each of the ways to a page: sorting, merging, walking."""
    for name, value in zip(("SORTED_UP_TO", "MERGED_UP_TO", "MERGED_ROWS"), ways, strict=True):
        monkeypatch.setattr(queries, name, value)
    dice, all_of_them = random.Random(2), entries()
    for _ in range(150):
        filters = Filters(**drawn(dice))
        domain = dice.choice((DOMAIN, DOMAIN, "11111111-1111-1111-1111-111111111111", "none"))
        fitting = [each for each in all_of_them if each[1].domain_id == domain and fits(each[1], filters)]
        fitting.sort(key=lambda each: (each[1].at, each[0]), reverse=filters.newest_first)
        skip, limit = dice.choice((0, 0, 3, 50, 250, 590)), dice.choice((0, 1, 10, 100, 1000))
        found = await page(own.store, domain, filters, skip, limit)
        assert found.total == len(fitting), filters
        assert [one.seq for one in found.records] == [seq for seq, _ in fitting[skip : skip + limit]], filters
        for one in found.records:
            assert one.entry.request_id == all_of_them[one.seq][1].request_id
            assert one.id == record_id(one.seq)


async def test_one_domain_alone(database_url: str):
    """Where every record is wanted, facets are left out of it."""
    async with audited(database_url) as own:
        dice = random.Random(3)
        await own.log.record(*(varied(number, dice) for number in range(5)))
        assert (await page(own.store, DOMAIN, Filters(), 0, 10)).total <= 5
        assert (await page(own.store, "none", Filters(), 0, 10)).records == []


async def test_a_page_of_everything_is_walked(own: Audited, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(queries, "SORTED_UP_TO", 1)
    monkeypatch.setattr("tests.auditing.DOMAIN", "all")
    await own.store.write(lambda tx: tx.execute("UPDATE audit_facets SET domain_id = 'all' || id"))
    await own.store.write(lambda tx: tx.execute("UPDATE audit_facets SET domain_id = 'all', username = id"))
    all_of_them = sorted(entries(), key=lambda each: (each[1].at, each[0]), reverse=True)
    for skip in (0, 5, 290, 310, 595):
        found = await page(own.store, "all", Filters(), skip, 7)
        assert found.total == COUNT
        assert [one.seq for one in found.records] == [seq for seq, _ in all_of_them[skip : skip + 7]]
    timed = Filters(created_after=START + 100, created_before=START + 200)
    within = [seq for seq, each in all_of_them if START + 100 <= each.at <= START + 200]
    found = await page(own.store, "all", timed, 3, 10)
    assert (found.total, [one.seq for one in found.records]) == (len(within), within[3:13])


async def test_one_record_by_its_id(own: Audited):
    seq, told = next(each for each in entries() if each[1].domain_id == DOMAIN)
    found = await by_id(own.store, DOMAIN, record_id(seq))
    assert (found.seq, found.entry.request_id) == (seq, told.request_id)
    for domain, ident in ((DOMAIN, record_id(COUNT)), ("other", record_id(seq)), (DOMAIN, "x"), (DOMAIN, DOMAIN)):
        with pytest.raises(NotFound):
            await by_id(own.store, domain, ident)
    assert record_seq(record_id(12345)) == 12345


async def test_names_beyond_ascii_are_found_as_they_are_written(database_url: str):
    """Which letters have a small one is the database's to say: a name is never lost by that."""
    async with audited(database_url) as own:
        await own.log.record(entry(1, actor=Actor(username="Ärger_Ö")), entry(2, actor=Actor(username="demo")))
        for word in ("Ärger_Ö", "ÄRGER_Ö", "Är*", "*_Ö", "Ä**R_*"):
            found = await page(own.store, DOMAIN, Filters(username=(word,)), 0, 10)
            assert [one.seq for one in found.records] == [0], word
        assert (await page(own.store, DOMAIN, Filters(username=("Ärger%Ö", "Ärgerx*")), 0, 10)).total == 0
