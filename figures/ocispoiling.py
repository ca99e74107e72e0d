"""What is done to a right OCI request: in its path, query, body, headers, host or method, or in its signature.

`spoilt` takes a draft and gives the bytes on the wire, and what must come of them. A request may be signed after it was
spoilt, so that what is behind the signature has to cope with it, or before, so that the signature must not hold.
"""

from __future__ import annotations

import base64
import json
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import formatdate
from hashlib import sha256
from typing import Any

from bench.oci_signing import GET_NAMES, POST_NAMES, WITH_BODY, Signer, written
from figures.ocidrafts import Draft
from figures.ocioperations import host
from figures.ocitarget import OciTarget
from figures.varying import METHODS, MORE_HEADERS, TEXTS, places_in

NASTY = (
    "%00", "%2F", "%2f..%2f", "..", "%c0%ae", "%", "%zz", "a" * 300, "a" * 4000, "%F0%9F%94%91", "*", "'", "%22",
    "ocid1.key.oc1.iad.aaaa.bbbb", "ocid1.vault.oc1..", "null", "-1", "1e3", "0", "99999999999", "%0d%0aX:y", ";x=y",
)  # fmt: skip
QUERIES = (
    "limit=0", "limit=-1", "limit=1001", "limit=99999999999", "limit=abc", "limit=", "limit=1&limit=2", "page=AAAA",
    "page=%2F%2B%3D", "page=WyJUSU1FQ1JFQVRFRCIsZmFsc2UsMSwxXQ", "page=" + "A" * 2000, "page=%ff", "sortBy=NAME",
    "sortBy=x", "sortOrder=up", "sortBy=DISPLAYNAME&sortOrder=DESC", "compartmentId=", "compartmentId=%00",
    "compartmentId=ocid1.compartment.oc1..aaaa", "compartmentId=%F0%9F%94%91", "length=x", "algorithm=DES", "x",
    "curveId=NIST_P256&length=32", "lifecycleState=ACTIVE", "lifecycleState=?", "versionNumber=0", "stage=NEXT",
    "versionNumber=1&stage=CURRENT", "&".join(f"a{n}=b" for n in range(60)), "=", "&&&", "%=%", "a=" + "b" * 5000,
    "vaultId='%20OR%201=1", "name=%25", "prefix=%00", "start=%ff", "fields=size,md5,x", "delimiter=ab",
)  # fmt: skip
HEADERS: tuple[tuple[str, str], ...] = (
    ("opc-request-id", "x" * 129), ("opc-request-id", "a/b"), ("opc-request-id", ""), ("opc-request-id", "a\xe4"),
    ("opc-retry-token", "t" * 64), ("opc-retry-token", "t" * 65), ("opc-retry-token", "same"), ("opc-retry-token", ""),
    ("opc-retry-token", "\xff"), ("if-match", "*"), ("if-match", "0" * 40), ("if-match", '"x--gzip"'),
    ("if-match", "x" * 5000), ("if-none-match", "*"), ("content-md5", "AAAA"), ("content-md5", "x" * 400),
    ("accept", "text/html"), ("accept-encoding", "gzip, br"), ("opc-client-retries", "true"),
    ("x-date", "Mon, 05 Jan 2026 21:31:40 GMT"), ("content-encoding", "gzip"), ("expect", "100-continue"),
    ("authorization", "Signature version=\"1\""), ("x-content-sha256", "AAAA"), ("range", "bytes=0-0"),
)  # fmt: skip
BODIES = (
    b"", b"null", b"[]", b"0", b'""', b"{", b"{}}", b"\xef\xbb\xbf{}", b'{"a":"\xff"}', b'{"a":"\\ud800"}', b"NaN",
    b"[" * 5000, b'{"a":' * 500, b'{"compartmentId":1e400}', b'{"displayName":"a","displayName":"b"}', b"\0" * 20,
    '{"displayName":"x"}'.encode("utf-16"), b'{"x":"' + b"y" * 70_000 + b'"}', b'{"' + b"z" * 60_000 + b'":1}',
    b'{"freeformTags":{' + b",".join(b'"k%d":"v"' % n for n in range(200)) + b"}}", b"a=b&c=d", b" " * 100,
)  # fmt: skip
DATES = (
    lambda now: formatdate(now - 301 - 5, usegmt=True), lambda now: formatdate(now + 301 + 60, usegmt=True),
    lambda _: "", lambda _: "yesterday", lambda now: str(int(now)), lambda now: formatdate(now, localtime=True),
    lambda now: formatdate(now, usegmt=True).replace("GMT", "UTC"), lambda _: "Mon, 99 Jan 2026 99:99:99 GMT",
    lambda now: formatdate(now, usegmt=True).lower(), lambda _: "x" * 3000,
)  # fmt: skip


@dataclass(frozen=True)
class Sent:
    """A request ready for the wire. `must_refuse`: its signature does not hold for what it is."""

    draft: Draft
    raw: bytes
    must_refuse: bool
    is_ours: bool
    """Whether it names a host of OCI, so that every answer has OCI's shape."""
    request_id: str | None


def spoilt(draft: Draft, target: OciTarget, dice: random.Random) -> Sent:
    """The request as drawn, signed well; or spoilt and then signed; or signed and then spoilt."""
    signer = target.signers[draft.caller]
    way = dice.random()
    if way < 0.12:
        return _sent(draft, _signed(draft, target, signer), must_refuse=False)
    if way < 0.67:
        for trick in dice.choices(TRICKS, k=dice.choice((1, 1, 1, 2, 3))):
            trick(draft, target, dice)
        return _sent(draft, _signed(draft, target, signer), must_refuse=False)
    if way < 0.80:
        before = _meaning(draft)
        headers = _signed(draft, target, signer)
        dice.choice(SIGNED_TRICKS)(draft, target, dice)
        draft.oddities.append("after signing")
        return _sent(draft, _carried_over(draft, target, headers), must_refuse=_meaning(draft) != before)
    headers, must_refuse = _badly_signed(draft, target, signer, dice)
    return _sent(draft, headers, must_refuse=must_refuse)


def _meaning(draft: Draft) -> tuple[object, ...]:
    """What of a request is signed."""
    body = (draft.body or b"") if draft.method in WITH_BODY else b""
    return draft.method.lower(), draft.host, draft.target, body


def _place(draft: Draft, target: OciTarget) -> str:
    return draft.host if ":" in draft.host else f"{draft.host}:{target.port}"


def _signed(draft: Draft, target: OciTarget, signer: Signer) -> list[tuple[str, str]]:
    return signer.headers(draft.method, _place(draft, target), draft.target, draft.body, time.time())


def _carried_over(draft: Draft, target: OciTarget, headers: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """The headers of another request on this one; only its host and its length are told as they are."""
    own = {"host": _place(draft, target)}
    if draft.body is not None or draft.method in WITH_BODY:
        own["content-length"] = str(len(draft.body or b""))
    return [(name, value) for name, value in headers if name not in ("host", "content-length")] + list(own.items())


def _sent(draft: Draft, headers: list[tuple[str, str]], *, must_refuse: bool) -> Sent:
    given = {name for name, _ in headers}
    if draft.body and "content-length" not in given:
        headers = [*headers, ("content-length", str(len(draft.body)))]
    raw = written(draft.method, draft.target, [*headers, *draft.headers], draft.body)
    ids = [value for name, value in draft.headers if name == "opc-request-id"]
    is_ours = not any(one in ("host", "path", "method") for one in draft.oddities)
    return Sent(draft, raw, must_refuse, is_ours, ids[0] if len(ids) == 1 else None)


# What is spoilt of the request itself.


def _path(draft: Draft, _: OciTarget, dice: random.Random) -> None:
    path, mark, query = draft.target.partition("?")
    parts = path.split("/")
    at = dice.randrange(1, len(parts))
    way = dice.randrange(6)
    if way == 0:
        parts.insert(at, dice.choice(NASTY))
    elif way == 1:
        parts[at] = parts[at].upper() if dice.random() < 0.5 else dice.choice(("20160918", "20190301", "20180608", "n"))
    elif way == 2:
        parts = ["", *parts] if dice.random() < 0.5 else [*parts, ""]
    else:
        parts[-1 if way == 3 else at] = dice.choice(NASTY)
    draft.target = "/".join(parts) + mark + query
    draft.oddities.append("path")


def _query(draft: Draft, _: OciTarget, dice: random.Random) -> None:
    path, _mark, query = draft.target.partition("?")
    more = dice.choice(QUERIES)
    kept = query.split("&") if query else []
    if kept and dice.random() < 0.4:
        kept.pop(dice.randrange(len(kept)))
    draft.target = path + "?" + "&".join(dice.sample([*kept, more], len(kept) + 1))
    draft.oddities.append("query")


def _fields(draft: Draft, _: OciTarget, dice: random.Random) -> None:
    """Something else in the place of one field of the body, one field less, one twice, or one more."""
    try:
        told: Any = json.loads(draft.body or b"{}")
    except (ValueError, RecursionError):
        return
    places = list(places_in(told))
    way = dice.randrange(8)
    if not places or way == 0:
        draft.body = (
            b'{"fuzz":%s' % json.dumps(dice.choice(TEXTS)).encode()
            + (b"," if places else b"")
            + json.dumps(told).encode()[1:]
        )
    elif way == 1:
        key = json.dumps(str(dice.choice(places)[1])).encode()
        draft.body = b"{" + key + b":0," + json.dumps(told).encode()[1:]
    else:
        within, name = dice.choice(places)
        if way == 2 and isinstance(within, dict):
            del within[name]
        elif way == 3:
            within[name] = [within[name]] if dice.random() < 0.5 else {"a": within[name]}
        else:
            within[name] = dice.choice(TEXTS)
        draft.body = json.dumps(told).encode()
    draft.oddities.append("fields")


def _body(draft: Draft, _: OciTarget, dice: random.Random) -> None:
    body = draft.body or b""
    at = dice.randrange(len(body) + 1)
    draft.body = dice.choice((*BODIES, body[:at], body[:at] + dice.randbytes(8) + body[at:], body * 2))
    draft.oddities.append("body")


def _headers(draft: Draft, _: OciTarget, dice: random.Random) -> None:
    more = [dice.choice(HEADERS)] if dice.random() < 0.8 else list(dice.choice(MORE_HEADERS))
    draft.headers += [(name, value) for name, value in more if name.lower() not in ("connection", "upgrade")]
    draft.oddities.append("headers")


def _method(draft: Draft, _: OciTarget, dice: random.Random) -> None:
    draft.method = dice.choice(METHODS)
    draft.oddities.append("method")


def _host(draft: Draft, target: OciTarget, dice: random.Random) -> None:
    planes = ("control", "management", "crypto", "secrets", "bundles", "identity", "storage")
    kept = target.kept_vault.split(".")[4]
    draft.host = dice.choice((
        host(dice.choice(planes), target.around.prefix), host("management", kept), host("crypto", kept),
        host(dice.choice(planes), target.around.prefix, "eu-frankfurt-1"), draft.host.upper(), f"{draft.host}.",
        host("management", "aaaaaaaaaaaaa"), host(dice.choice(planes), target.around.prefix, "no-where-1"),
        "localhost", "127.0.0.1", draft.host.replace("localhost", "oraclecloud.com"), f"{draft.host}:99999",
    ))  # fmt: skip
    draft.oddities.append("host")


Trick = Callable[[Draft, OciTarget, random.Random], None]
TRICKS: tuple[Trick, ...] = (
    _path,
    _path,
    _query,
    _query,
    _fields,
    _fields,
    _fields,
    _fields,
    _body,
    _headers,
    _headers,
    _method,
    _host,
)
SIGNED_TRICKS: tuple[Trick, ...] = (_path, _query, _query, _fields, _fields, _body, _method, _host)


# What is spoilt of the signature.


def _badly_signed(
    draft: Draft, target: OciTarget, signer: Signer, dice: random.Random
) -> tuple[list[tuple[str, str]], bool]:
    """The headers with a signature that is wrong, or odd and right; whether it must be refused."""
    way = dice.choice(SIGNATURES)
    draft.oddities.append(f"signature: {way.__name__.strip('_')}")
    headers = dict(_signed(draft, target, signer))
    names = POST_NAMES if draft.method in WITH_BODY else GET_NAMES
    values = {**headers, "(request-target)": f"{draft.method.lower()} {draft.target}"}
    must_refuse = way(headers, values, names, signer, dice)
    return list(headers.items()), must_refuse


Values = dict[str, str]
Names = tuple[str, ...]


def _resign(headers: Values, values: Mapping[str, str], names: Names, signer: Signer) -> None:
    headers["authorization"] = signer.authorization(names, {**values, **headers})


def _dates(headers: Values, values: Values, names: Names, signer: Signer, dice: random.Random) -> bool:
    headers["date"] = dice.choice(DATES)(time.time())
    _resign(headers, values, names, signer)
    return True


def _fewer_names(headers: Values, values: Values, names: Names, signer: Signer, dice: random.Random) -> bool:
    left = tuple(dice.sample(names, dice.randrange(1, len(names))))
    _resign(headers, values, left, signer)
    return True


def _other_order(headers: Values, values: Values, names: Names, signer: Signer, dice: random.Random) -> bool:
    _resign(headers, values, tuple(dice.sample(names, len(names))), signer)
    return False


def _names_twice(headers: Values, values: Values, names: Names, signer: Signer, dice: random.Random) -> bool:
    more = dice.choice((names[0], "x-not-there", "(request-target)", "", "Host", "authorization"))
    _resign(headers, {**values, more: values.get(more, "")}, (*names, more), signer)
    return more != ""


def _parameters(headers: Values, values: Values, names: Names, signer: Signer, dice: random.Random) -> bool:
    was = headers["authorization"]
    old, new = dice.choice((
        ('algorithm="rsa-sha256"', 'algorithm="rsa-sha1"'), ('algorithm="rsa-sha256"', 'algorithm="hmac-sha256"'),
        ('version="1"', 'version="2"'), (',version="1"', ""), ("Signature ", "Bearer "), ("Signature ", ""),
        ("Signature ", "signature="), ('keyId="', 'keyId="ST$'), ('keyId="', 'keyId="/'), ("ocid1.user", "ocid1.users"),
        ("ocid1.tenancy", "ocid1.tenanc\xff"), ('keyId="', 'keyId="' + "x" * 20_000), ('"', "'"), (",", ";"), (",", ""),
        ('headers="', 'headers="'.upper()), ('version="1"', 'version="1",version="1"'), ("=", ":"),
        ('signature="', 'signature="AAAA'), ('signature="', 'signature="\\"'), (":", ""),
    ))  # fmt: skip
    headers["authorization"] = was.replace(old, new)
    return headers["authorization"] != was


def _damaged(headers: Values, values: Values, names: Names, signer: Signer, dice: random.Random) -> bool:
    text = signer.signature(names, values)
    signed = bytearray(base64.b64decode(text))
    signed[dice.randrange(len(signed))] ^= 1 << dice.randrange(8)
    bad = dice.choice(
        (base64.b64encode(signed).decode(), text[:-8], "", text + "AAAA", text[::-1], "!" * 344, text.lower())
    )
    headers["authorization"] = headers["authorization"].replace(f'signature="{text}"', f'signature="{bad}"')
    return True


def _nobody(headers: Values, values: Values, names: Names, signer: Signer, dice: random.Random) -> bool:
    del headers["authorization"]
    return True


def _of_another(headers: Values, values: Values, names: Names, signer: Signer, dice: random.Random) -> bool:
    """Signed by one, in the name of another one."""
    parts = signer.key_id.split("/")
    parts[dice.randrange(3)] = dice.choice(("ocid1.user.oc1..aaaa", "00:" * 15 + "00", "", "x"))
    headers["authorization"] = headers["authorization"].replace(signer.key_id, "/".join(parts))
    return True


def _wrong_digest(headers: Values, values: Values, names: Names, signer: Signer, dice: random.Random) -> bool:
    if "x-content-sha256" not in headers:
        return False
    digest = sha256(dice.randbytes(8)).digest()
    headers["x-content-sha256"] = dice.choice((base64.b64encode(digest).decode(), digest.hex(), "", "x" * 2000))
    _resign(headers, values, names, signer)
    return True


SIGNATURES: tuple[Callable[[Values, Values, Names, Signer, random.Random], bool], ...] = (
    _dates, _dates, _fewer_names, _other_order, _names_twice, _parameters, _parameters, _parameters, _damaged, _damaged,
    _nobody, _of_another, _wrong_digest,
)  # fmt: skip
