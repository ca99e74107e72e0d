"""What a token's holder is and may do at this moment, tokens that were taken back, and rows of signing keys."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from claviger.store.contract import Store, Tx


class Standing(msgspec.Struct, frozen=True):
    """A user in a domain, as far as a token of his is concerned. `groups` are those of that domain."""

    username: str
    home_id: str
    must_change_password: bool
    token_epoch: int
    has_domain: bool
    is_revoked: bool
    groups: frozenset[str]
    own_groups: frozenset[str]


class SigningKeyRow(msgspec.Struct, frozen=True):
    """A key that signs tokens; the key itself is sealed."""

    kid: str
    state: str
    created_at: float
    lapses_at: float | None


_SIGNING_KEY = "kid, state, created_at, lapses_at"


async def standing(
    store: Store, user_id: str, domain_id: str, client_id: str, token_id: str, session_id: str
) -> Standing | None:
    """All that decides whether a token is still good, in one statement; None where the user is gone.

    `own_groups` are those of the user himself, `groups` with those of the client that he acts through.
    """
    rows = await store.read(
        "SELECT u.username, u.domain_id, u.password_change_required, u.token_epoch, "
        "(SELECT COUNT(*) FROM cckm_domains d WHERE d.id = ?), "
        "(SELECT COUNT(*) FROM cckm_revoked r WHERE r.token_id IN (?, ?, ?)), g.group_name, g.own "
        "FROM cckm_users u LEFT JOIN ("
        "SELECT group_name, 1 AS own FROM cckm_members WHERE user_id = ? AND domain_id = ? UNION ALL "
        "SELECT group_name, 0 AS own FROM cckm_client_members WHERE client_id = ? AND domain_id = ?"
        ") g ON 1 = 1 WHERE u.id = ?",
        domain_id,
        token_id,
        session_id,
        client_id,
        user_id,
        domain_id,
        client_id,
        domain_id,
        user_id,
    )
    if not rows:
        return None
    username, home_id, must_change, epoch, domain_count, revoked_count = rows[0][:6]
    own = frozenset(row[6] for row in rows if row[7] == 1)
    return Standing(
        username=username,
        home_id=home_id,
        must_change_password=bool(must_change),
        token_epoch=int(epoch),
        has_domain=bool(domain_count),
        is_revoked=bool(revoked_count),
        groups=own | frozenset(row[6] for row in rows if row[7] == 0),
        own_groups=own,
    )


def revoke(tx: Tx, ids: Iterable[str], until: float) -> None:
    """Takes access tokens back, by the id of the token, its session or its client. `until` is when all have expired."""
    for each in ids:
        tx.execute(
            "INSERT INTO cckm_revoked (token_id, expires_at) VALUES (?, ?) "
            "ON CONFLICT (token_id) DO UPDATE SET expires_at = excluded.expires_at",
            each,
            until,
        )


def forget_revoked(tx: Tx, now: float) -> None:
    """Removes what would have expired by itself."""
    tx.execute("DELETE FROM cckm_revoked WHERE expires_at <= ?", now)


async def signing_keys(store: Store) -> list[SigningKeyRow]:
    """Every signing key, newest first."""
    rows = await store.read(f"SELECT {_SIGNING_KEY} FROM cckm_signing_keys ORDER BY created_at DESC, kid")
    return [SigningKeyRow(*row) for row in rows]


def current_signing_key(tx: Tx) -> str | None:
    """The id of the key that signs."""
    row = tx.fetch_one("SELECT kid FROM cckm_signing_keys WHERE state = 'current'")
    return None if row is None else str(row[0])


def step_down_signing_key(tx: Tx, lapses_at: float) -> None:
    """The current key only verifies from now on, until `lapses_at`."""
    tx.execute("UPDATE cckm_signing_keys SET state = 'previous', lapses_at = ? WHERE state = 'current'", lapses_at)


def lapsed_signing_keys(tx: Tx, now: float) -> list[str]:
    """Ids of keys whose last token has expired."""
    rows = tx.fetch("SELECT kid FROM cckm_signing_keys WHERE lapses_at IS NOT NULL AND lapses_at <= ?", now)
    return [row[0] for row in rows]


def remove_signing_key(tx: Tx, kid: str) -> None:
    """Removes a key's row."""
    tx.execute("DELETE FROM cckm_signing_keys WHERE kid = ?", kid)


def add_signing_key(tx: Tx, kid: str, now: float) -> None:
    """Stores a key as the current one."""
    tx.execute(
        "INSERT INTO cckm_signing_keys (kid, state, created_at, lapses_at) VALUES (?, 'current', ?, NULL)", kid, now
    )
