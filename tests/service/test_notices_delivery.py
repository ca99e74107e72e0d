"""Deliveries of notices to a real receiver: order, failures, waits, several servers, and what is never done."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from claviger.cckm.calls import ROOT_DOMAIN
from claviger.cckm.notices import rules
from claviger.cckm.notices.outbox import records as outbox
from claviger.outgoing import rules as outgoing
from claviger.store.contract import Store, Tx
from tests.notices import DELIVERIES, MANY, Office, office
from tests.plane import OTHER_DOMAIN, START
from tests.receiving import Received, Receiver, Reply, authority_pem, is_signed, receiving

DAY_S = 86_400


@pytest.fixture
async def home(database_url: str) -> AsyncIterator[Office]:
    async with office(database_url) as made:
        yield made


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as made:
        yield made


def failing(*numbers: int, status: int = 500) -> Callable[[Received], Reply]:
    """Refuses the events that say one of these numbers."""
    return lambda request: Reply(status if request.event["data"].get("n") in numbers else 204)


async def test_a_notice_is_a_signed_cloudevent(home: Office, receiver: Receiver) -> None:
    made = await home.subscribe(receiver.url)
    home.machine.advance(1000.7)
    assert await home.emit(1, key="one") == 1
    assert await home.courier.deliver_due() == 1
    (request,) = receiver.received
    assert request.head == "POST /hooks?for=tests HTTP/1.1"
    assert request.headers["content-type"] == "application/cloudevents+json; charset=utf-8"
    assert request.event == {
        "specversion": "1.0",
        "id": request.id,
        "source": f"https://here/domains/{ROOT_DOMAIN}",
        "type": "claviger.drift",
        "subject": "subject-one",
        "time": "2027-01-15T08:00:00.000000Z",
        "datacontenttype": "application/json",
        "data": {"n": 1},
    }
    # Receivers go by real time: the signature's is the machine's, even where the product's clock stands elsewhere.
    assert request.headers["webhook-timestamp"] == str(int(START + 1000))
    assert is_signed(request, made["secret"])
    assert not is_signed(Received(request.head, request.headers, request.body + b" "), made["secret"])
    assert await home.states() == ["delivered"]
    assert await home.courier.deliver_due() == 0


async def test_only_who_wants_a_type_hears_of_it_and_only_in_the_domain(home: Office, receiver: Receiver) -> None:
    await home.subscribe(receiver.url, types=["brake", "drift"])
    await home.subscribe(receiver.url, types=["brake"])
    await home.subscribe(receiver.url, disabled=True)
    assert await home.emit(1, kind="drift") == 1
    assert await home.emit(2, kind="brake") == 2
    assert await home.emit(3, kind="failed-job") == 0
    assert await home.emit(4, domain_id=OTHER_DOMAIN) == 0
    await home.courier.deliver_due()
    assert sorted(receiver.told()) == [1, 2, 2]
    assert len({request.id for request in receiver.received if request.event["data"]["n"] == 2}) == 1


async def test_what_ends_during_a_look_lets_the_next_of_its_object_go(
    home: Office, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    await home.subscribe(receiver.url)
    await home.emit_all(3, keys=2)
    late = asyncio.Event()
    receiver.answer = lambda request: Reply(once=late if request.event["data"]["n"] == 0 else None)
    look = outbox.receivers_due

    async def slow(store: Store, now: float) -> list[str]:
        found = await look(store, now)
        attempts = [task for task in asyncio.all_tasks() if "Courier._attempt" in str(task.get_coro())]
        if attempts:
            late.set()
            await asyncio.gather(*attempts)
            await asyncio.sleep(0)  # for what follows the end of a task
        return found

    monkeypatch.setattr(outbox, "receivers_due", slow)
    assert await home.courier.deliver_due() == 3
    assert sorted(receiver.told()) == [0, 1, 2]


async def test_what_is_rolled_back_is_never_told(home: Office, receiver: Receiver) -> None:
    await home.subscribe(receiver.url)

    def change(tx: Tx) -> None:
        home.notices.emit(tx, ROOT_DOMAIN, "drift", "s", {"n": 1}, object_key="one")
        raise LookupError

    with pytest.raises(LookupError):
        await home.store.write(change)
    assert await home.courier.deliver_due() == 0
    assert await home.deliveries() == []
    (seen,) = (await home.plane.accept("GET", MANY))["resources"]
    assert seen["waiting"] == 0


async def test_per_object_in_order_while_others_go_on(home: Office, receiver: Receiver) -> None:
    await home.subscribe(receiver.url)
    receiver.answer = failing(0)
    await home.emit_all(6, keys=2)
    await home.courier.deliver_due()
    assert receiver.told().count(0) == 1
    assert [number for number in receiver.told() if number % 2] == [1, 3, 5]
    assert await home.states() == ["waiting", "delivered", "waiting", "delivered", "waiting", "delivered"]
    assert await home.after(outgoing.BACKOFF_S[0] - 1) == 0
    assert await home.after(1) == 1
    receiver.answer = failing()
    assert await home.after(outgoing.BACKOFF_S[1]) == 3
    assert [number for number in receiver.told() if not number % 2] == [0, 0, 0, 2, 4]
    assert len({request.id for request in receiver.received if request.event["data"]["n"] == 0}) == 1
    (first, *_) = await home.deliveries()
    assert (first["attempts"], first["last_status"], first["state"]) == (3, 204, "delivered")


async def test_objects_of_one_name_do_not_hold_up_one_another_between_subscriptions(home: Office) -> None:
    async with receiving() as broken, receiving() as sound:
        broken.answer = lambda _: Reply(500)
        await home.subscribe(broken.url)
        await home.subscribe(sound.url)
        for number in range(3):
            await home.emit(number)
        await home.courier.deliver_due()
        assert sound.told() == [0, 1, 2]
        assert broken.told() == [0]


async def test_a_retry_after_is_waited_for_by_all_notices_to_the_receiver(home: Office, receiver: Receiver) -> None:
    await home.subscribe(receiver.url)
    receiver.answer = lambda request: Reply(429, {"Retry-After": "600"}) if request.event["data"]["n"] == 0 else Reply()
    await home.emit(0, key="one")
    assert await home.courier.deliver_due() == 1
    await home.emit(1, key="another")
    assert await home.after(599) == 0
    (seen,) = (await home.plane.accept("GET", MANY))["resources"]
    assert seen["resumes_at"] == "2027-01-15T08:10:00.000000Z"
    assert (await home.deliveries("object_key=one"))[0]["next_attempt_at"] == "2027-01-15T08:10:00.000000Z"
    receiver.answer = lambda _: Reply()
    assert await home.after(1) == 2
    assert sorted(receiver.told()) == [0, 0, 1]


async def test_a_retry_after_may_be_a_date(home: Office, receiver: Receiver) -> None:
    await home.subscribe(receiver.url)
    receiver.answer = lambda _: Reply(503, {"Retry-After": "Fri, 15 Jan 2027 08:02:00 GMT"})
    await home.emit(0)
    await home.courier.deliver_due()
    assert await home.after(119) == 0
    assert await home.after(1) == 1


async def test_after_a_day_a_delivery_is_dead_and_the_next_goes_on(home: Office, receiver: Receiver) -> None:
    await home.subscribe(receiver.url)
    receiver.answer = failing(0)
    await home.emit(0)
    await home.emit(1)
    await home.courier.deliver_due()
    for wait in outgoing.BACKOFF_S:
        await home.after(wait)
    assert receiver.told() == [0] * (len(outgoing.BACKOFF_S) + 1) + [1]
    assert await home.states() == ["dead", "delivered"]
    (dead,) = await home.deliveries("state=dead")
    assert (dead["attempts"], dead["last_status"], dead["last_error"]) == (11, 500, "answered 500")
    assert dead["next_attempt_at"] is None
    receiver.answer = failing()
    retried = await home.plane.accept("POST", f"{DELIVERIES}/{dead['id']}/retry")
    assert (retried["state"], retried["attempts"]) == ("waiting", 0)
    await home.plane.refuse("POST", f"{DELIVERIES}/{dead['id']}/retry", status=409, part="only a dead delivery")
    assert await home.courier.deliver_due() == 1
    assert receiver.ids[-1] == receiver.ids[0]
    assert await home.states() == ["delivered", "delivered"]
    (seen,) = (await home.plane.accept("GET", MANY))["resources"]
    assert seen["waiting"] == 0


async def test_a_revived_one_never_goes_beside_another_of_its_object(home: Office, receiver: Receiver) -> None:
    await home.subscribe(receiver.url)
    receiver.answer = failing(0, 1)
    await home.emit(0)
    await home.courier.deliver_due()
    for wait in outgoing.BACKOFF_S:
        await home.after(wait)
    await home.emit(1)
    await home.emit(2)
    await home.courier.deliver_due()
    (dead,) = await home.deliveries("state=dead")
    await home.plane.accept("POST", f"{DELIVERIES}/{dead['id']}/retry")
    assert await home.courier.deliver_due() == 0
    receiver.answer = failing()
    assert await home.after(outgoing.BACKOFF_S[0]) == 3
    assert receiver.told()[-3:] == [1, 0, 2]


async def test_gone_ends_the_subscription(home: Office, receiver: Receiver) -> None:
    made = await home.subscribe(receiver.url)
    receiver.answer = lambda _: Reply(410)
    await home.emit(0)
    await home.emit(1)
    assert await home.courier.deliver_due() == 1
    assert await home.emit(2) == 0
    seen = await home.plane.accept("GET", f"{MANY}/{made['id']}")
    assert (seen["disabled"], seen["disabled_reason"], seen["last_error"]) == (True, "gone", "answered 410")
    assert await home.states() == ["dead", "waiting"]
    receiver.answer = failing()
    seen = await home.plane.accept("PATCH", f"{MANY}/{made['id']}", {"disabled": False})
    assert (seen["disabled"], seen["disabled_reason"]) == (False, "")
    assert await home.courier.deliver_due() == 1
    assert receiver.told() == [0, 1]


async def test_redirects_are_not_followed(home: Office, receiver: Receiver) -> None:
    async with receiving() as elsewhere:
        await home.subscribe(receiver.url)
        for status in (301, 302, 303, 307, 308):
            receiver.answer = lambda _, status=status: Reply(status, {"Location": elsewhere.url})
            await home.emit(status, key=str(status))
            await home.courier.deliver_due()
        assert elsewhere.received == []
        assert {each["last_error"] for each in await home.deliveries()} == {
            f"answered {status}; redirects are not followed" for status in (301, 302, 303, 307, 308)
        }


async def test_a_receiver_that_hangs_stops_nobody_else(database_url: str, receiver: Receiver) -> None:
    async with office(database_url, attempt_s=3) as home, receiving() as hanging:
        hanging.answer = lambda _: Reply(hang=True)
        await home.subscribe(hanging.url)
        await home.subscribe(receiver.url)
        await home.emit_all(8, keys=8)
        assert await home.courier.deliver_due() == 8 + 4  # then it is left alone for a while
        assert sorted(receiver.told()) == list(range(8))
        errors = {each["last_error"] for each in await home.deliveries("state=waiting")}
        assert "no answer within 3 s" in errors
        assert hanging.most_under_way <= 4


async def test_a_huge_answer_is_not_read(home: Office, receiver: Receiver) -> None:
    await home.subscribe(receiver.url)
    receiver.answer = lambda _: Reply(200, endless=True)
    await home.emit(0)
    await home.courier.deliver_due()
    assert await home.states() == ["delivered"]
    assert receiver.sent_bytes < 32 * 1024 * 1024
    receiver.answer = lambda _: Reply(204, {"X-Long": "x" * 100_000})
    await home.emit(1)
    await home.courier.deliver_due()
    assert await home.states() == ["delivered", "waiting"]


async def test_a_connection_that_is_cut_is_a_failure(home: Office, receiver: Receiver) -> None:
    await home.subscribe(receiver.url)
    receiver.answer = lambda _: Reply(cut=True)
    await home.emit(0)
    assert await home.courier.deliver_due() == 1
    assert len(receiver.received) == 1
    (seen,) = await home.deliveries()
    assert seen["last_error"] == "the connection was cut before the answer"
    assert seen["last_status"] is None


async def test_https_by_an_own_authority_alone(home: Office) -> None:
    async with receiving(tls=True) as receiver, receiving(tls=True, hosts=("localhost",)) as named:
        await home.subscribe(receiver.url, ca_certificate=authority_pem())
        await home.subscribe(named.url, ca_certificate=authority_pem())
        doubtful = await home.subscribe(receiver.url)
        other = await home.subscribe(receiver.url, ca_certificate=authority_pem(1))
        wrong_name = await home.subscribe(
            receiver.url.replace("127.0.0.1", "localhost"), ca_certificate=authority_pem()
        )
        await home.emit(0)
        await home.courier.deliver_due()
        assert receiver.told() == [0], await home.deliveries()
        assert named.told() == [0]
        for made in (doubtful, other, wrong_name):
            (seen,) = await home.deliveries(f"subscription_id={made['id']}")
            assert seen["state"] == "waiting"
            assert seen["last_error"].startswith("its certificate is not trusted: "), seen
        await home.plane.accept("PATCH", f"{MANY}/{other['id']}", {"ca_certificate": authority_pem()})
        await home.after(outgoing.BACKOFF_S[0])
        assert receiver.told() == [0, 0]


async def test_a_name_that_leads_to_a_link_local_address_is_refused_when_it_is_sent_to(home: Office) -> None:
    await home.subscribe("https://0xa9fea9fe:9/latest")  # the resolver knows what that is
    await home.emit(0)
    await home.courier.deliver_due()
    (seen,) = await home.deliveries()
    assert seen["last_error"] == "its address is 169.254.169.254, which is link-local: nothing is sent there"
    assert seen["state"] == "waiting"


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("https://169.254.169.254/", "its address is 169.254.169.254, which is link-local: nothing is sent there"),
        ("https://[fe80::1]/", "its address is fe80::1, which is link-local: nothing is sent there"),
        ("https://2852039166/", "its address is written in an unusual form: nothing is sent there"),
    ],
)
async def test_an_address_that_came_into_the_database_otherwise_is_refused_too(
    sqlite_url: str, url: str, error: str
) -> None:
    async with office(sqlite_url) as home:
        await home.subscribe("https://10.0.0.1/")
        await home.store.write(lambda tx: tx.execute("UPDATE cckm_notice_subscriptions SET url = ?", url))
        await home.emit(0)
        await home.courier.deliver_due()
        assert (await home.deliveries())[0]["last_error"] == error


async def test_what_cannot_be_signed_ends_too(home: Office, receiver: Receiver) -> None:
    await home.subscribe(receiver.url)
    await home.emit(0)
    await home.store.write(lambda tx: tx.execute("DELETE FROM cckm_sealed WHERE kind = 'notice'"))
    assert await home.courier.deliver_due() == 1
    (seen,) = await home.deliveries()
    assert seen["last_error"] == "could not be sent by this server: SealedMissing"
    for wait in outgoing.BACKOFF_S:
        await home.after(wait)
    assert await home.states() == ["dead"]
    assert receiver.received == []


async def test_what_cannot_be_reached_is_left_alone_for_longer_and_longer(home: Office, receiver: Receiver) -> None:
    async with receiving() as closed:
        pass
    made = await home.subscribe(closed.url)
    for number in range(20):
        await home.emit(number, key=str(number))
    first = await home.courier.deliver_due()
    assert first == 4
    (seen,) = await home.deliveries("object_key=0")
    assert seen["last_error"] == "cannot connect: Connection refused"
    assert await home.after(1) == 0
    await home.plane.accept("PATCH", f"{MANY}/{made['id']}", {"url": receiver.url})
    assert await home.courier.deliver_due() == 16
    assert await home.after(outgoing.BACKOFF_S[0]) == 4
    assert sorted(receiver.told()) == list(range(20))


async def test_two_servers_share_the_work_and_send_nothing_twice(database_url: str, receiver: Receiver) -> None:
    async with office(database_url) as home, office(database_url, beside=home) as other:
        await home.subscribe(receiver.url)
        await home.emit_all(60, keys=20)
        attempts = await asyncio.gather(home.courier.deliver_due(), other.courier.deliver_due())
        assert sum(attempts) == 60
        assert len(set(receiver.ids)) == len(receiver.ids) == 60
        for key in range(20):
            assert [number for number in receiver.told() if number % 20 == key] == [key, key + 20, key + 40]


async def test_what_a_server_has_leased_no_other_sends_until_the_lease_ends(
    database_url: str, receiver: Receiver
) -> None:
    async with office(database_url) as home, office(database_url, beside=home) as other:
        await home.subscribe(receiver.url)
        receiver.answer = lambda _: Reply(hang=True)
        await home.emit(0)
        working = asyncio.create_task(home.courier.deliver_due())
        await receiver.until(1)
        receiver.answer = lambda _: Reply()
        await other.courier.tend()
        assert await other.after(59) == 0
        assert await other.after(1) == 1
        assert receiver.ids[0] == receiver.ids[1]
        assert await other.states() == ["delivered"]
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
        await home.courier.close()
        assert await other.states() == ["delivered"]
        assert (await other.deliveries())[0]["attempts"] == 2


async def test_what_a_dead_server_left_is_sent_at_once_by_the_next(home: Office, receiver: Receiver) -> None:
    await home.subscribe(receiver.url)
    await home.emit(0)
    script = "from claviger.jobs.holder import own_name; print(own_name())"
    run = await asyncio.to_thread(subprocess.run, [sys.executable, "-c", script], capture_output=True, text=True)
    dead = run.stdout.strip()
    leased = "UPDATE cckm_notice_deliveries SET holder = ?, try_at = ?, attempts = 1"
    await home.store.write(lambda tx: tx.execute(leased, dead, START + 1000))
    assert await home.courier.deliver_due() == 0
    await home.courier.tend()
    assert await home.courier.deliver_due() == 1
    assert receiver.told() == [0]
    assert (await home.deliveries())[0]["attempts"] == 2


async def test_a_server_that_stops_gives_back_what_was_under_way(database_url: str, receiver: Receiver) -> None:
    async with office(database_url) as home:
        await home.subscribe(receiver.url)
        receiver.answer = lambda _: Reply(hang=True)
        running = asyncio.create_task(home.courier.run())
        await home.emit(0)
        await home.emit(1)
        await receiver.until(1)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert [(each["state"], each["attempts"]) for each in await home.deliveries()] == [("waiting", 0)] * 2
        receiver.answer = lambda _: Reply()
        async with office(database_url, beside=home) as other:
            again = asyncio.create_task(other.courier.run())
            await receiver.until(3)
            again.cancel()
            await asyncio.gather(again, return_exceptions=True)
        assert receiver.told() == [0, 0, 1]


async def test_the_oldest_that_ended_are_removed(
    home: Office, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    await home.subscribe(receiver.url)
    home.plane.clock.advance(1)
    await home.subscribe(receiver.url.replace("http://127.0.0.1", "http://[::1]"))  # nobody is there
    await home.emit(0)
    await home.courier.deliver_due()
    for wait in outgoing.BACKOFF_S:
        await home.after(wait)
    assert await home.states() == ["delivered", "dead"]
    home.plane.clock.advance(7 * DAY_S - 1)
    assert await home.courier.prune() == 0
    home.plane.clock.advance(2)
    assert await home.courier.prune() == 1
    assert await home.states() == ["dead"]
    home.plane.clock.advance(23 * DAY_S)
    assert await home.courier.prune() == 1
    for number in range(5):
        home.plane.clock.advance(1)
        await home.emit(number)
        await home.courier.deliver_due()
    monkeypatch.setattr(rules, "MOST_ENDED", 2)
    assert await home.courier.prune() == 3
    assert [each["data"] for each in await home.deliveries("state=delivered")] == [{"n": 3}, {"n": 4}]
    assert len(await home.deliveries("state=waiting")) == 5


async def test_a_full_outbox_drops_and_counts_and_never_refuses_the_change(
    home: Office, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    from claviger.cckm.notices import announcing

    monkeypatch.setattr(announcing, "MOST_WAITING", 3)
    made = await home.subscribe(receiver.url)
    await home.emit_all(5, keys=1)
    seen = await home.plane.accept("GET", f"{MANY}/{made['id']}")
    assert (seen["waiting"], seen["dropped"]) == (3, 2)
    await home.courier.deliver_due()
    assert receiver.told() == [0, 1, 2]
    assert await home.emit(9) == 1


async def test_data_that_is_too_large_is_left_out(home: Office, receiver: Receiver) -> None:
    await home.subscribe(receiver.url)
    data: Any = {"n": "x" * rules.MOST_DATA, "nul": "\0"}
    subject = "s\0" * 5000
    await home.store.write(lambda tx: home.notices.emit(tx, ROOT_DOMAIN, "drift", subject, data, object_key="a\0b"))
    await home.courier.deliver_due()
    assert receiver.received[0].event["data"] == {"omitted": "the data is too large for a notice"}
    assert receiver.received[0].event["subject"] == "s" * rules.MOST_SUBJECT


async def test_a_secret_is_in_no_log_and_no_answer(
    home: Office, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    made = await home.subscribe(receiver.url)
    secret = made["secret"].removeprefix("whsec_")
    receiver.answer = lambda _: Reply(500, body=b"a reflection of " + secret.encode())
    await home.emit(0)
    await home.courier.deliver_due()
    await home.plane.accept("POST", f"{MANY}/{made['id']}/test")
    answers = [await home.plane.accept("GET", url) for url in (MANY, f"{MANY}/{made['id']}", DELIVERIES)]
    assert secret not in str(answers)
    assert secret not in caplog.text
    assert all(secret not in str(request.headers) + request.body.decode() for request in receiver.received)
    for table in ("cckm_notice_subscriptions", "cckm_notice_deliveries", "cckm_sealed"):
        rows = await home.store.read(f"SELECT * FROM {table}")
        assert secret not in str(rows)
        assert secret.encode() not in b"".join(part for row in rows for part in row if isinstance(part, bytes))
