"""Every refusal of the embedded OCI as its wire tells it: status and code (OCI contract §14), in one table by reason.

A rule or an operation raises the class of refusal with one of the reasons below and the sentence that the caller reads
in `message` (no secret value, no stop at the end is needed). What has no line of its own goes by its class.
"""

from __future__ import annotations

import msgspec

from claviger.core.errors import (
    Busy,
    Conflict,
    Damaged,
    Forbidden,
    Invalid,
    NotFound,
    Refusal,
    Throttled,
    TooLarge,
    Unauthenticated,
    Unavailable,
)

NOT_AUTHENTICATED = "The required information to complete authentication was not provided or was incorrect."
HIDDEN = "Authorization failed or requested resource not found."
"""What is said of what is not there and of what the caller may not see: the two must not be told apart."""

CODES: dict[str, tuple[int, str]] = {
    "NotJson": (400, "CannotParseRequest"),
    "Missing": (400, "InvalidParameter"),
    "Value": (400, "InvalidParameter"),
    "LimitExceeded": (400, "LimitExceeded"),
    "RelatedAbsent": (400, "RelatedResourceNotAuthorizedOrNotFound"),
    "NotAllowed": (403, "NotAllowed"),
    "Absent": (404, "NotAuthorizedOrNotFound"),
    "NoOperation": (404, "NotFound"),
    "MalformedPath": (404, "InvalidParameter"),
    "Method": (405, "MethodNotAllowed"),
    "WrongState": (409, "IncorrectState"),  # or Conflict: which of the two the real service says was not observed
    "RetryToken": (409, "InvalidatedRetryToken"),
    "Exists": (409, "NotAuthorizedOrResourceAlreadyExists"),
    "Etag": (412, "NoEtagMatch"),
    "NotOffered": (501, "MethodNotImplemented"),
    # Object Storage has names of its own.
    "BucketName": (400, "InvalidBucketName"),
    "ContentMd5": (400, "UnmatchedContentMD5"),
    "NamespaceAbsent": (404, "NamespaceNotFound"),
    "BucketAbsent": (404, "BucketNotFound"),
    "ObjectAbsent": (404, "ObjectNotFound"),
    "BucketExists": (409, "BucketAlreadyExists"),
    "BucketNotEmpty": (409, "BucketNotEmpty"),
    "IfMatch": (412, "IfMatchFailed"),
    "IfNoneMatch": (412, "IfNoneMatchFailed"),
}
"""Reason -> status and code. A reason that is not here goes by its class, in `_BY_CLASS`."""

_BY_CLASS: tuple[tuple[type[Refusal], int, str, str], ...] = (
    (Unauthenticated, 401, "NotAuthenticated", NOT_AUTHENTICATED),
    (TooLarge, 413, "PayloadTooLarge", "The body of the request is too large."),
    (Invalid, 400, "InvalidParameter", "The request has a value that cannot be used."),
    (Forbidden, 403, "NotAllowed", "This is not allowed."),
    (NotFound, 404, "NotAuthorizedOrNotFound", HIDDEN),
    (Conflict, 409, "Conflict", "The request conflicts with another one; try again."),
    (Throttled, 429, "TooManyRequests", "Too many requests for this tenancy; try again later."),
    (Busy, 503, "ServiceUnavailable", "The service is busy; try again later."),
    (Unavailable, 503, "ServiceUnavailable", "The service is not available; try again later."),
    (Damaged, 500, "InternalServerError", "Stored data does not open; see the server's log."),
)


class ErrorBody(msgspec.Struct):
    """What every refusal carries (contract §14.1)."""

    code: str
    message: str


def told(refusal: Refusal) -> tuple[int, str, str]:
    """Status, code and message of a refusal."""
    message = refusal.facts.get("message")
    status, code, default = _by_class(refusal)
    if refusal.reason in CODES and not isinstance(refusal, Unauthenticated):
        status, code = CODES[refusal.reason]
    if refusal.reason.startswith("Fault") and refusal.reason[5:].isdigit():  # a switch names the status
        status = int(refusal.reason[5:])
        code = _FAULTS.get(status, "InternalServerError")
    if isinstance(refusal, Unauthenticated) or message is None:
        return status, code, default
    return status, code, str(message)


_FAULTS = {408: "RequestTimeout", 429: "TooManyRequests", 500: "InternalServerError", 503: "ServiceUnavailable"}


def _by_class(refusal: Refusal) -> tuple[int, str, str]:
    for kind, status, code, message in _BY_CLASS:
        if isinstance(refusal, kind):
            return status, code, message
    return 500, "InternalServerError", "The server failed to answer."


def body_of(refusal: Refusal) -> tuple[int, bytes]:
    """Status and JSON body of a refusal."""
    status, code, message = told(refusal)
    return status, msgspec.json.encode(ErrorBody(code, message))


def absent(what: str) -> NotFound:
    """What a caller is told of a thing (`Key`, `Vault`) that is not there or not his to see (contract §14.2)."""
    return NotFound("Absent", message=f"{what} does not exist or you are not authorized to access it.")


def wrong(name: str, problem: str) -> Invalid:
    """A field or parameter with a value that cannot be used."""
    return Invalid("Value", message=f"{name} {problem}")


def missing(name: str) -> Invalid:
    """A required field or parameter that is absent or null (contract §3)."""
    return Invalid("Missing", message=f"{name} may not be null")


def related_absent(what: str) -> Invalid:
    """A compartment, key or vault that a body names and that is not there or not the caller's to use."""
    return Invalid("RelatedAbsent", message=f"{what} does not exist or you are not authorized to use it.")


def wrong_state(what: str, ident: str, state: str) -> Conflict:
    """A thing that is in a state that does not allow the call (contract §8.5)."""
    return Conflict("WrongState", message=f"{what} {ident} is in state {state}, which does not allow this operation.")


_FAILURES = {
    404: "NotFound",
    405: "MethodNotAllowed",
    408: "RequestTimeout",
    413: "PayloadTooLarge",
    431: "RequestHeaderFieldsTooLarge",
    503: "ServiceUnavailable",
}


def failure(status: int, message: str) -> bytes:
    """The body of what is answered before the funnel, or when it has failed."""
    code = _FAILURES.get(status, "InvalidParameter" if status < 500 else "InternalServerError")
    return msgspec.json.encode(ErrorBody(code, message))
