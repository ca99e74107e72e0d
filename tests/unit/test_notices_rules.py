"""Notices: where they may go, how they are signed and when they are tried again."""

from __future__ import annotations

import base64

import msgspec
import pytest

from claviger.cckm.notices import rules, wire
from claviger.cckm.notices.keys import Keys, opened, sealed_form
from claviger.cckm.notices.rules import Type
from claviger.core.errors import Damaged
from claviger.core.sensitive import Sensitive
from claviger.outgoing import rules as outgoing
from claviger.outgoing.signature import headers_of

ALLOWED = (
    "https://hooks.example.com",
    "https://hooks.example.com/a/b?token=x&y=%20",
    "https://10.0.0.7:8443/hook",
    "https://192.168.1.4/",
    "https://[fd12:3456::1]:444/x",
    "https://127.0.0.1:9/",
    "https://my_service:8080/hook",
    "https://hooks.example.com./claviger/other",
    "http://localhost:8080/x",
    "http://receiver.localhost/x",
    "http://127.0.0.1:8080",
    "http://[::1]:8080/x",
    "https://host?only=query",
)
REFUSED = (
    "",
    "hooks.example.com",
    "ftp://hooks.example.com/",
    "https://",
    "https://user:password@hooks.example.com/",
    "https://hooks.example.com/#part",
    "https://hooks.example.com/a b",
    "https://hooks.example.com/\u00e9",
    "https://hooks.example.com:0/",
    "https://hooks.example.com:70000/",
    "https://hooks.example.com/%zz",
    "https://hooks.example.com/" + "a" * 2048,
    "https://exa mple/",
    "https://hooks.example.com\\@other/",
    "http://hooks.example.com/",
    "http://10.0.0.7/",
    "http://localhost.example.com/",
    "https://169.254.169.254/latest/meta-data",
    "https://169.254.0.1/",
    "https://[fe80::1]/",
    "https://[febf::1]/",
    "https://[::ffff:169.254.169.254]/",
    "https://[64:ff9b::a9fe:a9fe]/",
    "https://[2002:a9fe:a9fe::1]/",
    "https://[::a9fe:a9fe]/",
    "https://[fd00:ec2::254]/",
    "https://168.63.129.16/",
    "https://0.0.0.0/",
    "https://[::]/",
    "https://224.0.0.1/",
    "https://255.255.255.255/",
    "https://2852039166/",
    "https://169.254.43518/",
    "https://169.254.169.254./",
    "https://[:::1]/",
    "https://localhost:8443/claviger/switches",
    "https://localhost:8443/claviger/switches/clock",
    "https://localhost:8443/%63laviger/switches",
    "https://localhost:8443/x/../claviger/switches",
    "https://localhost:8443/x/%2e%2e/claviger/switches",
    "http://localhost:8443/./claviger/switches",
)


@pytest.mark.parametrize("url", ALLOWED)
def test_receivers_inside_the_network_are_allowed(url: str) -> None:
    assert outgoing.url_problem(url) is None


@pytest.mark.parametrize("url", REFUSED)
def test_what_is_no_receiver_is_refused(url: str) -> None:
    assert outgoing.url_problem(url)


def test_the_signature_is_that_of_the_published_example() -> None:
    key = outgoing.key_of(Sensitive("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"))
    assert key is not None
    headers = headers_of("msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}', [key])
    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


@pytest.mark.parametrize(("size", "right"), [(23, False), (24, True), (64, True), (65, False)])
def test_a_secret_has_24_to_64_bytes(size: int, right: bool) -> None:
    text = base64.b64encode(bytes(size)).decode()
    for given in (text, f"whsec_{text}"):
        key = outgoing.key_of(Sensitive(given))
        assert key == (bytes(size) if right else None)


def test_a_secret_in_another_form_is_none() -> None:
    assert outgoing.key_of(Sensitive("whsec_" + "a" * 41)) is None
    assert outgoing.key_of(Sensitive("not base64 at all, but long enough to be one")) is None
    assert outgoing.key_of(Sensitive(b"\xff" * 40)) is None
    assert outgoing.key_of(Sensitive("é" * 40)) is None


def test_after_a_change_both_keys_sign_for_a_day_and_none_shows() -> None:
    keys = Keys(Sensitive(b"a" * 32)).followed_by(b"b" * 32, 1000.0)
    again = opened(sealed_form(keys))
    assert again.at(1000.0) == [b"b" * 32, b"a" * 32]
    assert again.at(1000.0 + 86_399) == [b"b" * 32, b"a" * 32]
    assert again.at(1000.0 + 86_400) == [b"b" * 32]
    assert "aaa" not in repr(again)
    assert "bbb" not in repr(again)
    with pytest.raises(Damaged):
        opened(Sensitive(b"{}"))


def test_eleven_attempts_take_about_a_day() -> None:
    waits = [outgoing.pause_after(attempts, None) for attempts in range(1, 12)]
    assert waits[-1] is None
    assert None not in waits[:-1]
    assert waits[:-1] == sorted(wait for wait in waits if wait is not None)
    assert 0.9 * 86_400 < sum(wait for wait in waits if wait) < 1.1 * 86_400


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ("120", 120.0),
        (" 7 ", 7.0),
        ("Fri, 15 Jan 2027 08:01:00 GMT", 60.0),
        ("Fri, 15 Jan 2027 07:00:00 GMT", 0.0),
        ("Friday, 15-Jan-27 08:01:00 GMT", 60.0),
        ("soon", None),
        ("-5", None),
        ("1e9", None),
        ("9" * 40, None),
        ("", None),
        ("Fri, 99 Jan 2027 08:01:00 GMT", None),
    ],
)
def test_retry_after_is_a_number_or_a_date(told: str, expected: float | None) -> None:
    assert outgoing.retry_after(told, 1_800_000_000.0) == expected


def test_retry_after_lengthens_a_wait_and_never_shortens_it() -> None:
    assert outgoing.pause_after(1, 60.0) == 60.0
    assert outgoing.pause_after(3, 1.0) == outgoing.BACKOFF_S[2]
    assert outgoing.pause_after(1, 1e9) == outgoing.LONGEST_RETRY_AFTER_S


@pytest.mark.parametrize(
    ("left_days", "told", "expected"),
    [(31, None, None), (30, None, 30), (8, 30, None), (8, None, 30), (7, 30, 7), (5, 8, 7), (5, 7, None), (1, 7, 1)],
)
def test_the_nearest_number_of_days_is_told_once(left_days: int, told: int | None, expected: int | None) -> None:
    assert rules.days_due((30, 7, 1), left_days * 86_400, told) == expected
    assert rules.days_due((), left_days * 86_400, told) is None


@pytest.mark.parametrize(
    ("days", "right"),
    [((1,), True), ((365, 1), True), ((), False), ((0,), False), ((366,), False), (range(1, 12), False)],
)
def test_numbers_of_days_have_bounds(days: tuple[int, ...], right: bool) -> None:
    assert (rules.days_problem(days, 365) is None) == right


def test_every_type_says_what_it_carries_and_none_carries_a_value() -> None:
    carried: dict[Type, type[msgspec.Struct]] = {
        Type.NEAR_EXPIRY: wire.NearExpiry,
        Type.NEAR_FINAL_DELETION: wire.NearFinalDeletion,
        Type.DRIFT: wire.Drift,
        Type.BRAKE: wire.Brake,
        Type.DELETION_SCHEDULED: wire.DeletionScheduled,
        Type.DELETION_CANCELLED: wire.DeletionCancelled,
        Type.ROTATED: wire.Rotated,
        Type.FAILED_ROTATION: wire.FailedRotation,
        Type.FAILED_JOB: wire.FailedJob,
        Type.REFUSED_PURGE: wire.RefusedPurge,
        Type.APPROVAL_WANTED: wire.ApprovalWanted,
        Type.TEST: wire.Test,
    }
    assert set(carried) == set(Type)
    for struct in carried.values():
        names = {field.encode_name for field in msgspec.structs.fields(struct)}
        assert names
        assert not names & {"value", "secret", "backup", "tags"}
