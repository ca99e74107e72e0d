"""Ways to bring a value to the server: every route that takes one, and every error that may happen on the way.

A way makes the bytes of a request out of a needle; `stored` ways end with the value sealed in the database, the others are
refused or ignored, whatever the value. `tame` ways put the value where only letters, digits, - and _ may stand. Ways
whose answer may well repeat the value to the very client that sent it (in a path, say) are not `silent`.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from urllib.parse import quote, urlencode

from figures.needles import Needle
from figures.target import GROUP, LOGIN, MANAGEMENT, SUBSCRIPTION, Target

API = "api-version=7.6"


@dataclass(frozen=True)
class Way:
    """One way; `make` gives the request's bytes and its method."""

    name: str
    make: Callable[[Needle], tuple[bytes, str]]
    stored: bool = False
    tame: bool = False
    silent: bool = True


class Ways:
    """All ways to a target."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._vault = target.host(target.vault)

    def all(self) -> list[Way]:
        """Every way, those that store first."""
        return [
            *self._storing(),
            *self._by_callers(),
            *self._bad_json(),
            *self._bad_bodies(),
            *self._restoring(),
            *self._in_heads(),
            *self._signing_in(),
            *self._managing(),
            *self._no_http(),
        ]

    def request(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        *,
        host: str = "",
        caller: str | None = "officer",
        more: tuple[str, ...] = (),
        framed: bool = True,
    ) -> tuple[bytes, str]:
        """A request's bytes. `caller` may also be a whole Authorization value, with a blank in it."""
        target = self._target
        place = host or self._vault
        lines = [f"{method} {path} HTTP/1.1", f"Host: {place}:{target.port}"]
        if caller is not None:
            tokens = target.managing if place == MANAGEMENT else target.tokens
            lines.append(f"Authorization: {caller if ' ' in caller else 'Bearer ' + tokens[caller]}")
        if framed:
            lines.append(f"Content-Length: {len(body)}")
        return "\r\n".join([*lines, *more, "", ""]).encode("latin-1", "replace") + body, method

    def _put(self, body: bytes, *, name: str = "leak-refused", **more: object) -> tuple[bytes, str]:
        return self.request("PUT", f"/secrets/{name}?{API}", body, **more)  # type: ignore[arg-type]

    def _storing(self) -> Iterator[Way]:
        def named(needle: Needle) -> str:
            return f"leak-{needle.number % 40}"

        yield Way("set", lambda n: self._put(_body(n), name=named(n)), stored=True)
        yield Way("set again", lambda n: self._put(_body(n), name="leak-same"), stored=True)
        yield Way(
            "set in chunks",
            lambda n: self._put(_chunked(_body(n)), name=named(n), framed=False, more=("Transfer-Encoding: chunked",)),
            stored=True,
        )
        yield Way("set as text", lambda n: self._put(_body(n), name=named(n), more=("Content-Type: text/plain",)), stored=True)
        yield Way("set disabled", lambda n: self._put(_body(n, attributes={"enabled": False}), name="leak-off"), stored=True)
        yield Way("set with all", lambda n: self._put(_body(n, tags={"a": "b"}, contentType="c"), name=named(n)), stored=True)
        cloud = f"{self._target.vault}.vault.azure.net"
        yield Way("set at a cloud's name", lambda n: self._at(cloud, self._put(_body(n), name=named(n))), stored=True)

    def _at(self, host: str, made: tuple[bytes, str]) -> tuple[bytes, str]:
        return made[0].replace(f"Host: {self._vault}:{self._target.port}".encode(), f"Host: {host}".encode()), made[1]

    def _by_callers(self) -> Iterator[Way]:
        for caller in ("stranger", "reader", "misfit", None, "Bearer x.y.z", "Basic eDp5"):
            yield Way(f"set by {caller}", lambda n, c=caller: self._put(_body(n), caller=c))  # type: ignore[misc]
        for name in ("under_score", "x" * 128, "%00", "%ff", "a/b", "a/0123456789abcdef0123456789abcdef"):
            yield Way(f"set as {name[:12]}", lambda n, at=name: self._put(_body(n), name=at))  # type: ignore[misc]
        for query in ("", "api-version=1", "api-version=", "api-version=%zz"):
            path = f"/secrets/leak-refused?{query}"
            yield Way(f"set with {query}", lambda n, p=path: self.request("PUT", p, _body(n)))  # type: ignore[misc]
        for method in ("POST", "DELETE", "GET", "OPTIONS", "BREW"):
            path = f"/secrets/leak-nowhere?{API}"
            yield Way(f"{method} it", lambda n, m=method, p=path: self.request(m, p, _body(n)))  # type: ignore[misc]
        yield Way("unknown vault", lambda n: self._at("nobody.vault.localhost", self._put(_body(n))))
        yield Way("unknown host", lambda n: self._at("nobody.localhost", self._put(_body(n))))
        yield Way("deleted name", lambda n: self._put(_body(n), name="leak-deleted"))

    def _bad_json(self) -> Iterator[Way]:
        templates = (
            '{"value":%s', '{"value":[%s]}', '{"value":{"a":%s}}', '{"value":"x","contentType":[%s]}', "[%s]", "%s", '{"value":%s,"tags":{"a":1}}',
            '{"value":%s,"attributes":{"exp":"x"}}', '{"value":%s,"attributes":5}', '{"value":%s}}', '{"vaule":%s}', '{"value":"x","tags":[%s]}',
            '{"value":"x","attributes":{"enabled":%s}}', '{"value":%s,"attributes":{"exp":-1}}', '{"value":%s,"x":"\\ud800"}', "{%s:1}", "{%s}",
            '{"value":%s,"attributes":{"nbf":1e999}}', '{"value":"x","attributes":{"exp":%s}}', '{"value":5,"x":%s}', '{"value":null,"y":{"z":[%s]}}',
        )  # fmt: skip
        for template in templates:
            yield Way(f"PUT {template}", lambda n, t=template: self._put((t % json.dumps(n.value)).encode()))  # type: ignore[misc]
            path = f"/secrets/fuzz-3/?{API}"
            yield Way(
                f"PATCH {template}",
                lambda n, t=template, p=path: self.request("PATCH", p, (t % json.dumps(n.value)).encode()),  # type: ignore[misc]
            )
        over = {f"t{number}": "x" for number in range(16)}
        yield Way("too many tags beside", lambda n: self._put(_body(n, tags=over)))
        yield Way("as a tag too long", lambda n: self._put(json.dumps({"value": "x", "tags": {"a": n.value + "x" * 513}}).encode()))
        yield Way("as a type too long", lambda n: self._put(json.dumps({"value": "x", "contentType": n.value + "x" * 256}).encode()))

    def _bad_bodies(self) -> Iterator[Way]:
        def raw(needle: Needle) -> bytes:
            return needle.value.encode()

        shapes: dict[str, Callable[[Needle], bytes]] = {
            "naked": raw,
            "too long": lambda n: json.dumps({"value": n.value + "x" * 25_601}).encode(),
            "oversized": lambda n: raw(n) * (600_000 // len(raw(n)) + 1),
            "no UTF-8 before": lambda n: b"\xff" + raw(n),
            "UTF-16": lambda n: _body(n).decode().encode("utf-16"),
            "with a mark": lambda n: b"\xef\xbb\xbf" + _body(n),
            "packed": lambda n: gzip.compress(_body(n), mtime=0),
            "form": lambda n: urlencode({"value": n.value}).encode(),
            "deep": lambda n: b"[" * 3000 + raw(n),
            "latin": lambda n: b'{"value":"' + n.value.encode("latin-1", "replace") + b"\xe4" + raw(n) + b'"}',
        }
        for name, shape in shapes.items():
            yield Way(f"body {name}", lambda n, s=shape: self._put(s(n)))  # type: ignore[misc]
        types = ("multipart/form-data; boundary=x", "application/x-www-form-urlencoded", "application/json; charset=utf-16", "x")
        for kind in types:
            more = (f"Content-Type: {kind}", "Content-Encoding: br")
            yield Way(f"body naked, {kind}", lambda n, m=more: self._put(raw(n), more=m))  # type: ignore[misc]
        yield Way("chunks that are none", lambda n: self._put(raw(n), framed=False, more=("Transfer-Encoding: chunked",)))
        yield Way("as a chunk's extension", lambda n: self._put(b"5;" + raw(n) + b"\r\nhello\r\n0\r\n\r\n", framed=False, more=("Transfer-Encoding: chunked",)))
        yield Way("as a trailer", lambda n: self._put(b"0\r\nX: " + raw(n) + b"\r\n\r\n", framed=False, more=("Transfer-Encoding: chunked",)))
        yield Way("with a GET", lambda n: self.request("GET", f"/secrets?{API}", _body(n)))
        yield Way("with a DELETE", lambda n: self.request("DELETE", f"/deletedsecrets/leak-nowhere?{API}", _body(n)))
        yield Way("with a HEAD", lambda n: self.request("HEAD", f"/secrets/fuzz-1?{API}", _body(n)))

    def _restoring(self) -> Iterator[Way]:
        blob = self._target.blobs[0]
        cut = blob[: len(blob) // 8 * 4]
        shapes: dict[str, Callable[[Needle], object]] = {
            "as it is": lambda n: n.value,
            "coded": lambda n: _url64(n),
            "behind a blob": lambda n: cut + _url64(n),
            "before a blob": lambda n: _url64(n) + blob,
            "with the right mark": lambda n: _url64_of(b"\x29AzureKeyVaultSecretBackupV1.microsoft.com" + n.value.encode()),
            "in a list": lambda n: [n.value],
        }
        path = f"/secrets/restore?{API}"
        for name, shape in shapes.items():
            yield Way(
                f"restore {name}",
                lambda n, s=shape: self.request("POST", path, json.dumps({"value": s(n)}).encode()),  # type: ignore[misc]
            )

    def _in_heads(self) -> Iterator[Way]:
        """In paths, queries and headers: never kept, never logged."""
        paths = ("/secrets/{}", "/secrets/fuzz-1/{}", "/secrets/{}/versions", "/deletedsecrets/{}", "/{}", "/secrets/fuzz-1/backup/{}", "//{}", "/claviger/switches/{}")
        for path in paths:
            yield Way(
                f"GET {path}",
                lambda n, p=path: self.request("GET", f"{p.format(quote(n.value, safe=''))}?{API}"),  # type: ignore[misc]
                silent=False,
            )
        for query in ("api-version={}", f"{API}&maxresults={{}}", f"{API}&$skiptoken={{}}", f"{API}&{{}}=x", "{}", f"{API}&outContentType={{}}"):
            yield Way(
                f"?{query}",
                lambda n, q=query: self.request("GET", f"/secrets?{q.format(quote(n.value, safe=''))}"),  # type: ignore[misc]
                silent=False,
            )
        for name in (
            "Authorization: Bearer {}", "Authorization: {} x", "Authorization: PoP {}", "x-ms-client-request-id: {}", "X-HTTP-METHOD: {}", "Cookie: a={}",
            "Content-Type: {}", "{}: x", "Expect: {}", "Content-Length: {}", "Transfer-Encoding: {}", "X-IDENTITY-HEADER: {}", "Referer: https://x/{}",
        ):  # fmt: skip
            line = name
            yield Way(
                f"header {name}",
                lambda n, h=line: self.request("GET", f"/secrets/fuzz-1?{API}", caller=None, more=(h.format(n.value),), framed=False),  # type: ignore[misc]
                tame=True,
                silent=False,
            )
        yield Way("bearer in base64", lambda n: self.request("GET", f"/secrets?{API}", caller=f"Bearer a.{_url64(n)}.c"), silent=False)
        yield Way("as a method", lambda n: self.request(n.value, f"/secrets?{API}"), tame=True)
        yield Way("as a vault", lambda n: self._at(f"{n.value[:50]}.vault.localhost", self.request("GET", f"/secrets?{API}")), tame=True, silent=False)
        yield Way("as a host", lambda n: self._at(n.value, self.request("GET", f"/secrets?{API}")), tame=True, silent=False)
        yield Way("asking for health", lambda n: self.request("GET", f"/health?{quote(n.value)}", caller=None))
        yield Way("posted to the metrics", lambda n: self.request("POST", "/metrics", n.value.encode(), caller=None))
        yield Way("whole URL", lambda n: self.request("GET", f"https://{self._vault}/{quote(n.value, safe='')}?{API}"), silent=False)

    def _signing_in(self) -> Iterator[Way]:
        tenant, demo = self._target.tenant_id, self._target.applications["demo"]
        right = {"grant_type": "client_credentials", "client_id": demo.client_id, "scope": "https://vault.azure.net/.default"}
        secrets: dict[str, dict[str, str]] = {
            "a wrong secret": right,
            "a secret of nobody": right | {"client_id": "nobody"},
            "a secret with a bad scope": right | {"scope": "x"},
            "a secret with a bad grant": right | {"grant_type": "password"},
            "a secret without anything": {},
        }
        for name, form in secrets.items():
            for path in (f"/{tenant}/oauth2/v2.0/token", f"/{tenant}/oauth2/token", "/nowhere.example/oauth2/v2.0/token"):
                yield Way(f"{name} at {path[-12:]}", lambda n, f=form, p=path: self._form(p, f | {"client_secret": n.value}))  # type: ignore[misc]
        token = f"/{tenant}/oauth2/v2.0/token"
        for field in ("client_assertion", "password", "claims", "refresh_token", "code"):
            yield Way(f"as {field}", lambda n, f=field: self._form(token, right | {f: n.value}))  # type: ignore[misc]
        yield Way("Basic", lambda n: self._form(token, right, f"Basic {_64(f'{demo.client_id}:{quote(n.value)}'.encode())}"))
        yield Way("Basic for nobody", lambda n: self._form(token, {}, f"Basic {_64(b'nobody:' + n.value.encode())}"))
        yield Way("form as JSON", lambda n: self.request("POST", token, json.dumps(right | {"client_secret": n.value}).encode(), host=LOGIN, caller=None))
        yield Way("form too large", lambda n: self._form(token, right | {"client_secret": n.value * 3000}))
        yield Way("form twice", lambda n: self._raw_form(token, urlencode([("client_secret", n.value)] * 2).encode()))
        yield Way("form as it is", lambda n: self._raw_form(token, n.value.encode()))
        yield Way("in the token's query", lambda n: self._form(f"{token}?client_secret={quote(n.value, safe='')}", right))
        yield Way("by GET", lambda n: self.request("GET", f"{token}?client_secret={quote(n.value, safe='')}", host=LOGIN, caller=None))
        yield Way("as a tenant", lambda n: self._form(f"/{quote(n.value, safe='')}/oauth2/v2.0/token", right), silent=False)
        identity = "/msi/token?api-version=2019-08-01&resource=https://vault.azure.net"
        yield Way("identity header", lambda n: self.request("GET", identity, host=LOGIN, caller=None, more=(f"X-IDENTITY-HEADER: {n.value}",)), tame=True)
        yield Way("identity of another", lambda n: self.request("GET", f"{identity}&client_id={quote(n.value, safe='')}", host=LOGIN, caller=None))
        yield Way("bearer to the login host", lambda n: self.request("GET", "/common/discovery/keys", host=LOGIN, caller=f"Bearer {_url64(n)}"))

    def _form(self, path: str, form: dict[str, str], authorization: str | None = None) -> tuple[bytes, str]:
        return self._raw_form(path, urlencode(form).encode(), authorization)

    def _raw_form(self, path: str, body: bytes, authorization: str | None = None) -> tuple[bytes, str]:
        kind = ("Content-Type: application/x-www-form-urlencoded",)
        return self.request("POST", path, body, host=LOGIN, caller=authorization, more=kind)

    def _managing(self) -> Iterator[Way]:
        group = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}"
        vault = f"{group}/providers/Microsoft.KeyVault/vaults/fuzz-vault?api-version=2023-07-01"
        for template in (
            '{"value":%s', "%s", '{"location":"local","properties":{"secret":%s}}', '{"location":[%s]}', '{"properties":{"sku":%s}}', '{"properties":{"createMode":%s}}',
            '{"properties":{"accessPolicies":[{"tenantId":%s}]}}', '{"properties":{"tenantId":%s,"sku":{"family":"A","name":%s}}}', '{"location":%s,"properties":{}}',
        ):  # fmt: skip
            for method in ("PUT", "PATCH"):
                yield Way(
                    f"{method} a vault {template}",
                    lambda n, m=method, t=template: self.request(  # type: ignore[misc]
                        m, vault, t.replace("%s", json.dumps(n.value)).encode(), host=MANAGEMENT
                    ),
                    silent=False,
                )
        yield Way("bearer to the management", lambda n: self.request("GET", "/subscriptions?api-version=2022-12-01", host=MANAGEMENT, caller=f"Bearer {_url64(n)}"), silent=False)
        for path in ("/subscriptions/{}", f"{group}/{{}}", f"{group}/providers/{{}}/vaults", f"{group}/resources?$filter={{}}", "/metadata/endpoints?api-version={}"):
            more = "&" if "?" in path else "?api-version=2022-12-01"
            yield Way(
                f"management {path[-24:]}",
                lambda n, p=path + more: self.request("GET", p.format(quote(n.value, safe="")), host=MANAGEMENT),  # type: ignore[misc]
                silent=False,
            )

    def _no_http(self) -> Iterator[Way]:
        """What is no request, or not a whole one."""
        yield Way("no HTTP at all", lambda n: (n.value.encode() + b"\r\n\r\n", "GET"))
        yield Way("a bad version", lambda n: (f"GET /{n.value} HTTP/7.7\r\n\r\n".encode("utf-8", "replace"), "GET"))
        yield Way("a NUL in it", lambda n: self.request("GET", "/", more=(f"X: {n.value}\0",), framed=False), tame=True)
        yield Way("a header without end", lambda n: self.request("GET", "/", more=(f"X: {n.value * 3000}",), framed=False), tame=True)
        yield Way("a target without end", lambda n: self.request("GET", "/" + quote(n.value, safe="") * 600))


def _body(needle: Needle, **more: object) -> bytes:
    return json.dumps({"value": needle.value, **more}, ensure_ascii=needle.number % 2 == 0).encode()


def _chunked(body: bytes) -> bytes:
    half = len(body) // 2
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in (body[:half], body[half:])) + b"0\r\n\r\n"


def _64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _url64_of(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _url64(needle: Needle) -> str:
    return _url64_of(needle.value.encode())
