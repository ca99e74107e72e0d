"""Rows of users: what is known of each, his password's hash, his failures to sign in, and who is seen where."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from claviger.cckm.access.users.rules import username_key
from claviger.cckm.calls import ADMINS, ROOT_DOMAIN
from claviger.store.contract import Store, Tx, Value


class UserDetails(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is kept of a user as JSON."""

    nickname: str = ""
    prevent_ui_login: bool = False
    app_metadata: dict[str, Any] = {}
    user_metadata: dict[str, Any] = {}


class User(msgspec.Struct, frozen=True):
    """A user, without his password's hash. `domain_id` is his home."""

    id: str
    domain_id: str
    username: str
    name: str
    email: str
    password_change_required: bool
    password_changed_at: float
    token_epoch: int
    failed_count: int
    locked_until: float
    last_login: float | None
    details: UserDetails
    created_at: float
    updated_at: float


class Search(msgspec.Struct, frozen=True):
    """Which users of a domain are asked for. Every list holds patterns of which one has to match; `*` is anything."""

    patterns: Mapping[str, Sequence[str]] = {}
    ids: Sequence[str] = ()
    groups: Sequence[str] = ()
    not_groups: Sequence[str] = ()
    must_change: bool | None = None


_NAMES = (
    "id, domain_id, username, name, email, password_change_required, password_changed_at, token_epoch, failed_count, "
    "locked_until, last_login, details, created_at, updated_at"
)
_SEEN_HERE = "(u.domain_id = ? OR EXISTS (SELECT 1 FROM cckm_members m WHERE m.user_id = u.id AND m.domain_id = ?))"
_IN_GROUP = (
    "EXISTS (SELECT 1 FROM cckm_members m WHERE m.user_id = u.id AND m.domain_id = ? AND m.group_name IN ({marks}))"
)
SEARCHED = {"username": "u.username_key", "name": "lower(u.name)", "email": "lower(u.email)"}
SORTED = {
    "id": "u.id",
    "user_id": "u.id",
    "username": "u.username_key",
    "name": "u.name",
    "email": "u.email",
    "created_at": "u.created_at",
    "createdAt": "u.created_at",
    "updated_at": "u.updated_at",
    "updatedAt": "u.updated_at",
    "last_login": "COALESCE(u.last_login, 0)",
}
_details = msgspec.json.Decoder(UserDetails)


def _user(row: Sequence[Any]) -> User:
    user_id, home, username, name, email, must_change, changed_at, epoch, *rest = row
    failed, locked, last, details, created_at, updated_at = rest
    return User(
        id=user_id,
        domain_id=home,
        username=username,
        name=name,
        email=email,
        password_change_required=bool(must_change),
        password_changed_at=changed_at,
        token_epoch=epoch,
        failed_count=failed,
        locked_until=locked,
        last_login=last,
        details=_details.decode(details),
        created_at=created_at,
        updated_at=updated_at,
    )


def _listed(names: str = _NAMES) -> str:
    return ", ".join(f"u.{name.strip()}" for name in names.split(","))


async def seen_in(store: Store, domain_id: str, user_id: str) -> User | None:
    """The user, if he lives in the domain or is in a group of it."""
    row = await store.read_one(
        f"SELECT {_listed()} FROM cckm_users u WHERE u.id = ? AND {_SEEN_HERE}", user_id, domain_id, domain_id
    )
    return None if row is None else _user(row)


def seen_in_tx(tx: Tx, domain_id: str, user_id: str) -> User | None:
    """As `seen_in`, within a change."""
    row = tx.fetch_one(
        f"SELECT {_listed()} FROM cckm_users u WHERE u.id = ? AND {_SEEN_HERE}", user_id, domain_id, domain_id
    )
    return None if row is None else _user(row)


def reachable_in(tx: Tx, domain_id: str, user_id: str) -> User | None:
    """The user, if a domain's groups and ACLs may name him: he lives there or in the root domain, or is in a group."""
    found = get(tx, user_id)
    if found is None or found.domain_id in (domain_id, ROOT_DOMAIN):
        return found
    return seen_in_tx(tx, domain_id, user_id)


def get(tx: Tx, user_id: str) -> User | None:
    """The user of this id, wherever he lives."""
    row = tx.fetch_one(f"SELECT {_NAMES} FROM cckm_users WHERE id = ?", user_id)
    return None if row is None else _user(row)


async def find(store: Store, user_id: str) -> User | None:
    """The user of this id, wherever he lives."""
    row = await store.read_one(f"SELECT {_NAMES} FROM cckm_users WHERE id = ?", user_id)
    return None if row is None else _user(row)


async def named(store: Store, domain_id: str, username: str) -> User | None:
    """The user of this name who lives in the domain, in any case."""
    row = await store.read_one(
        f"SELECT {_NAMES} FROM cckm_users WHERE domain_id = ? AND username_key = ?", domain_id, username_key(username)
    )
    return None if row is None else _user(row)


def named_in_tx(tx: Tx, domain_id: str, username: str) -> User | None:
    """As `named`, within a change."""
    row = tx.fetch_one(
        f"SELECT {_NAMES} FROM cckm_users WHERE domain_id = ? AND username_key = ?", domain_id, username_key(username)
    )
    return None if row is None else _user(row)


async def password_hash(store: Store, user_id: str) -> str | None:
    """The hash of a user's password."""
    row = await store.read_one("SELECT password_hash FROM cckm_users WHERE id = ?", user_id)
    return None if row is None else str(row[0])


def add(tx: Tx, user: User, password_hash: str) -> None:
    """Stores a new user."""
    tx.execute(
        f"INSERT INTO cckm_users ({_NAMES}, username_key, password_hash) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        user.id,
        user.domain_id,
        user.username,
        user.name,
        user.email,
        int(user.password_change_required),
        user.password_changed_at,
        user.token_epoch,
        user.failed_count,
        user.locked_until,
        user.last_login,
        msgspec.json.encode(user.details).decode(),
        user.created_at,
        user.updated_at,
        username_key(user.username),
        password_hash,
    )


def replace(tx: Tx, user: User) -> None:
    """Stores what has changed of a user, but for his password and his failures to sign in."""
    tx.execute(
        "UPDATE cckm_users SET username = ?, username_key = ?, name = ?, email = ?, password_change_required = ?, "
        "details = ?, updated_at = ? WHERE id = ?",
        user.username,
        username_key(user.username),
        user.name,
        user.email,
        int(user.password_change_required),
        msgspec.json.encode(user.details).decode(),
        user.updated_at,
        user.id,
    )


def set_password(tx: Tx, user_id: str, password_hash: str, must_change: bool, now: float) -> None:
    """Gives a user another password: his tokens of before are void, and he is no longer locked out."""
    tx.execute(
        "UPDATE cckm_users SET password_hash = ?, password_change_required = ?, password_changed_at = ?, "
        "token_epoch = token_epoch + 1, failed_count = 0, locked_until = 0, updated_at = ? WHERE id = ?",
        password_hash,
        int(must_change),
        now,
        now,
        user_id,
    )


def set_failures(tx: Tx, user_id: str, count: int, locked_until: float) -> None:
    """Notes how often in a row a user has failed to sign in, and until when he is locked out."""
    tx.execute("UPDATE cckm_users SET failed_count = ?, locked_until = ? WHERE id = ?", count, locked_until, user_id)


def count_refused(tx: Tx) -> None:
    """Counts a refused sign-in of nobody: a write for a write, or its time would tell that there is no such user."""
    tx.execute("UPDATE meta SET value = CAST(CAST(value AS INTEGER) + 1 AS TEXT) WHERE key = 'cckm_refused_sign_ins'")


def signed_in(tx: Tx, user_id: str, now: float, new_hash: str | None) -> None:
    """Notes a sign-in, which ends the count of failures; `new_hash` replaces a hash of outdated parameters."""
    tx.execute(
        "UPDATE cckm_users SET last_login = ?, failed_count = 0, locked_until = 0, "
        "password_hash = COALESCE(?, password_hash) WHERE id = ?",
        now,
        new_hash,
        user_id,
    )


def remove(tx: Tx, user_id: str) -> None:
    """Removes a user, and with him his memberships, refresh tokens and clients."""
    tx.execute("DELETE FROM cckm_users WHERE id = ?", user_id)


def is_admin_somewhere(tx: Tx, user_id: str) -> bool:
    """Whether a user is in the group `admin` of any domain."""
    row = tx.fetch_one("SELECT 1 FROM cckm_members WHERE user_id = ? AND group_name = ?", user_id, ADMINS)
    return row is not None


async def count(store: Store, domain_id: str, search: Search) -> int:
    """How many users that are seen in a domain match."""
    where, args = _where(domain_id, search)
    row = await store.read_one(f"SELECT COUNT(*) FROM cckm_users u WHERE {where}", *args)
    return int(row[0]) if row else 0


async def listed(
    store: Store, domain_id: str, search: Search, order: Sequence[tuple[str, bool]], skip: int, most: int
) -> list[User]:
    """One page of the users that are seen in a domain and match. `order` names keys of `SORTED`, true descends."""
    where, args = _where(domain_id, search)
    by = ", ".join(f"{SORTED[name]}{' DESC' if descends else ''}" for name, descends in order)
    rows = await store.read(
        f"SELECT {_listed()} FROM cckm_users u WHERE {where} ORDER BY {by}, u.id LIMIT ? OFFSET ?", *args, most, skip
    )
    return [_user(row) for row in rows]


def _where(domain_id: str, search: Search) -> tuple[str, list[Value]]:
    parts = [_SEEN_HERE]
    args: list[Value] = [domain_id, domain_id]
    for field, words in search.patterns.items():
        keys = [username_key(word) if field == "username" else _lower(word) for word in words]
        parts.append("(" + " OR ".join(f"{SEARCHED[field]} LIKE ? ESCAPE '\\'" for _ in keys) + ")")
        args += [_like(key) for key in keys]
    if search.ids:
        parts.append(f"u.id IN ({_marks(search.ids)})")
        args += search.ids
    for names, negated in ((search.groups, ""), (search.not_groups, "NOT ")):
        if names:
            parts.append(negated + _IN_GROUP.format(marks=_marks(names)))
            args += [domain_id, *names]
    if search.must_change is not None:
        parts.append("u.password_change_required = ?")
        args.append(int(search.must_change))
    return " AND ".join(parts), args


def _marks(items: Sequence[object]) -> str:
    return ", ".join("?" for _ in items)


def _lower(text: str) -> str:
    """As both databases do it: ASCII alone."""
    return "".join(letter.lower() if letter.isascii() else letter for letter in text)


def _like(pattern: str) -> str:
    """`*` for anything, all else as it is."""
    for special in ("\\", "%", "_"):
        pattern = pattern.replace(special, "\\" + special)
    return pattern.replace("*", "%")
