"""What an answer of the control plane must be, whatever was asked. Pure, and written from the contract alone.

An error has the four fields and nothing else, its request id is that of the header and never comes twice, and it tells
nothing of the program's inside. A 5xx is right only where the contract has it: 501 where nothing is built, 502 and 504
from calls that go to a cloud, and 503 never, since nobody overloads the server here.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from figures.answers import Answer
from figures.judging import GUID, INSIDE, JSON_TYPE, OF_THE_FRONT, Finding, is_cloud_error, is_plane_error

_HEADERS: Mapping[str, str] = {
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "strict-transport-security": "max-age=31536000; includeSubDomains",
}
_HONEST = frozenset({501, 502, 504})


class PlaneJudge:
    """Remembers request ids, which must never come twice."""

    def __init__(self) -> None:
        self._ids: set[str] = set()

    def of(self, answer: Answer, method: str, documented: Collection[str], *, media: str = JSON_TYPE) -> list[Finding]:
        """What is wrong. `documented` are the statuses that the operation may answer, `media` what its success is."""
        found: list[Finding] = []
        if answer.status >= 500 and not (answer.status in _HONEST and str(answer.status) in documented):
            found.append(("5xx", f"{answer.status} {answer.body[:300]!r}"))
        if "x-request-id" in answer.headers:
            found += self._headers(answer)
        elif answer.status not in OF_THE_FRONT:
            found.append(("header", f"x-request-id is missing in a {answer.status}"))
        return found + self._body(answer, method, media)

    def _headers(self, answer: Answer) -> list[Finding]:
        found = [
            ("header", f"{name} is {answer.headers.get(name)!r} in a {answer.status}")
            for name, wanted in _HEADERS.items()
            if answer.headers.get(name) != wanted and not (name == "cache-control" and answer.status < 300)
        ]
        challenge = answer.headers.get("www-authenticate")
        if (answer.status == 401) != (challenge is not None and challenge.startswith("Bearer")):
            found.append(("header", f"www-authenticate is {challenge!r} in a {answer.status}"))
        if answer.status == 405 and not answer.headers.get("allow"):
            found.append(("header", "a 405 without allow"))
        ident = answer.headers["x-request-id"]
        if GUID.fullmatch(ident) is None or ident in self._ids:
            found.append(("header", f"x-request-id is {ident!r}, or came before"))
        self._ids.add(ident)
        return found

    def _body(self, answer: Answer, method: str, media: str) -> list[Finding]:
        if answer.status == 204:
            wrong = answer.body or "content-type" in answer.headers
            return [("content type", "a 204 with a body or its type")] if wrong else []
        if method == "HEAD":
            return []
        wanted = media if answer.status < 300 else JSON_TYPE
        kind = answer.headers.get("content-type", "")
        if not kind.startswith(wanted):
            return [("content type", f"{kind!r} in a {answer.status}")]
        return _json(answer) if wanted == JSON_TYPE else []


def _json(answer: Answer) -> list[Finding]:
    try:
        told = answer.json()
    except ValueError as problem:
        return [("error shape", f"{problem}: {answer.body[:300]!r}")]
    ident = answer.headers.get("x-request-id")
    if answer.status < 400 or (ident is None and is_cloud_error(told)):
        return []  # the latter of the front, which could not tell that it was a request to this API
    if not is_plane_error(told):
        return [("error shape", f"{answer.status} {answer.body[:300]!r}")]
    if told["requestID"] != (ident or told["requestID"]):
        return [("error shape", f"requestID {told['requestID']} is not that of the header")]
    if INSIDE.search(told["message"]):
        return [("error shape", f"tells of the inside: {answer.body[:300]!r}")]
    return []
