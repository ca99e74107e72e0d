"""Rows of protections, of requests for approval and of votes on them."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from claviger.cckm.approvals.rules import MOST_KEPT, Protection, State
from claviger.store.contract import Row, Store, Tx


class Vote(msgspec.Struct, frozen=True):
    """What one person says to a request."""

    user_id: str
    username: str
    agrees: bool
    reason: str
    voted_at: float


class Approval(msgspec.Struct, frozen=True):
    """A request for approval, with the votes on it. Times are epoch seconds."""

    id: str
    domain_id: str
    requester: str
    requester_name: str
    action: str
    method: str
    path: str
    digest: str
    version: str
    subject_kind: str
    subject_id: str
    subject_name: str
    container_id: str
    container_name: str
    words: str
    quorum: int
    state: State
    reason: str
    created_at: float
    updated_at: float
    lapses_at: float
    ended_at: float | None
    votes: tuple[Vote, ...] = ()


_COLUMNS = ", ".join(name for name in Approval.__struct_fields__ if name != "votes")
_COUNT = len(Approval.__struct_fields__) - 1
_SELECT = f"SELECT {_COLUMNS} FROM cckm_approvals"
_VOTE = "user_id, username, agrees, reason, voted_at"
_STATE_AT = Approval.__struct_fields__.index("state")


def _approval(row: Row, votes: Iterable[Vote] = ()) -> Approval:
    values = list(row)
    values[_STATE_AT] = State(values[_STATE_AT])
    return Approval(*values, tuple(votes))  # type: ignore[call-arg]  # as many as there are


def _vote(row: Row) -> Vote:
    return Vote(row[0], row[1], row[2] != 0, row[3], row[4])


# ---------------------------------------------------------------- protections


def protection(tx: Tx, container_id: str) -> Protection:
    """What is set on a container."""
    row = tx.fetch_one("SELECT protected, quorum FROM cckm_protections WHERE container_id = ?", container_id)
    return Protection() if row is None else Protection(row[0] != 0, row[1])


async def read_protection(store: Store, container_id: str) -> Protection:
    """The same outside of a change."""
    row = await store.read_one("SELECT protected, quorum FROM cckm_protections WHERE container_id = ?", container_id)
    return Protection() if row is None else Protection(row[0] != 0, row[1])


async def protections(store: Store, domain_id: str) -> dict[str, Protection]:
    """All that is set in a domain, by container."""
    rows = await store.read(
        "SELECT container_id, protected, quorum FROM cckm_protections WHERE domain_id = ?", domain_id
    )
    return {row[0]: Protection(row[1] != 0, row[2]) for row in rows}


def quorum_of(tx: Tx, domain_id: str, container_id: str, names: Iterable[str]) -> int | None:
    """How many must agree to what destroys something in a container: the most that is asked by any of its records."""
    rows = tx.fetch(
        "SELECT container_id, names, protected, quorum FROM cckm_protections WHERE domain_id = ?", domain_id
    )
    wanted = set(names)
    asked = [
        Protection(row[2] != 0, row[3]).in_force
        for row in rows
        if row[0] == container_id or not wanted.isdisjoint(str(row[1]).split())
    ]
    return max((quorum for quorum in asked if quorum is not None), default=None)


def put_protection(tx: Tx, domain_id: str, container_id: str, names: Iterable[str], kept: Protection) -> None:
    """Keeps what is set on a container; nothing set leaves no row."""
    remove_protection(tx, container_id)
    if kept != Protection():
        tx.execute(
            "INSERT INTO cckm_protections (container_id, domain_id, names, protected, quorum) VALUES (?, ?, ?, ?, ?)",
            container_id,
            domain_id,
            " ".join(sorted(set(names))),
            int(kept.protected),
            kept.quorum,
        )


def remove_protection(tx: Tx, container_id: str) -> None:
    """Forgets a container."""
    tx.execute("DELETE FROM cckm_protections WHERE container_id = ?", container_id)


# ---------------------------------------------------------------- requests


def add(tx: Tx, fresh: Approval) -> None:
    """Stores a request. The oldest that have ended make room."""
    values = [getattr(fresh, name) for name in Approval.__struct_fields__ if name != "votes"]
    values[_STATE_AT] = fresh.state.value
    tx.execute(f"INSERT INTO cckm_approvals ({_COLUMNS}) VALUES ({', '.join('?' * _COUNT)})", *values)
    row = tx.fetch_one("SELECT COUNT(*) FROM cckm_approvals WHERE domain_id = ?", fresh.domain_id)
    if row is not None and row[0] > MOST_KEPT:
        tx.execute(
            "DELETE FROM cckm_approvals WHERE num IN (SELECT num FROM cckm_approvals WHERE domain_id = ? AND "
            "(state <> 'open' OR lapses_at <= ?) ORDER BY num LIMIT ?)",
            fresh.domain_id,
            fresh.created_at,
            row[0] - MOST_KEPT,
        )


def open_of(tx: Tx, domain_id: str, requester: str, digest: str) -> Approval | None:
    """The request for this very call that stands open, lapsed or not."""
    row = tx.fetch_one(
        f"{_SELECT} WHERE domain_id = ? AND requester = ? AND digest = ? AND state = 'open'",
        domain_id,
        requester,
        digest,
    )
    return None if row is None else _approval(row, votes_on(tx, row[0]))


def count_open(tx: Tx, domain_id: str, requester: str, now: float) -> int:
    """How many requests of a user stand open."""
    row = tx.fetch_one(
        "SELECT COUNT(*) FROM cckm_approvals "
        "WHERE domain_id = ? AND requester = ? AND state = 'open' AND lapses_at > ?",
        domain_id,
        requester,
        now,
    )
    return int(row[0]) if row else 0


def load(tx: Tx, domain_id: str, ident: str) -> Approval | None:
    """A request of the domain within a change."""
    row = tx.fetch_one(f"{_SELECT} WHERE id = ? AND domain_id = ?", ident, domain_id)
    return None if row is None else _approval(row, votes_on(tx, ident))


def votes_on(tx: Tx, ident: str) -> list[Vote]:
    """The votes on a request, in their order."""
    rows = tx.fetch(f"SELECT {_VOTE} FROM cckm_approval_votes WHERE approval_id = ? ORDER BY voted_at, user_id", ident)
    return [_vote(row) for row in rows]


async def by_id(store: Store, domain_id: str, ident: str) -> Approval | None:
    """A request of the domain."""
    row = await store.read_one(f"{_SELECT} WHERE id = ? AND domain_id = ?", ident, domain_id)
    if row is None:
        return None
    rows = await store.read(
        f"SELECT {_VOTE} FROM cckm_approval_votes WHERE approval_id = ? ORDER BY voted_at, user_id", ident
    )
    return _approval(row, map(_vote, rows))


async def all_of(store: Store, domain_id: str) -> list[Approval]:
    """Every request of a domain, the oldest first."""
    votes: dict[str, list[Vote]] = {}
    columns = ", ".join(f"v.{name}" for name in _VOTE.split(", "))
    for row in await store.read(
        f"SELECT v.approval_id, {columns} FROM cckm_approval_votes v JOIN cckm_approvals a ON a.id = v.approval_id "
        "WHERE a.domain_id = ? ORDER BY v.voted_at, v.user_id",
        domain_id,
    ):
        votes.setdefault(row[0], []).append(_vote(row[1:]))
    rows = await store.read(f"{_SELECT} WHERE domain_id = ? ORDER BY num", domain_id)
    return [_approval(row, votes.get(row[0], ())) for row in rows]


def end(tx: Tx, ident: str, state: State, reason: str, now: float) -> bool:
    """Ends a request that stands open; whether it did."""
    return (
        tx.execute(
            "UPDATE cckm_approvals SET state = ?, reason = ?, updated_at = ?, ended_at = ? "
            "WHERE id = ? AND state = 'open'",
            state.value,
            reason,
            now,
            now,
            ident,
        )
        == 1
    )


def note_quorum(tx: Tx, ident: str, quorum: int, now: float) -> None:
    """Notes that another number of people has to agree by now."""
    tx.execute("UPDATE cckm_approvals SET quorum = ?, updated_at = ? WHERE id = ?", quorum, now, ident)


def put_vote(tx: Tx, ident: str, vote: Vote) -> None:
    """Keeps a person's vote, in place of the one before."""
    tx.execute("DELETE FROM cckm_approval_votes WHERE approval_id = ? AND user_id = ?", ident, vote.user_id)
    tx.execute(
        f"INSERT INTO cckm_approval_votes (approval_id, {_VOTE}) VALUES (?, ?, ?, ?, ?, ?)",
        ident,
        vote.user_id,
        vote.username,
        int(vote.agrees),
        vote.reason,
        vote.voted_at,
    )
    tx.execute("UPDATE cckm_approvals SET updated_at = ? WHERE id = ?", vote.voted_at, ident)
