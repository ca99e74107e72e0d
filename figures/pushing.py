"""One way to bring a value to the server, as data, and how it becomes the bytes of a request.

In a path, a header, a host or a caller, `{v}` is the value percent-encoded, `{raw}` as it is, `{b64}` in base64,
`{basic}` as a client secret of HTTP Basic; in a body's template `%s` is the value as JSON. The ways themselves are
tables in `ways.py`.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote

from figures.needles import Needle
from figures.target import LOGIN, MANAGEMENT, Target

Shape = Callable[[str], bytes]
FORM = "Content-Type: application/x-www-form-urlencoded"


@dataclass(frozen=True, kw_only=True)
class Way:
    """One way.

    `stored`: the value ends sealed in the database; by all others it is refused or passed over. `silent`: the answer
    must not repeat the value even to its sender; in a path it may. `caller`: whose token, or a whole Authorization
    value with a blank in it, or None. `framed`: with a Content-Length. `whole` is the request, for what is no HTTP.
    """

    name: str
    method: str = "PUT"
    path: str = "/secrets/leak-refused?api-version=7.6"
    body: str | Shape = '{"value":%s}'
    host: str = ""
    caller: str | None = "officer"
    more: tuple[str, ...] = ()
    framed: bool = True
    whole: Shape | None = None
    stored: bool = False
    silent: bool = True

    @property
    def tame(self) -> bool:
        """Whether only letters, digits, - and _ may stand in the value."""
        return any("{raw}" in text for text in (self.method, self.path, self.host, self.caller or "", *self.more))


def url64(raw: bytes) -> str:
    """Unpadded, as tokens and backups have it."""
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def written(way: Way, needle: Needle, target: Target) -> bytes:
    """The request."""
    if way.whole is not None:
        return way.whole(needle.value)
    value = needle.value
    basic = base64.b64encode(f"{target.applications['demo'].client_id}:{quote(value)}".encode()).decode()
    spelled = {"{v}": quote(value, safe=""), "{raw}": value, "{b64}": url64(value.encode()), "{basic}": basic}

    def filled(text: str) -> str:
        for mark, spelling in spelled.items():
            text = text.replace(mark, spelling)
        return text

    if callable(way.body):
        body = way.body(value)
    else:
        body = way.body.replace("%s", json.dumps(value, ensure_ascii=needle.number % 2 == 0)).encode()
    host = filled(way.host) or target.host(target.vault)
    lines = [f"{filled(way.method)} {filled(way.path)} HTTP/1.1", f"Host: {host}:{target.port}"]
    if way.caller is not None:
        tokens = target.managing if host == MANAGEMENT else target.tokens
        known = way.caller in tokens and host != LOGIN
        lines.append(f"Authorization: {'Bearer ' + tokens[way.caller] if known else filled(way.caller)}")
    if way.framed:
        lines.append(f"Content-Length: {len(body)}")
    lines += [filled(line) for line in way.more]
    return "\r\n".join([*lines, "", ""]).encode("latin-1", "replace") + body
