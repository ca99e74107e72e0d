"""What calls with a retry token were answered, as rows that live for a day."""

from __future__ import annotations

import msgspec

from claviger.store.contract import Tx


class Kept(msgspec.Struct, frozen=True):
    """One answer. `subject` is the OCID that it is about, in `compartment_id` at that time."""

    request_hash: str
    subject: str
    compartment_id: str
    status: int
    body: bytes
    etag: str


def find(tx: Tx, user_id: str, token: str, now: float) -> Kept | None:
    """The answer that this user's token was used for and that has not expired."""
    row = tx.fetch_one(
        "SELECT request_hash, subject, compartment_id, status, body, etag FROM oci_retry_tokens"
        " WHERE user_id = ? AND token = ? AND expires_at > ?",
        user_id,
        token,
        now,
    )
    return None if row is None else Kept(*row)


def keep(tx: Tx, user_id: str, token: str, kept: Kept, expires_at: float) -> None:
    """Keeps an answer, in the place of one that has expired."""
    tx.execute("DELETE FROM oci_retry_tokens WHERE user_id = ? AND token = ?", user_id, token)
    tx.execute(
        "INSERT INTO oci_retry_tokens"
        " (user_id, token, request_hash, subject, compartment_id, status, body, etag, expires_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        user_id,
        token,
        kept.request_hash,
        kept.subject,
        kept.compartment_id,
        kept.status,
        kept.body,
        kept.etag,
        expires_at,
    )


def expire(tx: Tx, now: float, limit: int) -> int:
    """Removes answers that have expired, `limit` at most; how many."""
    return tx.execute(
        "DELETE FROM oci_retry_tokens WHERE (user_id, token) IN"
        " (SELECT user_id, token FROM oci_retry_tokens WHERE expires_at <= ? LIMIT ?)",
        now,
        limit,
    )
