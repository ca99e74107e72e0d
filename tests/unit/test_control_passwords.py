"""Hashing of passwords: what is stored, what it lets in, how few at once; and the rules for new ones."""

from __future__ import annotations

import asyncio
import threading

import pytest
from argon2.profiles import RFC_9106_LOW_MEMORY

from claviger.cckm.access.onetime import new_one_time_password
from claviger.cckm.access.passwords import Passwords
from claviger.cckm.access.sessions.turns import Turns
from claviger.cckm.access.users.rules import password_problem
from claviger.core.errors import Damaged, Throttled
from claviger.core.sensitive import Sensitive
from tests.control import CHEAP

RIGHT, WRONG = Sensitive("correct horse"), Sensitive("wrong horse")


async def test_only_the_right_password_opens_a_hash() -> None:
    passwords = Passwords(CHEAP)
    stored = await passwords.hash(RIGHT)
    assert await passwords.verify(stored, RIGHT)
    assert not await passwords.verify(stored, WRONG)
    assert not await passwords.verify(stored, Sensitive(""))


async def test_a_hash_is_argon2id_in_the_low_memory_profile_of_the_rfc_and_salted() -> None:
    passwords = Passwords()
    stored = await passwords.hash(RIGHT)
    assert stored.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert b"horse" not in stored.encode()
    assert stored != await passwords.hash(RIGHT)


async def test_nobody_has_no_password_and_the_comparison_costs_the_same() -> None:
    passwords = Passwords()
    real = (await passwords.hash(RIGHT)).split("$")
    assert not await passwords.verify(None, RIGHT)
    nobodys = passwords._nobodys.split("$")
    assert nobodys[:4] == real[:4]
    assert [len(part) for part in nobodys] == [len(part) for part in real]


async def test_a_hash_of_other_parameters_is_outdated_and_still_opens() -> None:
    old, new = Passwords(CHEAP), Passwords(RFC_9106_LOW_MEMORY)
    stored = await old.hash(RIGHT)
    assert new.is_outdated(stored)
    assert not old.is_outdated(stored)
    assert await new.verify(stored, RIGHT)


async def test_a_damaged_hash_lets_nobody_in() -> None:
    with pytest.raises(Damaged):
        await Passwords(CHEAP).verify("plain text", RIGHT)


class Slow:
    """A hasher that works until it is let go."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.running: list[int] = []

    def hash(self, password: bytes) -> str:
        self.running.append(1)
        assert self.go.wait(20)
        return password.decode()


async def test_two_at_once_and_beyond_a_queue_nobody_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = Slow()
    passwords = Passwords(CHEAP, most_waiting=1, longest_wait_s=20)
    monkeypatch.setattr(passwords, "_hasher", slow)
    asked = [asyncio.create_task(passwords.hash(RIGHT)) for _ in range(3)]
    await asyncio.sleep(0)
    with pytest.raises(Throttled) as refused:
        await passwords.hash(RIGHT)
    assert refused.value.facts["retry_after_s"] == 1
    while len(slow.running) < 2:  # noqa: ASYNC110 - they run in threads
        await asyncio.sleep(0.01)
    asked[0].cancel()  # who goes away leaves a thread that works on, and no room for another one
    await asyncio.sleep(0)
    assert len(slow.running) == 2
    with pytest.raises(Throttled):
        await passwords.hash(RIGHT)
    slow.go.set()
    assert await asyncio.gather(*asked[1:]) == ["correct horse"] * 2
    assert await passwords.hash(RIGHT) == "correct horse"


async def test_nobody_waits_longer_than_told_for_slow_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = Slow()
    passwords = Passwords(CHEAP, longest_wait_s=0)
    monkeypatch.setattr(passwords, "_hasher", slow)
    asked = [asyncio.create_task(passwords.hash(RIGHT)) for _ in range(2)]
    await asyncio.sleep(0)
    for _ in range(3):
        with pytest.raises(Throttled) as refused:
            await passwords.hash(RIGHT)
        assert refused.value.facts["retry_after_s"] == 1
    slow.go.set()
    await asyncio.gather(*asked)
    assert await passwords.hash(RIGHT) == "correct horse"


async def test_a_turn_is_waited_for_as_long_as_told_and_the_line_goes_on() -> None:
    turns = Turns(longest_wait_s=0)
    async with turns.of("ada"):
        with pytest.raises(Throttled) as refused:
            async with turns.of("ada"):
                pytest.fail("two had their turn at once")
        assert refused.value.facts["retry_after_s"] == 1
        async with turns.of("ben"):
            pass
    async with turns.of("ada"):
        pass
    assert not turns._locks


@pytest.mark.parametrize(
    ("password", "username", "old"),
    [
        ("short", "ada", None),
        ("x" * 257, "ada", None),
        ("ada-lovelace", "ada-lovelace", None),
        ("ADA-lovelace", "ada-LOVELACE", None),
        ("same-as-before", "ada", "same-as-before"),
        ("aaaaaaaaaaaa", "ada", None),
        ("with\0nul-inside", "ada", None),
        ("", "ada", None),
    ],
)
def test_a_weak_password_is_refused_without_being_named(password: str, username: str, old: str | None) -> None:
    problem = password_problem(password, username, old)
    assert problem
    assert not password or password not in problem


def test_length_is_what_counts() -> None:
    assert password_problem("eight ok", "ada", "another-one") is None
    assert password_problem("päßwörter sind gut", "ada") is None
    assert password_problem("x1y" * 85 + "z", "ada") is None


def test_one_time_passwords_are_long_and_differ() -> None:
    made = {new_one_time_password().reveal_text() for _ in range(100)}
    assert len(made) == 100
    assert all(len(each) == 29 and password_problem(each, "admin") is None for each in made)
