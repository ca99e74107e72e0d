"""Sessions after the sign-in: listed by their refresh tokens, ended one by one, ended by logging out.

A caller sees and ends his own in the domain that he acts in; members of `admin` those of everybody there.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence

from claviger.audit.trail import about, withhold
from claviger.cckm import records as shared
from claviger.cckm.access import records as access
from claviger.cckm.access.sessions import records
from claviger.cckm.access.sessions.operations import REVOKED_FOR_S, SESSION
from claviger.cckm.access.sessions.records import Line
from claviger.cckm.access.sessions.rules import parts_of
from claviger.cckm.access.tokens import TokenReader
from claviger.cckm.calls import ADMINS, Caller
from claviger.core.clock import Clock
from claviger.core.errors import NotFound, Unauthenticated
from claviger.core.sensitive import Sensitive
from claviger.store.contract import Store, Tx


class Sessions:
    """Lists sessions and ends them. `clock` is the machine's."""

    def __init__(self, store: Store, reader: TokenReader, clock: Clock) -> None:
        self._store = store
        self._reader = reader
        self._clock = clock

    async def count(self, caller: Caller, user_id: str | None) -> int:
        """How many refresh tokens the caller may see, of one user or of all."""
        return await records.count(self._store, caller.domain_id, _visible(caller, user_id), self._clock.now())

    async def listed(
        self, caller: Caller, user_id: str | None, order: Sequence[tuple[str, bool]], skip: int, most: int
    ) -> list[Line]:
        """One page of them."""
        whose, now = _visible(caller, user_id), self._clock.now()
        return await records.listed(self._store, caller.domain_id, whose, now, order, skip, most)

    async def get(self, caller: Caller, ident: str) -> Line:
        """A refresh token by its id. Raises NotFound, also for another's where the caller is no admin."""
        line = await records.find(self._store, ident)
        if line is None or not _is_visible(caller, line) or self._clock.now() >= line.ends_at():
            raise _no_such_token()
        return line

    async def end(self, caller: Caller, ident: str) -> None:
        """Ends a session by the id of its refresh token, with its access tokens. Raises NotFound as `get` does."""
        now = self._clock.now()

        def change(tx: Tx) -> None:
            line = records.by_id(tx, ident)
            if line is None or not _is_visible(caller, line):
                raise _no_such_token()
            _end(tx, line.session_id, now)

        await self._store.write(change)

    async def log_out(self, caller: Caller) -> None:
        """Ends the session that the caller's own token is of."""
        now = self._clock.now()
        await self._store.write(lambda tx: _end(tx, caller.session_id, now))

    async def revoke_refresh_token(self, token: Sensitive) -> None:
        """Ends the session of a refresh token. Whoever has one may; what is no such token changes nothing."""
        parts = parts_of(token.reveal())
        if parts is None:
            return
        selector, presented = parts
        now = self._clock.now()

        def change(tx: Tx) -> None:
            line = records.by_selector(tx, selector)
            if line is not None and hmac.compare_digest(line.sha256, presented):
                _end(tx, line.session_id, now)
            else:
                withhold()

        await self._store.write(change)

    async def revoke_access_token(self, token: Sensitive) -> None:
        """Takes one access token back. What is no good token changes nothing (RFC 7009 §2.2)."""
        try:
            claims = self._reader.read(token.reveal())
        except Unauthenticated:
            return

        def change(tx: Tx) -> None:
            about("token", claims.jwtid)
            access.revoke(tx, [claims.jwtid], claims.exp + 1.0)
            shared.bump_access_revision(tx)

        await self._store.write(change)


def _end(tx: Tx, session_id: str, now: float) -> None:
    about(SESSION, session_id)
    records.remove_of_session(tx, session_id)
    access.forget_revoked(tx, now)
    access.revoke(tx, [session_id], now + REVOKED_FOR_S)
    shared.bump_access_revision(tx)


def _visible(caller: Caller, user_id: str | None) -> str | None:
    """Whose refresh tokens are listed: None for everybody's."""
    return user_id if caller.is_in(ADMINS) else caller.user_id


def _is_visible(caller: Caller, line: Line) -> bool:
    return line.domain_id == caller.domain_id and (line.user_id == caller.user_id or caller.is_in(ADMINS))


def _no_such_token() -> NotFound:
    return NotFound("NotFound", message="there is no such refresh token")
