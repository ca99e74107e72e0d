"""Refusals in the control plane's own shape: status, code, codeDesc, message, requestID (CCKM contract §3).

The class of a refusal decides, unless its reason is in the table below. Numbers that the contract marks as not seen
stand here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Mapping

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


class ErrorBody(msgspec.Struct, frozen=True, rename={"code_desc": "codeDesc", "request_id": "requestID"}):
    """The body of every refusal."""

    code: int
    code_desc: str
    message: str
    request_id: str


class Kind(msgspec.Struct, frozen=True):
    """A row of the table: HTTP status, product number, its constant text, and the message where a refusal has none."""

    status: int
    code: int
    code_desc: str
    message: str


_BAD = Kind(400, 15, "NCERRBadRequest: Bad HTTP request", "The request is not valid")
_NO_TOKEN = Kind(401, 1, "NCERRUnauthorized: Unauthorized", "A bearer token is needed")
_FORBIDDEN = Kind(403, 6, "NCERRForbidden: Forbidden", "You may not do this")
_MISSING = Kind(404, 16, "NCERRResourceNotFound: Resource not found", "There is no such resource")
_CONFLICT = Kind(409, 10, "NCERRConflict: Conflict", "The present state does not allow this")
_THROTTLED = Kind(429, 17, "NCERRTooManyRequests: Too many requests", "Too many requests; try again later")
_BUSY = Kind(503, 18, "NCERRServiceUnavailable: Service unavailable", "The server is busy; try again")
_FAILED = Kind(500, 14, "NCERRInternalServerError: unexpected error", "The server failed to answer")

_BY_CLASS: Mapping[type[Refusal], Kind] = {
    Invalid: _BAD,
    TooLarge: Kind(413, 15, "NCERRBadRequest: Bad HTTP request", "The body is too large"),
    Unauthenticated: _NO_TOKEN,
    Forbidden: _FORBIDDEN,
    NotFound: _MISSING,
    Conflict: _CONFLICT,
    Throttled: _THROTTLED,
    Busy: _BUSY,
    Unavailable: _BUSY,
    Damaged: _FAILED,
}

_BY_REASON: Mapping[str, Kind] = {
    "WrongCredentials": Kind(401, 5, "NCERRUnauthorizedAccess: Unauthorized access", "Wrong username or password."),
    "InvalidParam": Kind(400, 9, "NCERRInvalidParamValue: Invalid parameter value", "A value is not valid"),
    "StateForbids": Kind(400, 15, "NCERRBadRequest: Bad HTTP request", "The present state does not allow this"),
    "NotBuilt": Kind(501, 19, "NCERRNotImplemented: Not implemented", "This server does not have this function"),
    "MethodNotAllowed": Kind(405, 15, "NCERRBadRequest: Bad HTTP request", "This method is not allowed here"),
    # The cloud's refusals: its words, and never a 401, which would tell the client that its own token is bad.
    "CloudRefused": Kind(403, 6, "NCERRForbidden: Forbidden", "The cloud refused"),
    "CloudHidden": Kind(403, 6, "NCERRForbidden: Forbidden", "The cloud refused"),
    "CloudInvalid": Kind(400, 15, "NCERRBadRequest: Bad HTTP request", "The cloud refused"),
    "CloudUnreachable": Kind(502, 20, "NCERRBadGateway: The cloud cannot be reached", "The cloud cannot be reached"),
    "CloudUndecided": Kind(
        504, 21, "NCERRGatewayTimeout: The cloud did not answer in time", "The cloud did not answer in time"
    ),
}


def kind_of(refusal: Refusal) -> Kind:
    """The row of the table for a refusal. What is not in it is an internal error: it was not meant for a caller."""
    found = _BY_REASON.get(refusal.reason)
    if found is not None:
        return found
    return next((kind for cls, kind in _BY_CLASS.items() if isinstance(refusal, cls)), _FAILED)


def every_kind() -> list[Kind]:
    """Every row of the table once, by status and number, for the description of the API."""
    rows = {(kind.status, kind.code): kind for kind in (_FAILED, *_BY_REASON.values(), *_BY_CLASS.values())}
    return [rows[place] for place in sorted(rows)]


def body_of(refusal: Refusal, request_id: str) -> tuple[int, bytes]:
    """Status and body of a refusal. The inside of an internal error is not told."""
    kind = kind_of(refusal)
    message = str(refusal.facts.get("message") or kind.message) if kind is not _FAILED else kind.message
    return kind.status, encode_error(kind, message, request_id)


def failure(status: int, message: str, request_id: str) -> bytes:
    """The body of an answer that no refusal stands behind."""
    kind = next((kind for kind in (_BAD, _NO_TOKEN, _FORBIDDEN, _MISSING, _BUSY) if kind.status == status), None)
    return encode_error(kind or (_BAD if status < 500 else _FAILED), message, request_id)


def encode_error(kind: Kind, message: str, request_id: str) -> bytes:
    """The JSON of a refusal."""
    return msgspec.json.encode(ErrorBody(kind.code, kind.code_desc, message, request_id))


def validation(problems: Mapping[str, str]) -> Invalid:
    """The refusal of fields: `Validation errors:` and a line for each (CCKM contract §3.1)."""
    lines = "\n".join(f"{field}: {problem}" for field, problem in problems.items())
    return Invalid("Validation", message=f"Validation errors:\n{lines}")
