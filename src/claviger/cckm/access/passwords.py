"""Hashes passwords with Argon2id, off the event loop, few at a time: one hash takes 64 MiB and a tenth of a second.

Whoever asks when too many are waiting already is told so at once, and whoever has waited for a second is told so then
(`Throttled`): a busy machine makes hashes slow, and a caller who is to come again is better off than one who hangs.
A password of a user that does not exist is checked against a hash that nothing matches, so that the time of an answer
does not tell who exists.
"""

from __future__ import annotations

import asyncio
import base64
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from argon2 import Parameters, PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.profiles import RFC_9106_LOW_MEMORY

from claviger.core.errors import Damaged, Throttled
from claviger.core.sensitive import Sensitive

T = TypeVar("T")

AT_ONCE = 2
MOST_WAITING = 64
LONGEST_WAIT_S = 1.0


class Passwords:
    """Makes and checks hashes of passwords; nobody waits for his turn longer than `longest_wait_s`.

    `close` lets its threads end.
    """

    def __init__(
        self,
        profile: Parameters = RFC_9106_LOW_MEMORY,
        *,
        most_waiting: int = MOST_WAITING,
        longest_wait_s: float = LONGEST_WAIT_S,
    ) -> None:
        self._hasher = PasswordHasher.from_parameters(profile)
        self._nobodys = _hash_that_nothing_matches(profile)
        self._threads = ThreadPoolExecutor(AT_ONCE, "passwords")
        self._free = asyncio.Semaphore(AT_ONCE)
        self._most_waiting = most_waiting
        self._longest_wait_s = longest_wait_s
        self._waiting = 0

    async def hash(self, password: Sensitive) -> str:
        """A hash to store, with its parameters and salt in it. Raises Throttled("TooManySignIns")."""
        return await self._off_the_loop(lambda: self._hasher.hash(password.reveal()))

    async def verify(self, stored: str | None, password: Sensitive) -> bool:
        """Whether a password is the one of a stored hash; never for None, after as long a time.

        Raises Throttled("TooManySignIns"), and Damaged("PasswordHash") for a stored hash that is none.
        """
        return await self._off_the_loop(lambda: self._verified(stored or self._nobodys, password.reveal()))

    def is_outdated(self, stored: str) -> bool:
        """Whether a hash was made with other parameters than these, and the password should be hashed anew."""
        return self._hasher.check_needs_rehash(stored)

    def close(self) -> None:
        """Ends the threads once they are idle."""
        self._threads.shutdown(wait=False)

    def _verified(self, stored: str, password: bytes) -> bool:
        try:
            return self._hasher.verify(stored, password)
        except VerificationError:  # a wrong password, or Argon2's refusal of this one; both let nobody in
            return False
        except InvalidHashError:
            raise Damaged("PasswordHash") from None

    async def _off_the_loop(self, work: Callable[[], T]) -> T:
        await self._wait_for_a_thread()
        done = asyncio.get_running_loop().run_in_executor(self._threads, work)
        done.add_done_callback(self._freed)  # also for an asker that went away: the thread works on regardless
        return await asyncio.shield(done)

    async def _wait_for_a_thread(self) -> None:
        if self._waiting >= self._most_waiting:
            raise too_many_sign_ins()
        self._waiting += 1
        try:
            async with asyncio.timeout(self._longest_wait_s):
                await self._free.acquire()
        except TimeoutError:
            raise too_many_sign_ins() from None
        finally:
            self._waiting -= 1

    def _freed(self, done: asyncio.Future[T]) -> None:
        self._free.release()
        if not done.cancelled():
            done.exception()  # an asker that went away does not look


def too_many_sign_ins() -> Throttled:
    """What is told to whoever cannot have his turn in time."""
    return Throttled("TooManySignIns", message="too many sign-ins at once; try again", retry_after_s=1)


def _hash_that_nothing_matches(profile: Parameters) -> str:
    """A hash of nothing, as costly to compare with as a real one of this profile."""

    def random(count: int) -> str:
        return base64.b64encode(os.urandom(count)).rstrip(b"=").decode()

    cost = f"m={profile.memory_cost},t={profile.time_cost},p={profile.parallelism}"
    return f"$argon2id$v={profile.version}${cost}${random(profile.salt_len)}${random(profile.hash_len)}"
