"""Every way to bring a value to the server: all routes that take one, and all errors that may happen on the way."""

from __future__ import annotations

import gzip
import json
from functools import partial
from urllib.parse import quote, urlencode

from figures.pushing import FORM, Shape, Way, url64
from figures.target import GROUP, LOGIN, MANAGEMENT, SUBSCRIPTION, Target

API = "api-version=7.6"
NAMES = 40
"""Secrets that are set: leak-0 and so on."""
_CHUNKED = "Transfer-Encoding: chunked"


def all_ways(target: Target) -> list[Way]:
    """Every way, those that store first."""
    return [
        *_STORING,
        *_BY_CALLERS,
        *_BAD_JSON,
        *_BAD_BODIES,
        *_restoring(target),
        *_IN_HEADS,
        *_signing_in(target),
        *_MANAGING,
        *_NO_HTTP,
    ]


def chunked(value: str) -> bytes:
    """A right body in chunks, the value split between them."""
    body = json.dumps({"value": value}).encode()
    half = len(body) // 2
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in (body[:half], body[half:])) + b"0\r\n\r\n"


def _raw(value: str) -> bytes:
    return value.encode()


def _filled(value: str, *, size: int) -> bytes:
    return value.encode() * (size // len(value.encode()) + 1)


def _dumped(value: str, *, coding: str = "utf-8", before: bytes = b"") -> bytes:
    return before + json.dumps({"value": value}, ensure_ascii=False).encode(coding)


def _packed(value: str) -> bytes:
    return gzip.compress(json.dumps({"value": value}).encode(), mtime=0)


def _longer(value: str, *, field: str, by: int) -> bytes:
    known = {"value": {"value": value + "x" * by}, "tag": {"value": "x", "tags": {"a": value + "x" * by}}}
    return json.dumps(known.get(field, {"value": "x", field: value + "x" * by})).encode()


def _around(value: str, *, before: bytes, after: bytes = b"") -> bytes:
    return before + value.encode() + after


_STORING = [
    *(Way(name="set", path=f"/secrets/leak-{number}?{API}", stored=True) for number in range(NAMES)),
    Way(name="set again", path=f"/secrets/leak-same?{API}", stored=True),
    Way(
        name="set in chunks",
        path=f"/secrets/leak-chunks?{API}",
        body=chunked,
        framed=False,
        more=(_CHUNKED,),
        stored=True,
    ),
    Way(name="set as text", path=f"/secrets/leak-text?{API}", more=("Content-Type: text/plain",), stored=True),
    Way(
        name="set disabled",
        path=f"/secrets/leak-off?{API}",
        body='{"value":%s,"attributes":{"enabled":false}}',
        stored=True,
    ),
    Way(
        name="set with all",
        path=f"/secrets/leak-all?{API}",
        body='{"value":%s,"tags":{"a":"b"},"contentType":"c"}',
        stored=True,
    ),
    Way(name="set with more", path=f"/secrets/leak-more?{API}", body='{"value":%s,"unknown":[%s]}', stored=True),
    Way(name="set of old", path="/secrets/leak-old?api-version=2016-10-01", stored=True),
]

_BY_CALLERS = [
    *(
        Way(name=f"set by {caller}", caller=caller)
        for caller in ("stranger", "reader", "misfit", None, "Bearer x.y.z", "Basic eDp5")
    ),
    *(
        Way(name=f"set as {name[:12]}", path=f"/secrets/{name}?{API}")
        for name in ("under_score", "x" * 128, "%00", "%ff", "a/b", f"a/{'0' * 32}")
    ),
    *(
        Way(name=f"set with {query}", path=f"/secrets/leak-refused?{query}")
        for query in ("", "api-version=1", "api-version=", "api-version=%zz")
    ),
    *(
        Way(name=f"{method} it", method=method, path=f"/secrets/leak-nowhere?{API}")
        for method in ("POST", "DELETE", "GET", "OPTIONS", "BREW")
    ),
    *(Way(name=f"at {host}", host=host) for host in ("nobody.vault.localhost", "nobody.localhost", "no_host", "a b")),
    Way(name="deleted name", path=f"/secrets/leak-deleted?{API}"),
]

_TEMPLATES = (
    '{"value":%s', '{"value":[%s]}', '{"value":{"a":%s}}', '{"value":"x","contentType":[%s]}', "[%s]", "%s",
    '{"value":%s,"tags":{"a":1}}', '{"value":%s,"attributes":{"exp":"x"}}', '{"value":%s,"attributes":5}',
    '{"value":%s}}', '{"vaule":%s}', '{"value":"x","tags":[%s]}', '{"value":"x","attributes":{"enabled":%s}}',
    '{"value":%s,"attributes":{"exp":-1}}', '{"value":%s,"x":"\\ud800"}', "{%s:1}", "{%s}",
    '{"value":%s,"attributes":{"nbf":1e999}}', '{"value":"x","attributes":{"exp":%s}}', '{"value":5,"x":%s}',
    '{"value":null,"y":{"z":[%s]}}',
)  # fmt: skip
_BAD_JSON = [
    *(Way(name=f"PUT {template}", body=template) for template in _TEMPLATES),
    *(
        Way(name=f"PATCH {template}", method="PATCH", path=f"/secrets/fuzz-3/?{API}", body=template)
        for template in _TEMPLATES
    ),
    Way(
        name="too many tags beside",
        body='{"value":%s,"tags":' + json.dumps({f"t{number}": "x" for number in range(16)}) + "}",
    ),
]

_SHAPES: dict[str, Shape] = {
    "naked": _raw,
    "too long": partial(_longer, field="value", by=25_601),
    "as a tag too long": partial(_longer, field="tag", by=513),
    "as a type too long": partial(_longer, field="contentType", by=256),
    "oversized": partial(_filled, size=600_000),
    "no UTF-8 before": partial(_around, before=b"\xff"),
    "no UTF-8 behind": partial(_around, before=b'{"value":"', after=b'\xe4"}'),
    "UTF-16": partial(_dumped, coding="utf-16"),
    "with a mark": partial(_dumped, before=b"\xef\xbb\xbf"),
    "packed": _packed,
    "deep": partial(_around, before=b"[" * 3000),
    "as a form": lambda value: urlencode({"value": value}).encode(),
}
_TYPES = (
    "multipart/form-data; boundary=x",
    "application/x-www-form-urlencoded",
    "application/json; charset=utf-16",
    "x",
)
_BAD_BODIES = [
    *(Way(name=f"body {name}", body=shape) for name, shape in _SHAPES.items()),
    *(
        Way(name=f"body naked, {kind}", body=_raw, more=(f"Content-Type: {kind}", "Content-Encoding: br"))
        for kind in _TYPES
    ),
    Way(name="chunks that are none", body=_raw, framed=False, more=(_CHUNKED,)),
    Way(
        name="in a chunk's extension",
        body=partial(_around, before=b"5;", after=b"\r\nhello\r\n0\r\n\r\n"),
        framed=False,
        more=(_CHUNKED,),
    ),
    Way(
        name="in a trailer",
        body=partial(_around, before=b"0\r\nX: ", after=b"\r\n\r\n"),
        framed=False,
        more=(_CHUNKED,),
    ),
    Way(name="with a GET", method="GET", path=f"/secrets?{API}"),
    Way(name="with a DELETE", method="DELETE", path=f"/deletedsecrets/leak-nowhere?{API}"),
    Way(name="with a HEAD", method="HEAD", path=f"/secrets/fuzz-1?{API}"),
]


def _restoring(target: Target) -> list[Way]:
    blob = target.blobs[0].encode()
    shapes: dict[str, Shape] = {
        "as it is": lambda value: value.encode(),
        "coded": lambda value: url64(value.encode()).encode(),
        "behind a blob": lambda value: blob[: len(blob) // 8 * 4] + url64(value.encode()).encode(),
        "before a blob": lambda value: url64(value.encode()).encode() + blob,
        "with the right mark": lambda value: url64(
            b"\x29AzureKeyVaultSecretBackupV1.microsoft.com" + value.encode()
        ).encode(),
    }

    def body(value: str, *, shape: Shape) -> bytes:
        return json.dumps({"value": shape(value).decode()}).encode()

    path = f"/secrets/restore?{API}"
    return [
        Way(name=f"restore {name}", method="POST", path=path, body=partial(body, shape=shape))
        for name, shape in shapes.items()
    ]


_PATHS = (
    *(
        "/secrets/{v}",
        "/secrets/fuzz-1/{v}",
        "/secrets/{v}/versions",
        "/deletedsecrets/{v}",
        "/{v}",
        "/secrets/fuzz-1/backup/{v}",
    ),
    *("//{v}", "/claviger/switches/{v}", "https://x/{v}"),
)
_QUERIES = (
    "api-version={v}",
    f"{API}&maxresults={{v}}",
    f"{API}&$skiptoken={{v}}",
    f"{API}&{{v}}=x",
    "{v}",
    f"{API}&outContentType={{v}}",
)
_HEADERS = (
    "Authorization: Bearer {raw}", "Authorization: {raw} x", "Authorization: PoP {raw}",
    "x-ms-client-request-id: {raw}", "X-HTTP-METHOD: {raw}", "Cookie: a={raw}", "Content-Type: {raw}", "{raw}: x",
    "Expect: {raw}", "Content-Length: {raw}", "Transfer-Encoding: {raw}", "Referer: https://x/{raw}",
)  # fmt: skip
_IN_HEADS = [
    *(Way(name=f"GET {path}", method="GET", path=f"{path}?{API}", body="", silent=False) for path in _PATHS),
    *(Way(name=f"?{query}", method="GET", path=f"/secrets?{query}", body="", silent=False) for query in _QUERIES),
    *(
        Way(
            name=line,
            method="GET",
            path=f"/secrets/fuzz-1?{API}",
            body="",
            caller=None,
            more=(line,),
            framed=False,
            silent=False,
        )
        for line in _HEADERS
    ),
    Way(name="bearer in base64", method="GET", path=f"/secrets?{API}", caller="Bearer a.{b64}.c", silent=False),
    Way(name="as a method", method="{raw}", path=f"/secrets?{API}", body=""),
    Way(name="as a vault", method="GET", path=f"/secrets?{API}", host="{raw}.vault.localhost", body="", silent=False),
    Way(name="as a host", method="GET", path=f"/secrets?{API}", host="{raw}", body="", silent=False),
    Way(name="asking for health", method="GET", path="/health?{v}", body="", caller=None),
    Way(name="posted to the metrics", method="POST", path="/metrics", body=_raw, caller=None),
]


def _signing_in(target: Target) -> list[Way]:
    tenant, demo = target.tenant_id, target.applications["demo"].client_id
    right = {"grant_type": "client_credentials", "client_id": demo, "scope": "https://vault.azure.net/.default"}

    def form(value: str, *, field: str, fields: dict[str, str], times: int = 1) -> bytes:
        return urlencode(fields | {field: value * times}).encode()

    def twice(value: str) -> bytes:
        return urlencode([("client_secret", value)] * 2).encode()

    def as_json(value: str) -> bytes:
        return json.dumps(right | {"client_secret": value}).encode()

    wrong = {
        "of nobody": {"client_id": "nobody"},
        "with a bad scope": {"scope": "x"},
        "with a bad grant": {"grant_type": "x"},
    }
    forms = {"wrong": right, "alone": {}, **{name: right | change for name, change in wrong.items()}}
    token = f"/{tenant}/oauth2/v2.0/token"
    identity = "/msi/token?api-version=2019-08-01&resource=https://vault.azure.net"
    post = partial(Way, method="POST", host=LOGIN, caller=None, more=(FORM,))
    get = partial(Way, method="GET", host=LOGIN, caller=None, body="")
    paths = (token, f"/{tenant}/oauth2/token", "/nowhere.example/oauth2/v2.0/token")
    return [
        *(
            post(name=f"secret {name}", path=path, body=partial(form, field="client_secret", fields=fields))
            for name, fields in forms.items()
            for path in paths
        ),
        *(
            post(name=f"as {field}", path=token, body=partial(form, field=field, fields=right))
            for field in ("client_assertion", "password", "claims", "code")
        ),
        post(name="form too large", path=token, body=partial(form, field="client_secret", fields=right, times=3000)),
        post(name="form twice", path=token, body=twice),
        post(name="form as it is", path=token, body=_raw),
        post(name="form as JSON", path=token, body=as_json, more=("Content-Type: application/json",)),
        post(name="Basic", path=token, body="", caller="Basic {basic}"),
        post(name="Basic as it is", path=token, body="", caller="Basic {raw}"),
        post(name="in the token's query", path=f"{token}?client_secret={{v}}", body=urlencode(right)),
        post(name="as a tenant", path="/{v}/oauth2/v2.0/token", body=urlencode(right), silent=False),
        get(name="secret by GET", path=f"{token}?client_secret={{v}}"),
        get(name="identity header", path=identity, more=("X-IDENTITY-HEADER: {raw}",)),
        get(name="identity of another", path=f"{identity}&client_id={{v}}"),
        get(name="bearer to the login host", path="/common/discovery/keys", caller="Bearer {b64}"),
    ]


_GROUP = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}"
_VAULT = f"{_GROUP}/providers/Microsoft.KeyVault/vaults/fuzz-vault?api-version=2023-07-01"
_VAULT_TEMPLATES = (
    '{"value":%s', "%s", '{"location":"local","properties":{"secret":%s}}', '{"location":[%s]}',
    '{"properties":{"sku":%s}}', '{"properties":{"createMode":%s}}',
    '{"properties":{"accessPolicies":[{"tenantId":%s}]}}',
    '{"properties":{"tenantId":%s,"sku":{"family":"A","name":%s}}}', '{"location":%s,"properties":{}}',
)  # fmt: skip
_MANAGED = (
    "/subscriptions/{v}?x=y",
    f"{_GROUP}/{{v}}?x=y",
    f"{_GROUP}/providers/{{v}}/vaults?x=y",
    f"{_GROUP}/resources?$filter={{v}}",
)
_MANAGING = [
    *(
        Way(name=f"{method} a vault {body}", method=method, path=_VAULT, body=body, host=MANAGEMENT, silent=False)
        for body in _VAULT_TEMPLATES
        for method in ("PUT", "PATCH")
    ),
    *(
        Way(
            name=f"management {path[-20:]}",
            method="GET",
            path=f"{path}&api-version=2022-12-01",
            body="",
            host=MANAGEMENT,
            silent=False,
        )
        for path in _MANAGED
    ),
    Way(
        name="bearer to the management",
        method="GET",
        path="/subscriptions?api-version=2022-12-01",
        body="",
        host=MANAGEMENT,
        caller="Bearer {b64}",
        silent=False,
    ),
    Way(
        name="version of the metadata",
        method="GET",
        path="/metadata/endpoints?api-version={v}",
        body="",
        host=MANAGEMENT,
        silent=False,
    ),
]

_NO_HTTP = [
    Way(name="no HTTP at all", whole=partial(_around, before=b"", after=b"\r\n\r\n")),
    Way(name="a bad version", whole=partial(_around, before=b"GET /", after=b" HTTP/7.7\r\n\r\n")),
    Way(name="a NUL behind it", method="GET", path="/", body="", more=("X: {raw}\0",)),
    Way(
        name="a header without end",
        whole=lambda value: b"GET / HTTP/1.1\r\nX: " + _filled(value, size=70_000).replace(b"\n", b""),
    ),
    Way(
        name="a target without end",
        whole=lambda value: b"GET /" + quote(value, safe="").encode() * 600 + b" HTTP/1.1\r\n\r\n",
    ),
    Way(
        name="cut short",
        whole=lambda value: b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 90000\r\n\r\n" + value.encode(),
    ),
]
