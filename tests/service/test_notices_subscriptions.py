"""Subscriptions to notices over the API: making, changing, trying out and ending them, and who may."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from typing import Any

import pytest

from claviger.cckm.access.domains import records as domains
from claviger.cckm.calls import ROOT_DOMAIN
from claviger.cckm.notices import operations, rules
from tests.notices import DELIVERIES, MANY, Office, office
from tests.plane import ELSEWHERE
from tests.receiving import Receiver, Reply, authority_pem, is_signed, receiving

URL = "https://hooks.example.com/claviger"
READER = "bob;CCKM Users"
GIVEN = "whsec_" + base64.b64encode(b"k" * 32).decode()


@pytest.fixture
async def home(database_url: str) -> AsyncIterator[Office]:
    async with office(database_url) as made:
        yield made


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as made:
        yield made


async def test_a_subscription_from_beginning_to_end(home: Office) -> None:
    made = await home.subscribe(URL, types=["drift", "brake", "drift"], description=" for the pager ")
    assert len(base64.b64decode(made.pop("secret").removeprefix("whsec_"))) == 32
    assert made["uri"] == f"kylo:kylo:claviger:notice-subscription:{made['id']}"
    shown = {name: made[name] for name in ("url", "types", "disabled", "description", "waiting", "dropped")}
    assert shown == {
        "url": URL,
        "types": ["drift", "brake"],
        "disabled": False,
        "description": "for the pager",
        "waiting": 0,
        "dropped": 0,
    }
    assert await home.plane.accept("GET", f"{MANY}/{made['id']}") == made
    assert (await home.plane.accept("GET", MANY))["resources"] == [made]
    home.plane.clock.advance(5)
    changed = await home.plane.accept("PATCH", f"{MANY}/{made['id']}", {"types": [], "disabled": True})
    assert changed == made | {"types": [], "disabled": True, "updatedAt": "2027-01-15T08:00:05.000000Z"}
    assert (await home.plane.accept("GET", f"{MANY}?disabled=true"))["total"] == 1
    assert (await home.plane.accept("GET", f"{MANY}?disabled=false"))["total"] == 0
    await home.plane.accept("DELETE", f"{MANY}/{made['id']}", status=204)
    assert await home.plane.count("cckm_sealed", "kind = 'notice'") == 0
    for method, url in (
        ("GET", f"{MANY}/{made['id']}"),
        ("PATCH", f"{MANY}/{made['id']}"),
        ("DELETE", f"{MANY}/{made['id']}"),
        ("POST", f"{MANY}/{made['id']}/test"),
        ("GET", f"{DELIVERIES}/{made['id']}"),
        ("POST", f"{DELIVERIES}/{made['id']}/retry"),
    ):
        await home.plane.refuse(method, url, {} if method == "PATCH" else None, status=404)


@pytest.mark.parametrize(
    ("body", "part"),
    [
        ({}, "url: is required"),
        ({"url": "http://hooks.example.com/"}, "url: must be https"),
        ({"url": "https://169.254.169.254/"}, "url: names 169.254.169.254, which is link-local"),
        ({"url": "https://localhost:8443/claviger/switches"}, "url: is the switchboard's"),
        ({"url": URL, "types": ["everything"]}, "types: must be some of near-expiry"),
        ({"url": URL, "types": "drift"}, "types"),
        ({"url": URL, "secret": "short"}, "secret: must be whsec_"),
        ({"url": URL, "secret": 5}, "secret"),
        ({"url": URL, "description": "x" * 1025}, "description"),
        ({"url": URL, "ca_certificate": "no certificate"}, "ca_certificate"),
        (
            {"url": URL, "ca_certificate": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"},
            "ca_certificate",
        ),
        ({"url": URL, "ca_certificate": "é"}, "ca_certificate"),
        ({"url": URL + "\0"}, "url"),
        ({"url": URL, "description": "a\0b"}, "description"),
    ],
)
async def test_what_is_wrong_is_said_by_field(sqlite_url: str, body: dict[str, Any], part: str) -> None:
    async with office(sqlite_url) as home:
        await home.plane.refuse("POST", MANY, body, status=400, part=part)
        if "url" in body:
            made = await home.subscribe("https://one.example.com/")
            told = await home.plane.refuse("PATCH", f"{MANY}/{made['id']}", body, status=400, part=part)
            assert "short" not in told
        assert await home.plane.count("cckm_sealed", "kind = 'notice'") == (1 if "url" in body else 0)


async def test_only_cckm_admins_of_the_domain(home: Office) -> None:
    made = await home.subscribe(URL)
    await home.emit(0)
    (waiting,) = await home.deliveries()
    calls = (
        ("GET", MANY, None),
        ("POST", MANY, {"url": URL}),
        ("GET", f"{MANY}/{made['id']}", None),
        ("PATCH", f"{MANY}/{made['id']}", {"disabled": True}),
        ("DELETE", f"{MANY}/{made['id']}", None),
        ("POST", f"{MANY}/{made['id']}/test", None),
        ("GET", DELIVERIES, None),
        ("GET", f"{DELIVERIES}/{waiting['id']}", None),
        ("POST", f"{DELIVERIES}/{waiting['id']}/retry", None),
    )
    for method, url, body in calls:
        await home.plane.refuse(method, url, body, status=403, caller=READER)
        await home.plane.refuse(method, url, body, status=401, caller=None)
    for method, url, body in calls[2:6] + calls[7:]:
        await home.plane.refuse(method, url, body, status=404, caller=ELSEWHERE)
    assert (await home.plane.accept("GET", MANY, caller=ELSEWHERE))["total"] == 0
    assert (await home.plane.accept("GET", DELIVERIES, caller=ELSEWHERE))["total"] == 0


async def test_a_given_secret_signs_and_is_never_shown(home: Office, receiver: Receiver) -> None:
    made = await home.subscribe(receiver.url, secret=GIVEN)
    assert "secret" not in made
    await home.emit(0)
    await home.courier.deliver_due()
    assert is_signed(receiver.received[0], GIVEN)


async def test_a_changed_secret_signs_beside_the_earlier_one_for_a_day(home: Office, receiver: Receiver) -> None:
    made = await home.subscribe(receiver.url, secret=GIVEN)
    url = f"{MANY}/{made['id']}"
    await home.plane.refuse("PATCH", url, {"secret": GIVEN, "new_secret": True}, status=400, part="new_secret")
    changed = await home.plane.accept("PATCH", url, {"new_secret": True})
    assert changed["secret"] != GIVEN
    for number, seconds in enumerate((0, 86_399, 1)):
        await home.emit(number)
        assert await home.after(seconds) == 1
    assert [is_signed(request, changed["secret"]) for request in receiver.received] == [True, True, True]
    assert [is_signed(request, GIVEN) for request in receiver.received] == [True, True, False]
    assert "secret" not in await home.plane.accept("PATCH", url, {"secret": GIVEN})
    await home.emit(3)
    await home.after(0)
    assert is_signed(receiver.received[-1], GIVEN)


async def test_an_own_authority_can_be_given_up_again(home: Office) -> None:
    made = await home.subscribe(URL, ca_certificate=authority_pem())
    assert made["ca_certificate"] == authority_pem()
    for body, expected in (({"description": "x"}, authority_pem()), ({"ca_certificate": "system"}, "")):
        changed = await home.plane.accept("PATCH", f"{MANY}/{made['id']}", body)
        assert changed["ca_certificate"] == expected


async def test_a_test_is_sent_once_and_its_end_told(home: Office, receiver: Receiver) -> None:
    made = await home.subscribe(receiver.url, types=["brake"], disabled=True)
    url = f"{MANY}/{made['id']}/test"
    told = await home.plane.accept("POST", url)
    assert (told["state"], told["type"], told["attempts"], told["last_status"]) == ("delivered", "test", 1, 204)
    assert receiver.received[0].event["data"]["by"] == "ada"
    assert receiver.received[0].event["type"] == "claviger.test"
    assert is_signed(receiver.received[0], made["secret"])
    receiver.answer = lambda _: Reply(500)
    told = await home.plane.accept("POST", url)
    assert (told["state"], told["last_error"]) == ("dead", "answered 500")
    assert await home.after(1000) == 0
    assert (await home.plane.accept("GET", f"{MANY}/{made['id']}"))["waiting"] == 0


async def test_tests_of_receivers_that_hang_are_bounded(
    database_url: str, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operations, "TESTS_AT_ONCE", 1)
    async with office(database_url, attempt_s=3) as home:
        made = await home.subscribe(receiver.url)
        receiver.answer = lambda _: Reply(hang=True)
        url = f"{MANY}/{made['id']}/test"
        first = asyncio.create_task(home.plane.accept("POST", url))
        await receiver.until(1)
        answer = await home.plane.ask("POST", url)
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "5")
        assert (await first)["last_error"] == "no answer within 3 s"


async def test_a_domain_has_so_many_subscriptions_at_most(home: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "MOST_SUBSCRIPTIONS", 2)
    await home.subscribe(URL)
    await home.subscribe(URL)
    await home.plane.refuse("POST", MANY, {"url": URL}, status=409, part="at most 2")
    assert await home.plane.count("cckm_sealed", "kind = 'notice'") == 2


async def test_deliveries_are_listed_by_filters_in_pages(home: Office, receiver: Receiver) -> None:
    made = await home.subscribe(receiver.url)
    await home.subscribe(URL, disabled=True)
    for number in range(4):
        await home.emit(number, key=f"key-{number % 2}", kind="drift" if number else "brake")
    assert [each["data"]["n"] for each in (await home.plane.accept("GET", DELIVERIES))["resources"]] == [3, 2, 1, 0]
    for query, expected in (
        ("", [0, 1, 2, 3]),
        ("type=brake", [0]),
        ("type=brake&type=drift", [0, 1, 2, 3]),
        ("object_key=key-1", [1, 3]),
        ("subject=subject-key-0&type=drift", [2]),
        ("state=waiting", [0, 1, 2, 3]),
        ("state=delivered&state=dead", []),
        (f"subscription_id={made['id']}", [0, 1, 2, 3]),
        ("subscription_id=unknown", []),
    ):
        found = await home.deliveries(query)
        assert [each["data"]["n"] for each in found] == expected, query
    page = await home.plane.accept("GET", f"{DELIVERIES}?skip=1&limit=2&sort=createdAt")
    assert (page["total"], [each["data"]["n"] for each in page["resources"]]) == (4, [1, 2])
    one = page["resources"][0]
    assert await home.plane.accept("GET", f"{DELIVERIES}/{one['id']}") == one
    assert await home.deliveries(f"notice_id={one['notice_id']}") == [one]
    for bad in ("state=unknown", "sort=type", "limit=x", "type=%00"):
        await home.plane.refuse("GET", f"{DELIVERIES}?{bad}", status=400)


async def test_whatever_ends_with_a_subscription_ends_quietly(home: Office, receiver: Receiver) -> None:
    made = await home.subscribe(receiver.url)
    receiver.answer = lambda _: Reply(hang=True)
    await home.emit(0)
    await home.emit(1)
    working = asyncio.create_task(home.courier.deliver_due())
    await receiver.until(1)
    await home.plane.accept("DELETE", f"{MANY}/{made['id']}", status=204)
    await home.courier.close()
    assert await working == 1
    assert await home.deliveries() == []


async def test_a_domain_with_subscriptions_is_in_use(home: Office) -> None:
    await home.subscribe(URL)
    assert await home.store.write(lambda tx: domains.uses_of(tx, ROOT_DOMAIN)) == {
        "users": 3,
        "subscriptions to notices": 1,
    }
