"""One drawn request in several forms: other callers, other api-versions, odd headers, odd hosts, bodies spoilt.

The first form is the request as drawn, by a caller who may do everything. What a form does to the answer that must come
(whose shape, which headers) is noted in its `Asked`. Everything hangs on the dice given.
"""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from figures.drawing import Drawn
from figures.judging import Asked

Headers = list[tuple[str, str]]

API_VERSIONS = (
    *("2016-10-01", "7.0", "7.1", "7.2", "7.3", "7.4", "7.5", "7.6", "7.6-preview.2", "2025-07-01", "2026-04-01"),
    *(
        "2022-07-01",
        "2023-07-01",
        "2026-02-01",
        "",
        "7",
        "7.40",
        "7.4 ",
        " 7.4",
        "7.4%00",
        "%ff",
        "%",
        "9" * 300,
        "null",
    ),
)
REQUEST_IDS = (
    "",
    "x",
    "5" * 256,
    "5" * 257,
    "\xe4\xff",
    "a\tb",
    "%0d%0aX: y",
    "{guid}",
    "00000000-0000-0000-0000-000000000000",
)
CONTENT_TYPES = (
    *("", "text/plain", "application/json; charset=utf-16", "application/json;;;", "multipart/form-data; boundary=x"),
    *("application/x-www-form-urlencoded", "application/json\t", "*/*", "x" * 4000, "application/xml"),
)
METHODS = ("POST", "PUT", "PATCH", "DELETE", "GET", "HEAD", "OPTIONS", "TRACE", "PROPFIND", "FOO", "get", "M-SEARCH")
MORE_HEADERS: tuple[Headers, ...] = (
    [("X-HTTP-METHOD", "PATCH")], [("X-HTTP-METHOD", "DELETE")], [("X-HTTP-METHOD", "TRACE\xff")],
    [("Accept", "text/html;q=x, */*;q=9999999")], [("Accept-Encoding", "gzip;q=0, identity;q=0")],
    [("If-Match", "*")], [("If-None-Match", '"x", W/"y"')], [("If-Modified-Since", "never")],
    [("Range", "bytes=5-1,-")],
    [("X-Forwarded-For", "1.2.3.4"), ("X-Forwarded-Host", "evil"), ("Forwarded", "host=evil")],
    [("Via", "1.1 " * 50)], [("Cookie", "a=b; " * 200)],
    [("Origin", "null"), ("Access-Control-Request-Method", "PUT")], [("TE", "trailers")],
    [("X-Original-URL", "/health")], [("Content-Encoding", "gzip")], [("Expect", "100-continue")],
    [("Expect", "200-ok")], [("Connection", "close")], [("Connection", "x, keep-alive, upgrade")],
    [("Upgrade", "h2c"), ("Connection", "Upgrade")], [("Accept-Language", "\xff\xfe")], [("Date", "x" * 9000)],
    [(f"X-{n}", "y") for n in range(70)], [("X-Long", "z" * 30_000)],
    [("x-ms-date", "\t \t"), ("x-ms-version", "")], [("Metadata", "true")], [("!#$%&'*+-.^_`|~", "v")],
)  # fmt: skip
HOSTS = (
    "{vault}.vault.localhost:{port}", "{kept}.vault.localhost:{port}", "nobody.vault.localhost:{port}",
    "{VAULT}.VAULT.LocalHost:{port}", "{vault}.vault.localhost.:{port}", "{vault}.vault.azure.net",
    "{vault}.vault.localhost", "{vault}.vault.localhost:443", "-.vault.localhost", "a.b.vault.localhost:{port}",
    "{vault}.vault.usgovcloudapi.net:443", "{vault}.vault.localhost:99999",
)  # fmt: skip


@dataclass(frozen=True)
class Form:
    """A request in one form, ready for the wire. `plain`: as drawn, with nothing odd; `oddities`: what else it has."""

    asked: Asked
    drawn: Drawn
    raw: bytes
    caller: str
    plain: bool
    oddities: tuple[str, ...]


@dataclass
class _Draft:
    method: str
    target: str
    host: str
    headers: Headers
    body: bytes
    service: str
    known_vault: bool = True
    chunked: bool = False
    oddities: list[str] = field(default_factory=list)


class Varying:
    """Makes forms. `hosts` are the plain host names by service; `tokens` by service and caller.

    `first` are the callers who send every request as it was drawn; the first of them may do everything.
    """

    def __init__(
        self,
        hosts: Mapping[str, str],
        names: Mapping[str, str],
        tokens: Mapping[str, Mapping[str, str]],
        first: Sequence[str] = ("officer", "nobody"),
    ) -> None:
        self._hosts = hosts
        self._names = names
        self._tokens = tokens
        self._first = first

    def forms(self, drawn: Drawn, count: int, dice: random.Random) -> list[Form]:
        """The request as it is by those who are first, and others with two oddities at most."""
        found = [self._form(drawn, who, 0, dice) for who in self._first[:count]]
        while len(found) < count:
            others = ("reader", "stranger", "misfit", "keeper", dice.choice(tuple(_WRONG)))
            caller = "officer" if dice.random() < 0.6 else dice.choice(others)
            found.append(self._form(drawn, caller, dice.choice((1, 1, 2)), dice))
        return found

    def _form(self, drawn: Drawn, caller: str, oddity_count: int, dice: random.Random) -> Form:
        host = f"{self._hosts[drawn.service]}:{self._names['port']}"
        draft = _Draft(drawn.method, drawn.target, host, list(drawn.headers), drawn.body, drawn.service)
        if caller != "nobody" and not _has(draft.headers, "authorization"):
            tokens = self._tokens[drawn.service]
            given = _WRONG[caller] if caller in _WRONG else f"Bearer {tokens[caller]}"
            draft.headers.append(("Authorization", given.replace("{token}", tokens["officer"])))
        for oddity in dice.sample(_ODDITIES, oddity_count):
            oddity(self, draft, dice)
        asked = Asked(draft.service, draft.method, draft.known_vault, _echoed(draft))
        plain = caller in self._first and caller != "nobody" and not oddity_count
        return Form(asked, drawn, _raw(draft), caller, plain, (caller, *draft.oddities))

    def other_host(self, draft: _Draft, dice: random.Random) -> None:
        """Another vault, one that is not there, or another spelling."""
        if draft.service != "vault":
            return
        template = dice.choice(HOSTS)
        draft.host = template.format(**self._names, VAULT=self._names["vault"].upper())
        draft.known_vault = template.lower().startswith(("{vault}", "{kept}"))
        draft.oddities.append(f"host {draft.host}")


_WRONG = {
    "garbage": "Bearer abc.def.ghi", "empty": "Bearer ", "cut": "Bearer {token}"[:40], "basic": "Basic dTpw",
    "bare": "{token}", "twice": "Bearer {token} {token}", "latin": "Bearer \xe4\xf6",
    "long": "Bearer " + "e" * 20_000, "lower": "bearer {token}", "quoted": 'Bearer "{token}"',
    "spoilt": "Bearer {token}x", "pop": "PoP {token}",
}  # fmt: skip


def _has(headers: Headers, name: str) -> bool:
    return any(name == each.lower() for each, _ in headers)


def _echoed(draft: _Draft) -> str | None:
    """What must come back as x-ms-client-request-id: the one given, where it is one and not too long."""
    given = [value.strip(" \t") for name, value in draft.headers if name.lower() == "x-ms-client-request-id"]
    return given[0] if len(given) == 1 and len(given[0]) <= 256 else None


def _api_version(_: Varying, draft: _Draft, dice: random.Random) -> None:
    version = dice.choice(API_VERSIONS)
    path, _mark, query = draft.target.partition("?")
    kept = [part for part in query.split("&") if part and not part.lower().startswith("api-version=")]
    name = dice.choice(("api-version", "api%2Dversion", "API-Version", "%61pi-version"))
    kept += [f"{name}={version.replace(' ', '%20')}"] * dice.choice((1, 1, 1, 2, 0))
    dice.shuffle(kept)
    draft.target = f"{path}?{'&'.join(kept)}"
    draft.oddities.append(f"api-version {version[:20]}")


def _more_headers(_: Varying, draft: _Draft, dice: random.Random) -> None:
    more = dice.choice(MORE_HEADERS)
    draft.headers += more
    draft.oddities.append(f"{more[0][0]} beside")


def _request_id(_: Varying, draft: _Draft, dice: random.Random) -> None:
    draft.headers.append(("x-ms-client-request-id", dice.choice(REQUEST_IDS)))
    draft.oddities.append("request id")


def _content_type(_: Varying, draft: _Draft, dice: random.Random) -> None:
    draft.headers = [each for each in draft.headers if each[0].lower() != "content-type"]
    draft.headers.append(("Content-Type", dice.choice(CONTENT_TYPES)))
    draft.oddities.append("content type")


def _method(_: Varying, draft: _Draft, dice: random.Random) -> None:
    draft.method = dice.choice(METHODS)
    draft.oddities.append(draft.method)


def _path(_: Varying, draft: _Draft, dice: random.Random) -> None:
    path, mark, query = draft.target.partition("?")
    changes: tuple[Callable[[str], str], ...] = (
        lambda p: f"/{p}", lambda p: f"{p}/", lambda p: f"{p}/x", lambda p: f"{p}/..",
        lambda p: p.replace("/", "%2F"), lambda p: f"{p}%00", lambda p: p.replace("s", "%73"), lambda p: f"{p};a=b",
        lambda p: f"/.{p}", lambda p: p.upper(), lambda p: f"{p}%ED%A0%80", lambda p: f"{p}{'a' * 9000}",
        lambda p: p + "%41" * 3000, lambda p: f"{p}?", lambda _: "/",
    )  # fmt: skip
    draft.target = dice.choice(changes)(path) + mark + query
    if draft.service == "identity":
        draft.service = "login"  # who answers now is not known
    draft.oddities.append("path")


def _query(_: Varying, draft: _Draft, dice: random.Random) -> None:
    more = (
        "maxresults=0", "maxresults=26", "maxresults=-1", "maxresults=1e3", "maxresults=%D9%A3", "$skiptoken=",
        "x=%", "$skiptoken=e30", "$skiptoken=%00", "$skiptoken=AA", "$skiptoken=YQBi", "client_id=%00", "&&&&", "=",
        "%3D", "a;b=c", "&".join("a=b" for _ in range(80)), "maxresults=" + "9" * 5000, "outContentType=x",
        "$filter=resourceType%20eq%20'Microsoft.KeyVault/vaults'", "$top=-1", "api-version=7.4&api-version=7.5",
        "limit=-1", "limit=999999999999", "skip=-1", "skip=99999999999999999999", "sort=-", "sort=x,,-y", "sort=%00",
        "id=%00", "name=a%00b", "tags=%3A", "wait=1", "wait=-1",
    )  # fmt: skip
    draft.target += ("&" if "?" in draft.target else "?") + dice.choice(more)
    draft.oddities.append("query")


def _body(_: Varying, draft: _Draft, dice: random.Random) -> None:
    body = draft.body
    cut = dice.randrange(len(body)) if body else 0
    spoilt: tuple[bytes, ...] = (
        body[:cut], b"\xef\xbb\xbf" + body, body + b"}", b"[" * 5000, b'{"value":' * 500, gzip.compress(body, mtime=0),
        body.decode("utf-8", "replace").encode("utf-16"), b'{"value":"\xff\xfe"}', b'{"value":"\\ud800"}', b"null",
        b"0", b'{"value":"x","value":5}', b'{"value":"x","attributes":{"exp":1e400}}', b'{"value":NaN}', b'""', b"{}",
        b'{"value":"x","attributes":{"exp":' + b"9" * 400 + b"}}", b'{"value":"' + b"x" * 25_601 + b'"}', b"a=b&" * 100,
        b'{"value":"x","tags":{"a":null}}', b'{"value":"' + "\U0001f511".encode() * 6400 + b'"}', b"\0" * 50,
        b"[]", b" ", b'{"value":"' + b"\\u0000" * 25_600 + b'"}', body[:cut] + dice.randbytes(8) + body[cut:],
        b"x" * 600_000,
    )  # fmt: skip
    draft.body = dice.choice(spoilt)
    draft.oddities.append("body")


TEXTS: tuple[Any, ...] = (
    "\0", "a\0b", "\ud800", "a\udfffb", "\ufeff", "\u202e\u2028", "", " ", "x" * 5_000, "\U0001f511" * 300, "../..",
    "%00", "*", None, True, -0.0, 1e308, 10**40, -(10**18), 2**63, [], {}, [[[]]], {"\0": "\0"}, {"a": {"b": None}},
    "-1", "1e400",
)  # fmt: skip


def _texts(_: Varying, draft: _Draft, dice: random.Random) -> None:
    """Something else in the place of one field of the body, a field given twice, or far too deep."""
    try:
        told = json.loads(draft.body)
    except (ValueError, RecursionError):
        return
    places = list(places_in(told))
    if not places:
        return
    within, key = dice.choice(places)
    how = dice.randrange(12)
    if how == 0:  # the last one counts, or none
        draft.body = draft.body.replace(b"{", b'{"%s":0,' % str(key).encode("utf-8", "replace")[:40], 1)
    elif how == 1:
        within[key] = "@deep@"
        deep = dice.choice((b"[" * 400 + b"]" * 400, b'{"a":' * 20_000 + b"0" + b"}" * 20_000, b"9" * 4000, b"1e999"))
        draft.body = json.dumps(told).encode().replace(b'"@deep@"', deep)
    else:
        within[key] = dice.choice(TEXTS)
        draft.body = json.dumps(told).encode()
    draft.oddities.append(f"field {key}"[:40])


def places_in(told: Any) -> Iterator[tuple[Any, Any]]:
    """Every place of a JSON text: what it lies in, and its name or number there."""
    inside = told.items() if isinstance(told, dict) else enumerate(told) if isinstance(told, list) else ()
    for key, value in list(inside):
        yield told, key
        yield from places_in(value)


def _chunked(_: Varying, draft: _Draft, dice: random.Random) -> None:
    draft.chunked = True
    draft.oddities.append("chunked")


_ODDITIES: tuple[Callable[[Varying, _Draft, random.Random], None], ...] = (
    _api_version, _api_version, _more_headers, _more_headers, _request_id, _content_type, _method, _path, _query,
    _body, _body, _texts, _texts, _chunked, Varying.other_host,
)  # fmt: skip


def _raw(draft: _Draft) -> bytes:
    """The bytes on the wire. A target is ASCII by now; header values go as latin-1, others are replaced."""
    lines = [f"{draft.method} {draft.target} HTTP/1.1", f"Host: {draft.host}"]
    lines += [f"{name}: {value}" for name, value in draft.headers if name.lower() != "transfer-encoding"]
    body = draft.body
    if draft.chunked:
        lines.append("Transfer-Encoding: chunked")
        half = len(body) // 2
        body = (
            b"".join(b"%x;n=v\r\n%b\r\n" % (len(part), part) for part in (body[:half], body[half:]) if part)
            + b"0\r\n\r\n"
        )
    elif body or draft.method not in ("GET", "HEAD"):
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1", "replace") + body
