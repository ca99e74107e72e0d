"""What every change has in common: one transaction, its retry token honoured, its etag compared (OCI contract §2).

An operation gives a function of the transaction that loads, decides and writes, and answers what it has done.
`once` puts the retry token around it: the same call again is answered from what was kept, in the same transaction, and
not done again. So two calls that run into each other cannot both act.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256

import msgspec

from claviger.audit.trail import withhold
from claviger.core.errors import Conflict
from claviger.lifecycle.retention import DAY_S
from claviger.ocikms.calls import Answer, Call
from claviger.ocikms.errors import wrong
from claviger.ocikms.retries import records
from claviger.ocikms.retries.records import Kept
from claviger.store.contract import Tx

MAX_TOKEN_LENGTH = 64
GZIP = "--gzip"

Change = Callable[[Tx], Answer]
Standing = Callable[[Tx, str], str | None]
"""The compartment that the thing of an OCID is in; None where it is gone for good (deleted, or no longer there)."""


def once(call: Call, change: Change, standing: Standing) -> Change:
    """`change` as it is, or, where the call has a retry token, at most once for it.

    The change raises Conflict("RetryToken") where the token was used for another request, or the thing that it was
    used for has moved or is gone. Raises Invalid for a token that is too long.
    """
    token = call.retry_token
    if not token or not call.route.takes_retry_token:
        return change
    if len(token) > MAX_TOKEN_LENGTH or "\0" in token:
        raise wrong("opc-retry-token", f"must have {MAX_TOKEN_LENGTH} characters at most")
    request_hash, user_id = _hash_of(call), call.caller.user_id

    def changed_once(tx: Tx) -> Answer:
        kept = records.find(tx, user_id, token, call.now)
        if kept is not None:
            return _again(tx, kept, request_hash, standing)
        answer = change(tx)
        body = b"" if answer.body is None else msgspec.json.encode(answer.body)
        made = Kept(request_hash, answer.subject, answer.compartment_id, answer.status, body, answer.etag or "")
        records.keep(tx, user_id, token, made, call.now + DAY_S)
        return answer

    return changed_once


def _again(tx: Tx, kept: Kept, request_hash: str, standing: Standing) -> Answer:
    if kept.request_hash != request_hash:
        raise Conflict("RetryToken", message="The retry token was used for another request.")
    if standing(tx, kept.subject) != kept.compartment_id:
        raise Conflict("RetryToken", message="The retry token was used, and its resource was moved or deleted since.")
    withhold()  # nothing is done that the log does not have already
    body = msgspec.Raw(kept.body) if kept.body else None
    return Answer(body=body, etag=kept.etag or None, status=kept.status)


def _hash_of(call: Call) -> str:
    asked = [call.route.operation, call.place.region, call.place.prefix, sorted(call.path.items())]
    head = msgspec.json.encode([*asked, sorted(call.query.items())])
    return sha256(sha256(head).digest() + sha256(call.body).digest()).hexdigest()


def check_etag(call: Call, current: str) -> None:
    """Raises Conflict("Etag") where the call was meant for another state of the thing (§2)."""
    if call.if_match is None or not call.route.takes_if_match:
        return
    given = call.if_match.strip().strip('"').removesuffix(GZIP)
    if given not in ("*", current):
        raise Conflict("Etag", message="The etag does not match: the resource was changed since it was read.")
