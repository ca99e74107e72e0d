"""What an answer to hostile input must be: never a 5xx, JSON of the right type, errors in the cloud's shape, headers.

Pure, and written from the wire contract, not from the product. `Judge.of_host` is for requests that are HTTP and name
a host: it knows which cloud's shape to expect. `Judge.of_bytes` is for anything at all, where it is only known that
whoever answers must do it in one of the shapes. Findings are (kind, detail) pairs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from figures.answers import Answer

Finding = tuple[str, str]

JSON_TYPE = "application/json; charset=utf-8"
GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_DATE = re.compile(r"[A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]{2} [0-9]{4} [0-9]{2}:[0-9]{2}:[0-9]{2} GMT")
_CODE_DESC = re.compile(r"NCERR[A-Za-z]+: .+")
_CHALLENGES = {
    "vault": re.compile(r'Bearer authorization="https://[^"=,\s]+/[^"=,\s/]+", resource="https://[^"=,\s]+"'),
    "management": re.compile(r'Bearer authorization_uri="https://[^"=,\s]+/[^"=,\s/]+", error="\w+", [^\x00-\x1f]+"'),
}
INSIDE = re.compile(r"Traceback|\.py\b|0x[0-9a-f]{8}|\b[a-z]+(?:\.[a-z]+)+Error\b")
OF_THE_FRONT = frozenset({400, 404, 405, 408, 413, 414, 431})

VAULT_HEADERS: Mapping[str, re.Pattern[str]] = {
    "cache-control": re.compile("no-cache"),
    "pragma": re.compile("no-cache"),
    "expires": re.compile("-1"),
    "date": _DATE,
    "x-ms-request-id": GUID,
    "x-ms-keyvault-service-version": re.compile(r"\d+\.\d+\.\d+\.\d+"),
    "x-ms-keyvault-network-info": re.compile(r"conn_type=Ipv[46];addr=[0-9a-f.:]+;act_addr_fam=InterNetwork(V6)?;"),
    "strict-transport-security": re.compile("max-age=31536000;includeSubDomains"),
    "x-content-type-options": re.compile("nosniff"),
}
"""Key Vault contract §1; the region beside them once the vault is known."""
ISSUER_HEADERS: Mapping[str, re.Pattern[str]] = {
    "cache-control": re.compile("no-store.*"),
    "pragma": re.compile("no-cache"),
    "x-ms-request-id": GUID,
    "client-request-id": GUID,
    "strict-transport-security": re.compile("max-age=.*"),
    "x-content-type-options": re.compile("nosniff"),
}
MANAGEMENT_HEADERS: Mapping[str, re.Pattern[str]] = {
    "cache-control": re.compile("no-cache"),
    "date": _DATE,
    "x-ms-request-id": GUID,
    "x-content-type-options": re.compile("nosniff"),
}
_HEADERS = {
    "vault": VAULT_HEADERS,
    "issuer": ISSUER_HEADERS,
    "identity": ISSUER_HEADERS,
    "login": ISSUER_HEADERS,
    "management": MANAGEMENT_HEADERS,
}


@dataclass(frozen=True)
class Asked:
    """What of a request decides what its answer must be.

    `service`: vault, management, issuer, identity, or login for either of the last two.
    """

    service: str
    method: str
    known_vault: bool = True
    client_request_id: str | None = None


class Judge:
    """Remembers request ids, which must never come twice."""

    def __init__(self) -> None:
        self._ids: set[str] = set()

    def of_host(self, answer: Answer, asked: Asked) -> list[Finding]:
        """What is wrong with an answer to a request to a host of ours."""
        may_be_empty = asked.service == "management" and answer.status in (200, 202)
        found = _of_any(answer, asked.method, may_be_empty=may_be_empty)
        if "x-ms-request-id" not in answer.headers:
            if answer.status not in OF_THE_FRONT:
                found.append(("header", f"x-ms-request-id is missing in a {answer.status}"))
            return found + _shape(answer, asked.method, "vault")
        found += _headers(answer, _HEADERS[asked.service])
        if answer.headers["x-ms-request-id"] in self._ids:
            found.append(("header", "the same x-ms-request-id twice"))
        self._ids.add(answer.headers["x-ms-request-id"])
        if asked.service == "vault":
            found += _vault_headers(answer, asked)
        if asked.service in _CHALLENGES:
            found += _challenge(answer, _CHALLENGES[asked.service])
        return found + _shape(answer, asked.method, asked.service)

    def of_bytes(self, answer: Answer) -> list[Finding]:
        """What is wrong with an answer to bytes of which nobody knows what they are."""
        metrics = answer.status == 200 and b"claviger_requests" in answer.body
        found = [] if metrics else _of_any(answer, "GET" if answer.body else "HEAD")
        if answer.body and not metrics:
            shapes = [_shape(answer, "GET", service) for service in _HEADERS]
            found += shapes[0] if all(shapes) and not _is_of_plane(answer) else []
        return found


def _of_any(answer: Answer, method: str, *, may_be_empty: bool = False) -> list[Finding]:
    found: list[Finding] = []
    if answer.status >= 500:
        found.append(("5xx", f"{answer.status} {answer.body[:300]!r}"))
    if "date" in answer.headers and _DATE.fullmatch(answer.headers["date"]) is None:
        found.append(("header", f"date is {answer.headers['date']!r}"))
    if answer.status == 204 or (may_be_empty and not answer.body):
        if answer.body or "content-type" in answer.headers:
            found.append(("content type", f"a {answer.status} with a type and no body, or a 204 with one"))
    elif method != "HEAD":
        if answer.headers.get("content-type") != JSON_TYPE:
            found.append(("content type", f"{answer.headers.get('content-type')!r} in a {answer.status}"))
        try:
            answer.json()
        except ValueError as problem:
            found.append(("error shape", f"{problem}: {answer.body[:300]!r}"))
    return found


def _headers(answer: Answer, wanted: Mapping[str, re.Pattern[str]]) -> list[Finding]:
    return [
        ("header", f"{name} is {answer.headers.get(name)!r} in a {answer.status}")
        for name, pattern in wanted.items()
        if pattern.fullmatch(answer.headers.get(name, "")) is None
    ]


def _vault_headers(answer: Answer, asked: Asked) -> list[Finding]:
    found: list[Finding] = []
    if asked.known_vault != ("x-ms-keyvault-region" in answer.headers):
        found.append(("header", f"x-ms-keyvault-region {answer.headers.get('x-ms-keyvault-region')!r}"))
    if asked.client_request_id is not None:
        echo = answer.headers.get("x-ms-client-request-id")
        if echo != asked.client_request_id:
            found.append(("header", f"x-ms-client-request-id {asked.client_request_id!r} came back as {echo!r}"))
    return found


def _challenge(answer: Answer, pattern: re.Pattern[str]) -> list[Finding]:
    """A 401 and nothing else says where to sign in (contract §7.1)."""
    challenge = answer.headers.get("www-authenticate")
    if (answer.status == 401) != (challenge is not None):
        return [("header", f"www-authenticate {challenge!r} in a {answer.status}")]
    if challenge is not None and pattern.fullmatch(challenge) is None:
        return [("header", f"www-authenticate is {challenge!r}")]
    return []


def _shape(answer: Answer, method: str, service: str) -> list[Finding]:
    """The shape of an error's body, and that it tells nothing of the program's inside."""
    if answer.status < 400 or method == "HEAD":
        return []
    try:
        told = answer.json()
    except ValueError:
        return []  # told already
    if not _SHAPES[service](told):
        return [("error shape", f"not of {service}: {answer.status} {answer.body[:300]!r}")]
    if INSIDE.search(answer.body.decode("utf-8", "replace")):
        return [("error shape", f"tells of the inside: {answer.body[:300]!r}")]
    return []


def is_cloud_error(told: Any) -> bool:
    """`{"error":{"code","message"[,"innererror"]}}`, of the data plane (contract §6) and of ARM."""
    if not isinstance(told, dict) or told.keys() != {"error"} or not isinstance(told["error"], dict):
        return False
    error = told["error"]
    inner = error.get("innererror")
    return (
        {"code", "message"} <= error.keys() <= {"code", "message", "innererror", "target", "details"}
        and all(isinstance(error[name], str) and error[name] for name in ("code", "message"))
        and (inner is None or (isinstance(inner, dict) and isinstance(inner.get("code"), str)))
    )


def _is_issuer_error(told: Any) -> bool:
    """What Entra ID says (contract §7.5; RFC 6749 §5.2)."""
    fields = {"error": str, "error_description": str, "error_codes": list, "timestamp": str, "trace_id": str}
    fields |= {"correlation_id": str, "error_uri": str}
    return (
        isinstance(told, dict)
        and told.keys() == fields.keys()
        and all(isinstance(told[name], kind) for name, kind in fields.items())
        and told["error_description"].startswith(f"AADSTS{told['error_codes'][0]}: ")
    )


def _is_of_plane(answer: Answer) -> bool:
    try:
        return is_plane_error(answer.json())
    except ValueError:
        return False


def _is_identity_error(told: Any) -> bool:
    """What App Service's identity endpoint says, and what the instance metadata service says."""
    if not isinstance(told, dict):
        return False
    app_service = told.keys() == {"statusCode", "message"} and isinstance(told["statusCode"], int)
    imds = told.keys() == {"error", "error_description"}
    return app_service or (imds and all(isinstance(value, str) for value in told.values()))


def is_plane_error(told: Any) -> bool:
    """What the control plane says (CCKM contract §3)."""
    return (
        isinstance(told, dict)
        and told.keys() == {"code", "codeDesc", "message", "requestID"}
        and type(told["code"]) is int
        and isinstance(told["codeDesc"], str)
        and _CODE_DESC.fullmatch(told["codeDesc"]) is not None
        and isinstance(told["message"], str)
        and bool(told["message"])
        and isinstance(told["requestID"], str)
        and GUID.fullmatch(told["requestID"]) is not None
    )


_SHAPES = {
    "vault": is_cloud_error,
    "issuer": _is_issuer_error,
    "identity": _is_identity_error,
    "login": lambda told: _is_issuer_error(told) or _is_identity_error(told),
    "management": is_cloud_error,
}
