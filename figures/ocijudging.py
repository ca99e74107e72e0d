"""What an answer of the embedded OCI must be, whatever was asked. Pure, and written from the contract (§2, §13.2, §14).

An error has code and message and nothing else, the code is one that belongs to its status, it tells nothing of the
program's inside, and the request's id is there and never comes twice. A 5xx is right only where something is not
offered at all: 501.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from figures.answers import Answer
from figures.judging import INSIDE, JSON_TYPE, OF_THE_FRONT, Finding, Judge

NOT_AUTHENTICATED = "The required information to complete authentication was not provided or was incorrect."
CODES: Mapping[int, frozenset[str]] = {
    400: frozenset(
        {
            *("CannotParseRequest", "InvalidParameter", "MissingParameter", "LimitExceeded", "QuotaExceeded"),
            *("RelatedResourceNotAuthorizedOrNotFound", "InvalidBucketName", "UnmatchedContentMD5"),
        }
    ),
    401: frozenset({"NotAuthenticated"}),
    403: frozenset({"NotAuthorized", "NotAllowed"}),
    404: frozenset(
        {
            *("NotAuthorizedOrNotFound", "NotFound", "InvalidParameter"),
            *("BucketNotFound", "ObjectNotFound", "NamespaceNotFound"),
        }
    ),
    405: frozenset({"MethodNotAllowed"}),
    408: frozenset({"RequestTimeout"}),
    409: frozenset(
        {
            *("IncorrectState", "Conflict", "InvalidatedRetryToken", "NotAuthorizedOrResourceAlreadyExists"),
            *("BucketAlreadyExists", "BucketNotEmpty"),
        }
    ),
    412: frozenset({"NoEtagMatch", "IfMatchFailed", "IfNoneMatchFailed"}),
    413: frozenset({"PayloadTooLarge", "InvalidParameter"}),
    414: frozenset({"InvalidParameter"}),
    431: frozenset({"RequestHeaderFieldsTooLarge", "InvalidParameter"}),
    501: frozenset({"MethodNotImplemented"}),
}
"""Status -> its codes (§14.2); those of Object Storage beside them."""
_NOT_OFFERED = (b"updateRegisteredVaultForMtls", b"/20160918/", b"rotationConfig", b"replicationConfig", b"SSH_KEY")
"""What a request has that may be answered 501."""
_ID = r"[0-9A-Za-z._/-]{1,128}"
_PLAIN_ID = re.compile(_ID)
_LONG_ID = re.compile(_ID + r"/[0-9A-F]{32}/[0-9A-F]{32}")
_ETAG = re.compile(r"[0-9a-f]{40}")
_ONE = re.compile(r"/20180608/(?:vaults|keys|secrets)/[^/]+(?:/keyVersions/[^/]+)?")


@dataclass(frozen=True)
class OciAsked:
    """What of a request decides what its answer must be. `request_id` is the client's own, if there is one."""

    method: str
    target: str
    raw: bytes
    plane: str
    request_id: str | None = None
    must_refuse: bool = False
    is_ours: bool = True


class OciJudge:
    """Remembers request ids, which must never come twice."""

    def __init__(self) -> None:
        self._ids: set[str] = set()
        self._others = Judge()

    def of(self, answer: Answer, asked: OciAsked) -> list[Finding]:
        """What is wrong with an answer to a request."""
        found: list[Finding] = []
        if asked.must_refuse and answer.status < 400:
            found.append(("let through", f"{answer.status} to a signature that does not hold"))
        ident = answer.headers.get("opc-request-id")
        if ident is None:
            if asked.is_ours and answer.status not in OF_THE_FRONT:
                found.append(("header", f"opc-request-id is missing in a {answer.status}"))
            return found + self._of_others(answer)
        found += self._id(ident, asked)
        if answer.status >= 500 and not (answer.status == 501 and any(word in asked.raw for word in _NOT_OFFERED)):
            found.append(("5xx", f"{answer.status} {answer.body[:300]!r}"))
        if answer.status >= 400:
            return found + _error(answer, asked.method)
        return found + _success(answer, asked)

    def of_bytes(self, answer: Answer) -> list[Finding]:
        """What is wrong with an answer to bytes of which nobody knows what they are."""
        if "opc-request-id" not in answer.headers:
            return self._of_others(answer)
        found: list[Finding] = (
            [("5xx", f"{answer.body[:300]!r}")] if answer.status >= 500 and answer.status != 501 else []
        )
        return found + (_error(answer, "GET" if answer.body else "HEAD") if answer.status >= 400 else [])

    def _of_others(self, answer: Answer) -> list[Finding]:
        """Whoever answers does it in one of the shapes of this server."""
        if answer.status >= 400 and answer.headers.get("content-type") == "application/json":
            return _error(answer, "GET" if answer.body else "HEAD")
        return self._others.of_bytes(answer)

    def _id(self, ident: str, asked: OciAsked) -> list[Finding]:
        found: list[Finding] = []
        is_long = _LONG_ID.fullmatch(ident) is not None
        if not is_long and not (asked.plane == "crypto" and _PLAIN_ID.fullmatch(ident)):
            found.append(("header", f"opc-request-id is {ident!r}"))
        given = asked.request_id
        if given is not None and _PLAIN_ID.fullmatch(given) and not ident.startswith(given) and asked.is_ours:
            found.append(("header", f"opc-request-id {given!r} came back as {ident!r}"))
        if is_long and ident in self._ids:
            found.append(("header", "the same opc-request-id twice"))
        self._ids.add(ident)
        return found


def _error(answer: Answer, method: str) -> list[Finding]:
    if method == "HEAD":
        return [("error shape", "a body to HEAD")] if answer.body else []
    media = answer.headers.get("content-type", "")
    if media != "application/json" and not (answer.status in OF_THE_FRONT and media == JSON_TYPE):
        return [("content type", f"{media!r} in a {answer.status}")]
    try:
        told = answer.json()
    except ValueError as problem:
        return [("error shape", f"{problem}: {answer.body[:300]!r}")]
    if not is_oci_error(told):
        return [("error shape", f"{answer.status} {answer.body[:300]!r}")]
    found: list[Finding] = []
    if told["code"] not in CODES.get(answer.status, ()):
        found.append(("error shape", f"{told['code']} does not belong to {answer.status}"))
    if answer.status == 401 and told["message"] != NOT_AUTHENTICATED:
        found.append(("error shape", f"a 401 that says {told['message']!r}"))
    if INSIDE.search(answer.body.decode("utf-8", "replace")):
        found.append(("error shape", f"tells of the inside: {answer.body[:300]!r}"))
    return found


def _success(answer: Answer, asked: OciAsked) -> list[Finding]:
    if answer.status not in (200, 204):
        return [("undocumented", f"status {answer.status}")]
    found: list[Finding] = []
    if answer.headers.get("cache-control") != "no-cache, no-store, no-transform, must-revalidate":
        found.append(("header", f"cache-control is {answer.headers.get('cache-control')!r}"))
    is_file = "/o/" in asked.target  # an object has the type that it was given
    if answer.headers.get("content-type") == "application/json" and asked.method != "HEAD" and not is_file:
        try:
            answer.json()
        except ValueError as problem:
            found.append(("error shape", f"{problem}: {answer.body[:300]!r}"))
    etag = answer.headers.get("etag", "")
    if _ONE.fullmatch(asked.target.partition("?")[0]) is not None and _ETAG.fullmatch(etag) is None:
        found.append(("header", f"etag is {etag!r}"))
    return found


def is_oci_error(told: Any) -> bool:
    """`{"code","message"}`, both with something in them (§14.1)."""
    return (
        isinstance(told, dict)
        and told.keys() == {"code", "message"}
        and all(isinstance(value, str) and value for value in told.values())
    )
