"""Signing in: by password, refresh token or client credential; and changing a password by knowing the old one.

Whoever guesses is slowed down three times: a user is locked out after five failures in a row (in the database, so that
a restart does not forget), an address after 30 in a minute, and hashing itself is costly and few at a time. No answer,
and no answer's time, tells whether a user exists.
"""

from __future__ import annotations

import hmac

import msgspec

from claviger.audit.trail import about, acting, belongs_to, silently, turn_down, withhold
from claviger.cckm import records as shared
from claviger.cckm.access import records as access
from claviger.cckm.access.clients import records as clients
from claviger.cckm.access.clients.rules import secret_hash
from claviger.cckm.access.domains import records as domains
from claviger.cckm.access.domains.rules import last_of_path
from claviger.cckm.access.groups import records as groups
from claviger.cckm.access.onetime import OneTimePassword
from claviger.cckm.access.passwords import Passwords
from claviger.cckm.access.sessions import records
from claviger.cckm.access.sessions.records import Line
from claviger.cckm.access.sessions.rules import (
    LINES_PER_USER,
    locked_for,
    parts_of,
    refresh_life,
    unused_limit,
)
from claviger.cckm.access.sessions.turns import Turns
from claviger.cckm.access.tokens import LIFETIME_S, Holder, TokenMaker
from claviger.cckm.access.users import records as users
from claviger.cckm.access.users.records import User
from claviger.cckm.access.users.rules import password_problem, username_key
from claviger.cckm.calls import ROOT_DOMAIN, Caller
from claviger.cckm.errors import kind_of, validation
from claviger.core.attempts import FailedAttempts
from claviger.core.clock import Clock
from claviger.core.errors import Unauthenticated
from claviger.core.ids import new_token, new_uuid
from claviger.core.sensitive import Sensitive
from claviger.store.contract import Store, Tx

SESSION = "session"
FAILURES_OF_AN_ADDRESS = 30
REVOKED_FOR_S = LIFETIME_S + 60
_WRONG = "Wrong username or password, or too many failures in a row; in that case wait before you try again."
_NO_REFRESH = "The refresh token is not known, or has expired, or was used before."


class Where(msgspec.Struct, frozen=True):
    """In which domain a token shall act, and in which one the user lives: ids or names, as they were given."""

    domain: str | None = None
    auth_domain: str | None = None
    auth_domain_path: str | None = None


class Life(msgspec.Struct, frozen=True):
    """What was asked for a line of refresh tokens, in minutes."""

    lifetime: int | None = None
    unused_limit: int | None = None


class Granted(msgspec.Struct, frozen=True):
    """A token just made, and the line of refresh tokens it belongs to. `refresh_token` is there where it is new."""

    jwt: Sensitive
    client_id: str
    must_change_password: bool
    line: Line | None = None
    refresh_token: Sensitive | None = None


class SignIn:
    """Gives tokens to whoever proves to be a user. `clock` is the machine's: clients keep tokens by theirs."""

    def __init__(
        self, store: Store, passwords: Passwords, maker: TokenMaker, one_time: OneTimePassword, clock: Clock
    ) -> None:
        self._store = store
        self._passwords = passwords
        self._maker = maker
        self._one_time = one_time
        self._clock = clock
        self._turns = Turns()
        self._attempts = FailedAttempts(clock, FAILURES_OF_AN_ADDRESS)

    async def by_password(self, username: str, password: Sensitive, where: Where, life: Life, address: str) -> Granted:
        """A token, and the first refresh token of a new session.

        Raises Unauthenticated("WrongCredentials"), Throttled for an address that keeps failing or where too many come
        at once.
        """
        self._attempts.check("", address)
        domain = await domains.by_id_or_name(self._store, where.domain or ROOT_DOMAIN)
        user, stored = await self._proved(await self._homes(where), username, password, address)
        outdated = self._passwords.is_outdated(stored)
        new_hash = await self._passwords.hash(password) if outdated else None
        token = Sensitive(new_token(48))
        now = self._clock.now()
        parts = parts_of(token.reveal())
        if domain is None or parts is None:
            raise _may_not_enter(where.domain)
        line = Line(
            id=new_uuid(),
            selector=parts[0],
            sha256=parts[1],
            session_id=new_uuid(),
            user_id=user.id,
            domain_id=domain.id,
            client_id=new_uuid(),
            unused_limit_s=unused_limit(life.unused_limit),
            created_at=now,
            used_at=now,
            expires_at=now + refresh_life(life.lifetime),
        )

        def change(tx: Tx) -> Holder | None:
            holder = holder_of(tx, user.id, domain.id, line.client_id, line.session_id)
            if holder is None or holder.epoch != user.token_epoch:
                withhold()
                return None
            acting(user.id, user.username, domain.id, line.session_id)
            about(SESSION, line.session_id, user.username)
            users.signed_in(tx, user.id, now, new_hash)
            records.remove_expired(tx, now)
            access.forget_revoked(tx, now)
            records.add(tx, line)
            records.keep_newest(tx, user.id, LINES_PER_USER)
            return holder

        holder = await self._store.write(change)
        if holder is None:
            raise _may_not_enter(where.domain)
        return await self._granted(holder, user, line, token)

    async def by_refresh_token(self, token: Sensitive, *, renew: bool) -> Granted:
        """A token of the same session. With `renew` the refresh token is replaced, and good for nothing from then on.

        A refresh token that comes back after it was replaced was copied by somebody: its whole line ends with all
        tokens of the session. Raises Unauthenticated("WrongCredentials").
        """
        parts = parts_of(token.reveal())
        no_refresh = Unauthenticated("WrongCredentials", message=_NO_REFRESH)
        if parts is None:
            raise no_refresh
        selector, presented = parts
        fresh = Sensitive(selector.encode() + new_token(36).encode()) if renew else None
        fresh_parts = parts_of(fresh.reveal()) if fresh is not None else None
        now = self._clock.now()

        def change(tx: Tx) -> tuple[Line, Holder, User] | None:
            line = records.by_selector(tx, selector)
            if line is None:
                withhold()
                return None
            is_newest = hmac.compare_digest(line.sha256, presented)
            holder = holder_of(tx, line.user_id, line.domain_id, line.client_id, line.session_id)
            user = users.get(tx, line.user_id)
            about(SESSION, line.session_id, "" if user is None else user.username)
            belongs_to(line.domain_id)
            if not is_newest or holder is None or user is None or now >= line.ends_at():
                records.remove(tx, line.id)
                turn_down(no_refresh, kind_of(no_refresh).status)
                if not is_newest:
                    access.revoke(tx, [line.session_id], now + REVOKED_FOR_S)
                    shared.bump_access_revision(tx)
                return None
            acting(user.id, user.username, line.domain_id, line.session_id)
            records.used(tx, line.id, fresh_parts[1] if fresh_parts else line.sha256, now)
            return msgspec.structs.replace(line, used_at=now), holder, user

        found = await self._store.write(change)
        if found is None:
            raise no_refresh
        line, holder, user = found
        return await self._granted(holder, user, line, fresh)

    async def by_client(self, client_id: str, secret: Sensitive, address: str) -> Granted:
        """A token for a client, which acts as its user in the domain that it was made for; no refresh token.

        Raises Unauthenticated("WrongCredentials"), and Throttled for an address that keeps failing.
        """
        self._attempts.check("", address)
        client = await clients.find(self._store, client_id)
        known = client.sha256 if client is not None else bytes(32)
        if not hmac.compare_digest(known, secret_hash(secret.reveal())) or client is None:
            self._attempts.failed("", address)
            raise Unauthenticated("WrongCredentials", message="Wrong client or credential.")
        domain_id, user_id, session_id = client.domain_id, client.user_id, new_uuid()

        def change(tx: Tx) -> tuple[Holder | None, User | None]:
            user = users.get(tx, user_id)
            is_there = clients.get(tx, client_id) is not None
            holder = holder_of(tx, user_id, domain_id, client_id, session_id) if is_there else None
            about("client", client_id, client.details.name)
            if holder is None or user is None:
                withhold()
            else:
                acting(user.id, user.username, domain_id, session_id)
            return holder, user

        holder, user = await self._store.write(change)
        if holder is None or user is None:
            raise _may_not_enter(domain_id)
        return await self._granted(holder, user, None, None)

    async def change_password(
        self,
        caller: Caller | None,
        username: str | None,
        old: Sensitive,
        new: Sensitive,
        where: Where,
        address: str,
    ) -> None:
        """Gives a user who knows his password another one, and ends every session of his, this one too.

        Whoever learned the old password may have opened sessions with it; they end, and the user signs in anew with
        the new one. His clients stay: they have credentials of their own. A failure counts as one to sign in. Raises as
        `by_password` does, and Invalid("Validation") for a password that is too weak.
        """
        self._attempts.check("", address)
        homes = await self._homes(where)
        if username is None:
            own = await users.find(self._store, caller.user_id) if caller is not None else None
            if own is None:
                raise Unauthenticated("TokenMissing", message="give a username, or a bearer token that holds")
            username, homes = own.username, [own.domain_id]
        wrong = password_problem(new.reveal_text(), username, old.reveal_text())
        if wrong:
            raise validation({"new_password": wrong})
        user, _ = await self._proved(homes, username, old, address)
        hashed = await self._passwords.hash(new)
        now = self._clock.now()

        def change(tx: Tx) -> bool:
            present = users.get(tx, user.id)
            if present is None or present.token_epoch != user.token_epoch:
                withhold()
                return False
            acting(user.id, user.username, user.domain_id, caller.session_id if caller is not None else "")
            about("user", user.id, user.username)
            users.set_password(tx, user.id, hashed, False, now)
            records.remove_of_user(tx, user.id)
            shared.bump_access_revision(tx)
            return True

        if not await self._store.write(change):
            raise Unauthenticated("WrongCredentials", message=_WRONG)
        await self._one_time.forget(user)

    async def _homes(self, where: Where) -> list[str]:
        """Where the user may live: the domain that was named, else the root domain, else the one he enters."""
        if where.auth_domain_path or where.auth_domain:
            text = last_of_path(where.auth_domain_path) if where.auth_domain_path else where.auth_domain
            home = await domains.by_id_or_name(self._store, text or "")
            return [] if home is None else [home.id]
        entered = await domains.by_id_or_name(self._store, where.domain) if where.domain else None
        return [ROOT_DOMAIN] if entered is None or entered.id == ROOT_DOMAIN else [ROOT_DOMAIN, entered.id]

    async def _proved(self, homes: list[str], username: str, password: Sensitive, address: str) -> tuple[User, str]:
        """The user whose password this is, and its hash. Raises Unauthenticated("WrongCredentials") otherwise.

        Every failure takes the same steps, whether the user exists, is locked out or is neither: the same reads, one
        comparison with a hash, one write.
        """
        async with self._turns.of((*homes, username_key(username))):
            self._attempts.check("", address)  # those before us in the line may have failed
            user: User | None = None
            for home in homes:
                user = user or await users.named(self._store, home, username)
            stored = await users.password_hash(self._store, user.id if user else "")
            is_locked = user is not None and self._clock.now() < user.locked_until
            is_right = await self._passwords.verify(None if is_locked else stored, password)
            if is_right and user is not None and stored is not None:
                return user, stored
            self._attempts.failed("", address)
            counted = None if user is None or is_locked else user.id
            now = self._clock.now()
            if user is not None:  # what was tried for a name that nobody has may be a password
                about("user", user.id, user.username)
                belongs_to(user.domain_id)
            with silently():
                await self._store.write(lambda tx: _count_failure(tx, counted, now))
        raise Unauthenticated("WrongCredentials", message=_WRONG)

    async def _granted(self, holder: Holder, user: User, line: Line | None, refresh_token: Sensitive | None) -> Granted:
        return Granted(
            jwt=await self._maker.issue(holder),
            client_id=holder.client_id,
            must_change_password=user.password_change_required,
            line=line,
            refresh_token=refresh_token,
        )


def holder_of(tx: Tx, user_id: str, domain_id: str, client_id: str, session_id: str) -> Holder | None:
    """The user as the holder of a token in a domain; None where he is gone or may not enter it."""
    user = users.get(tx, user_id)
    if user is None or domains.get(tx, domain_id) is None:
        return None
    own = groups.of_user(tx, domain_id, user_id)
    if user.domain_id != domain_id and not own:
        return None
    all_groups = own | groups.of_client(tx, domain_id, client_id)
    return Holder(user_id, user.username, domain_id, all_groups, client_id, session_id, user.token_epoch)


def _count_failure(tx: Tx, user_id: str | None, now: float) -> None:
    user = users.get(tx, user_id) if user_id is not None else None
    if user is None:
        users.count_refused(tx)
        return
    failures = user.failed_count + 1
    locked_s = locked_for(failures)
    users.set_failures(tx, user.id, failures, now + locked_s if locked_s else user.locked_until)


def _may_not_enter(domain: str | None) -> Unauthenticated:
    name = (domain or "root")[:64]
    return Unauthenticated("WrongCredentials", message=f"There is no domain {name!r} that this user may enter.")
