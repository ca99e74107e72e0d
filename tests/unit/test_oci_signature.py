"""Request signatures of OCI: both vectors of the contract (§13.3), and every kind of signature that must not pass."""

from __future__ import annotations

import base64
from collections.abc import Callable
from email.utils import formatdate
from hashlib import sha256
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from claviger.core.asgi import Headers, Scope
from claviger.core.clock import ManualClock
from claviger.core.errors import Unauthenticated
from claviger.ocikms.calls import Caller
from claviger.ocikms.errors import NOT_AUTHENTICATED, told
from claviger.ocikms.signature import WINDOW_S, Head, Verifier, check_body, read_authorization
from tests.oci_requests import EXAMPLE_FINGERPRINT, EXAMPLE_KEY

TENANCY, USER = "ocid1.tenancy.oc1..aaaatenancy", "ocid1.user.oc1..aaaauser"
CALLER = Caller(TENANCY, 1, USER, "demo", EXAMPLE_FINGERPRINT)
KEY_ID = f"{TENANCY}/{USER}/{EXAMPLE_FINGERPRINT}"
VECTOR_DATE, VECTOR_AT = b"Mon, 05 Jan 2026 21:31:40 GMT", 1767648700.0
HOST = b"abcd1234-management.kms.us-ashburn-1.oraclecloud.com"
GET_TARGET = b"/20180608/keys?compartmentId=ocid1.compartment.oc1..aaaa&limit=10"
GET_SIGNATURE = (
    "pLApNw/gKOfQS2TuA6Ek7ierslYdIrzswV2dU9LBDTQ+xjqjNJ2LNLlnEd5NstefZd7msTNZ4hT9nXXGs9iG2p0v+I9ufIXGDXonB6TBVC1Bj"
    "VFMYPtWKDjMpViEAnI5pxM0Rym3DoaFKLmO8tl+FsbA1DioxKpnDyFFzuP+fWRA7WtVCFYXA9RDoNIL6JQI93hAMoXPNmlCduSXKVRDzByEcR"
    "W56knHohZ/40AEVUodB+4KNNzN4+czq88t56ccLhVsRFFhNtfZYoNZ4A87rRQU4/HFjBszTiTjF+EBmD4REo1n3MDSfinJzd9DaWt171s5k+O"
    "bp7zyVTdYy62DdQ=="
)
POST_TARGET = b"/20180608/keys/ocid1.key.oc1.iad.abcd1234.xyz/actions/scheduleDeletion"
POST_BODY = b'{"timeOfDeletion": "2026-02-01T10:00:00Z"}'
POST_SIGNATURE = (
    "M9F6Dp/GkqMTbZznWRxRuDmxl9sT++f0Uxwfm90xrO1pdbvwmhFgxzvvvYA7Bw0elhn1WyW70VkmSVL0F0ifkeAB/L0dtTACfEvsL1lsj4HO7"
    "Yc+3OlNKArBXSjK60Lw8Z6hmKqxpdyvY+7BOURKOATPtBn5fn+vUvG4emWWo1RZqTeu+4fnZexC9nQeNT3f4UM8D4ZiqTDcFIRe5/28fVpglK"
    "pHzJlQ0eSNA10943IkHgamJfo7phHYsIHIlYLKBa9VrnPVfrsmU2nJUussNijS7fUM5pFbSAv6+y29bUaS7nMXedrvZQ8Wif0lFbQ55dz1Swl"
    "UKIf88mMTy4LNSw=="
)
GET_NAMES = "date (request-target) host"
POST_NAMES = f"{GET_NAMES} content-length content-type x-content-sha256"

PRIVATE = rsa.generate_private_key(65537, 2048)
STRANGE = rsa.generate_private_key(65537, 2048)
EMPTY_HASH = b"47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
AT = 1_800_000_000.0


def pem_of(private: Any) -> str:
    """Its public key."""
    form = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    return str(private.public_key().public_bytes(*form).decode())


PUBLIC = pem_of(PRIVATE)


def scope_of(method: str, target: bytes, headers: Headers) -> Scope:
    path, _, query = target.partition(b"?")
    return {"type": "http", "method": method, "raw_path": path, "query_string": query, "headers": headers}


def authorization(signature: str, names: str, /, **other: str) -> bytes:
    """The header as the SDK writes it, with some of its parameters replaced."""
    given = {"algorithm": "rsa-sha256", "headers": names, "keyId": KEY_ID, "signature": signature, "version": "1"}
    told = ",".join(f'{name}="{value}"' for name, value in {**given, **other}.items())
    return f"Signature {told}".encode()


def admitted(verifier: Verifier, scope: Scope, body: bytes = b"", *, public: str = PUBLIC, **more: Any) -> Caller:
    """Verifies head and body as the funnel does."""
    known = {(TENANCY, USER, EXAMPLE_FINGERPRINT): (CALLER, public)}
    head = Head(scope)
    caller, signature = verifier.admit(head, lambda *key: known.get(key), **more)
    if head.method in ("POST", "PUT", "PATCH"):
        check_body(head, signature, body)
    return caller


# The vectors.


def vector(method: str) -> Scope:
    headers = [(b"date", VECTOR_DATE), (b"host", HOST)]
    if method == "GET":
        value = authorization(GET_SIGNATURE, GET_NAMES)
        return scope_of("GET", GET_TARGET, [*headers, (b"authorization", value)])
    headers += [
        (b"content-length", b"42"),
        (b"content-type", b"application/json"),
        (b"x-content-sha256", b"W84+Fyfhe6/EaPDdcs0q0TQQHiYSF8iO3NSJyFDHDS8="),
        (b"authorization", authorization(POST_SIGNATURE, POST_NAMES)),
    ]
    return scope_of("POST", POST_TARGET, headers)


def test_the_vectors_hold() -> None:
    verifier = Verifier(ManualClock(VECTOR_AT))
    assert admitted(verifier, vector("GET"), public=EXAMPLE_KEY) is CALLER
    assert admitted(verifier, vector("POST"), POST_BODY, public=EXAMPLE_KEY) is CALLER


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_vector_of_which_one_byte_is_changed_does_not_hold(method: str) -> None:
    scope = vector(method)
    scope["raw_path"] = scope["raw_path"][:-1] + b"X"
    with pytest.raises(Unauthenticated):
        admitted(Verifier(ManualClock(VECTOR_AT)), scope, POST_BODY, public=EXAMPLE_KEY)


# Signatures made here, as the SDK makes them.


def signed(
    method: str = "GET",
    target: bytes = b"/20180608/vaults/ocid1.vault.oc1..x",
    body: bytes = b"",
    *,
    at: float = AT,
    names: str | None = None,
    private: Any = PRIVATE,
    more: Headers | None = None,
    told_names: str | None = None,
    **parameters: str,
) -> Scope:
    """A request that is signed well, but for what is told otherwise."""
    has_body = method in ("POST", "PUT", "PATCH")
    names = names or (POST_NAMES if has_body else GET_NAMES)
    headers: Headers = [
        (b"host", b"kms.us-ashburn-1.localhost:8443"),
        (b"date", formatdate(at, usegmt=True).encode()),
        (b"content-type", b"application/json"),
    ]
    if has_body:
        digest = base64.b64encode(sha256(body).digest())
        headers += [(b"content-length", b"%d" % len(body)), (b"x-content-sha256", digest)]
    headers += more or []
    values = {name.decode(): value.decode() for name, value in headers}
    values["(request-target)"] = f"{method.lower()} {target.decode()}"
    text = "\n".join(f"{name.lower()}: {values[name.lower()].strip()}" for name in names.split())
    signature = base64.b64encode(private.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())).decode()
    value = authorization(signature, names if told_names is None else told_names, **parameters)
    return scope_of(method, target, [*headers, (b"authorization", value)])


def replaced(scope: Scope, name: bytes, value: bytes | None) -> Scope:
    """With one header altered, or taken away."""
    kept = [(each, was) for each, was in scope["headers"] if each != name]
    return {**scope, "headers": kept if value is None else [*kept, (name, value)]}


def reworded(scope: Scope, change: Callable[[str], str]) -> Scope:
    """With another Authorization header."""
    value = dict(scope["headers"])[b"authorization"].decode()
    return replaced(scope, b"authorization", change(value).encode("utf-8"))


@pytest.fixture
def verifier() -> Verifier:
    return Verifier(ManualClock(AT))


@pytest.mark.parametrize(
    "target",
    [
        b"/20180608/vaults",
        b"//20180608/vaults",
        b"/20180608/vaults/",
        b"/20180608/keys?page=AAAAb%2Fc%2Bd%3D&limit=1",
        b"/20180608/keys?b=2&a=1&a=%20",
        b"/20180608/keys/a%2Fb%2f..",
        b"/20180608/keys?",
        b"/",
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE", "POST", "PUT"])
def test_the_request_line_counts_as_it_came(verifier: Verifier, method: str, target: bytes) -> None:
    assert admitted(verifier, signed(method, target)) is CALLER


@pytest.mark.parametrize("offset", [-WINDOW_S, 0, WINDOW_S])
def test_the_date_may_be_five_minutes_off(verifier: Verifier, offset: int) -> None:
    assert admitted(verifier, signed(at=AT + offset)) is CALLER


def test_a_signed_x_date_counts_before_the_date(verifier: Verifier) -> None:
    late, now = formatdate(AT - 3600, usegmt=True).encode(), formatdate(AT, usegmt=True).encode()
    names = "date x-date (request-target) host"
    assert admitted(verifier, signed(at=AT - 3600, names=names, more=[(b"x-date", now)])) is CALLER
    with pytest.raises(Unauthenticated):
        admitted(verifier, signed(names=names, more=[(b"x-date", late)]))
    assert admitted(verifier, signed(more=[(b"x-date", late)])) is CALLER  # it is not signed, so it says nothing
    assert admitted(verifier, signed(at=AT - 3600, names="x-date (request-target) host", more=[(b"x-date", now)]))


@pytest.mark.parametrize(
    "change",
    [
        lambda value: value.replace("Signature ", "Signature   "),
        lambda value: value.replace("Signature ", "signature "),
        lambda value: value.replace('",', '" , \t'),
        lambda value: "Signature " + ",".join(reversed(value.removeprefix("Signature ").split(","))),
        lambda value: value + ',created="1"',
        lambda value: value.replace('headers="date ', 'headers="Date  '),
    ],
    ids=["blanks-before", "scheme-in-lower-case", "blanks", "other-order", "one-more", "names-in-capitals"],
)
def test_the_header_may_be_written_in_several_ways(verifier: Verifier, change: Callable[[str], str]) -> None:
    assert admitted(verifier, reworded(signed(), change)) is CALLER


def test_blanks_around_a_signed_value_do_not_count(verifier: Verifier) -> None:
    assert admitted(verifier, replaced(signed(), b"host", b" kms.us-ashburn-1.localhost:8443\t")) is CALLER


def test_an_empty_body_is_signed_as_such(verifier: Verifier) -> None:
    scope = signed("POST", b"/20180608/keys/x/actions/enable")
    assert dict(scope["headers"])[b"x-content-sha256"] == EMPTY_HASH
    assert admitted(verifier, scope) is CALLER


def test_a_put_to_object_storage_need_not_sign_its_body(verifier: Verifier) -> None:
    scope = signed("PUT", b"/n/space/b/bucket/o/name", b"content", names=GET_NAMES)
    assert admitted(verifier, scope, b"content", is_body_exempt=True) is CALLER
    with pytest.raises(Unauthenticated):
        admitted(verifier, scope, b"content")
    with pytest.raises(Unauthenticated):  # but where it does, that holds
        admitted(verifier, signed("PUT", b"/n/space", b"content"), b"another", is_body_exempt=True)


GET_DAMAGE: dict[str, Callable[[], Scope]] = {
    "no signature": lambda: replaced(signed(), b"authorization", None),
    "empty": lambda: replaced(signed(), b"authorization", b""),
    "scheme alone": lambda: replaced(signed(), b"authorization", b"Signature"),
    "scheme and a blank": lambda: replaced(signed(), b"authorization", b"Signature "),
    "bearer": lambda: reworded(signed(), lambda value: value.replace("Signature ", "Bearer ")),
    "basic": lambda: replaced(signed(), b"authorization", b"Basic ZGVtbzpkZW1v"),
    "two of them": lambda: {**signed(), "headers": [*signed()["headers"], signed()["headers"][-1]]},
    "not ascii": lambda: reworded(signed(), lambda value: value.replace("rsa", "rsä")),
    "without quotes": lambda: reworded(signed(), lambda value: value.replace('version="1"', "version=1")),
    "half quoted": lambda: reworded(signed(), lambda value: value.removesuffix('"')),
    "no commas": lambda: reworded(signed(), lambda value: value.replace('",', '" ')),
    "a parameter twice": lambda: reworded(signed(), lambda value: value + ',version="1"'),
    "huge": lambda: reworded(signed(), lambda value: value + ',more="' + "x" * 8192 + '"'),
    "many parameters": lambda: reworded(signed(), lambda value: value + "".join(f',p{n}="1"' for n in range(20))),
    "other algorithm": lambda: signed(algorithm="rsa-sha512"),
    "hmac": lambda: signed(algorithm="hmac-sha256"),
    "no algorithm": lambda: reworded(signed(), lambda value: value.replace('algorithm="rsa-sha256",', "")),
    "version 2": lambda: signed(version="2"),
    "no version": lambda: reworded(signed(), lambda value: value.replace(',version="1"', "")),
    "no headers": lambda: reworded(signed(), lambda value: value.replace(f'headers="{GET_NAMES}",', "")),
    "empty headers": lambda: signed(told_names=""),
    "a header named twice": lambda: signed(names=f"{GET_NAMES} host"),
    "many headers": lambda: signed(told_names=GET_NAMES + "".join(f" x-{n}" for n in range(40))),
    "no key id": lambda: reworded(signed(), lambda value: value.replace(f'keyId="{KEY_ID}",', "")),
    "key id of two": lambda: signed(keyId=f"{TENANCY}/{USER}"),
    "key id of four": lambda: signed(keyId=f"{KEY_ID}/x"),
    "security token": lambda: signed(keyId="ST$eyJhbGciOiJSUzI1NiJ9.e30.c2ln"),
    "security token of three": lambda: signed(keyId="ST$a/b/c"),
    "other tenancy": lambda: signed(keyId=f"{TENANCY}x/{USER}/{EXAMPLE_FINGERPRINT}"),
    "other user": lambda: signed(keyId=f"{TENANCY}/{USER}x/{EXAMPLE_FINGERPRINT}"),
    "other fingerprint": lambda: signed(keyId=f"{TENANCY}/{USER}/{EXAMPLE_FINGERPRINT.replace('f5', 'f6')}"),
    "fingerprint in capitals": lambda: signed(keyId=f"{TENANCY}/{USER}/{EXAMPLE_FINGERPRINT.upper()}"),
    "no base64": lambda: signed(signature="***"),
    "base64 with a blank": lambda: reworded(signed(), lambda value: value.replace('signature="', 'signature=" ')),
    "base64 without its end": lambda: reworded(signed(), lambda value: value.replace('==",version', '",version')),
    "no bytes": lambda: signed(signature=""),
    "one byte": lambda: signed(signature="AA=="),
    "zeros": lambda: signed(signature=base64.b64encode(bytes(256)).decode()),
    "too many bytes": lambda: signed(signature=base64.b64encode(bytes(2000)).decode()),
    "key of another": lambda: signed(private=STRANGE),
    "one second too old": lambda: signed(at=AT - WINDOW_S - 1),
    "one second too new": lambda: signed(at=AT + WINDOW_S + 1),
    "no date": lambda: replaced(signed(), b"date", None),
    "other date": lambda: replaced(signed(), b"date", formatdate(AT + 1, usegmt=True).encode()),
    "date is no date": lambda: signed(names="x-date (request-target) host", more=[(b"x-date", b"today")]),
    "date of RFC 850": lambda: signed(
        names="x-date (request-target) host", more=[(b"x-date", b"Friday, 15-Jan-27 08:00:00 GMT")]
    ),
    "date with an offset": lambda: signed(
        names="x-date (request-target) host", more=[(b"x-date", b"Fri, 15 Jan 2027 08:00:00 +0000")]
    ),
    "date of day 0": lambda: signed(
        names="x-date (request-target) host", more=[(b"x-date", b"Fri, 00 Jan 2027 08:00:00 GMT")]
    ),
    "date of hour 25": lambda: signed(
        names="x-date (request-target) host", more=[(b"x-date", b"Fri, 15 Jan 2027 25:00:00 GMT")]
    ),
    "two dates": lambda: {**signed(), "headers": [*signed()["headers"], (b"date", b"x")]},
    "no host": lambda: replaced(signed(), b"host", None),
    "other host": lambda: replaced(signed(), b"host", b"kms.us-phoenix-1.localhost:8443"),
    "host without port": lambda: replaced(signed(), b"host", b"kms.us-ashburn-1.localhost"),
    "host in capitals": lambda: replaced(signed(), b"host", b"KMS.us-ashburn-1.localhost:8443"),
    "two hosts": lambda: {**signed(), "headers": [*signed()["headers"], (b"host", b"x")]},
    "target not signed": lambda: signed(names="date host"),
    "host not signed": lambda: signed(names="date (request-target)"),
    "date not signed": lambda: signed(names="(request-target) host"),
    "a signed header that is not there": lambda: signed(told_names=f"{GET_NAMES} x-other"),
    "names in another order": lambda: signed(told_names="(request-target) date host"),
    "other path": lambda: {**signed(), "raw_path": b"/20180608/vaults/ocid1.vault.oc1..y"},
    "slash collapsed": lambda: {**signed(target=b"//20180608/vaults"), "raw_path": b"/20180608/vaults"},
    "path decoded": lambda: {**signed(target=b"/20180608/vaults/a%2Fb"), "raw_path": b"/20180608/vaults/a/b"},
    "other query": lambda: {**signed(target=b"/x?a=1&b=2"), "query_string": b"b=2&a=1"},
    "no query": lambda: {**signed(target=b"/x?a=1"), "query_string": b""},
    "query added": lambda: {**signed(), "query_string": b"a=1"},
    "other method": lambda: {**signed(), "method": "DELETE"},
}
BODY = b'{"displayName":"one"}'
POST_DAMAGE: dict[str, Callable[[], tuple[Scope, bytes]]] = {
    "other body": lambda: (signed("POST", body=BODY), BODY.replace(b"one", b"two")),
    "shorter body": lambda: (signed("POST", body=BODY), BODY[:-1]),
    "no body": lambda: (signed("POST", body=BODY), b""),
    "a body where there was none": lambda: (signed("POST"), BODY),
    "other hash": lambda: (replaced(signed("POST", body=BODY), b"x-content-sha256", EMPTY_HASH), BODY),
    "no hash": lambda: (replaced(signed("POST", body=BODY), b"x-content-sha256", None), BODY),
    "two hashes": lambda: (
        {**signed("POST"), "headers": [*signed("POST")["headers"], (b"x-content-sha256", EMPTY_HASH)]},
        b"",
    ),
    "no length": lambda: (replaced(signed("POST", body=BODY), b"content-length", None), BODY),
    "other length": lambda: (replaced(signed("POST", body=BODY), b"content-length", b"20"), BODY),
    "no type": lambda: (replaced(signed("POST", body=BODY), b"content-type", None), BODY),
    "other type": lambda: (replaced(signed("POST", body=BODY), b"content-type", b"text/plain"), BODY),
    "body not signed": lambda: (signed("POST", body=BODY, names=GET_NAMES), BODY),
    **{
        f"{name} not signed": lambda name=name: (
            signed("PUT", body=BODY, names=POST_NAMES.replace(f" {name}", "")),
            BODY,
        )
        for name in ("content-length", "content-type", "x-content-sha256")
    },
}


@pytest.mark.parametrize("damage", GET_DAMAGE)
def test_a_damaged_signature_is_refused(verifier: Verifier, damage: str) -> None:
    with pytest.raises(Unauthenticated) as refused:
        admitted(verifier, GET_DAMAGE[damage]())
    assert told(refused.value) == (401, "NotAuthenticated", NOT_AUTHENTICATED)


@pytest.mark.parametrize("damage", POST_DAMAGE)
def test_a_body_that_was_not_signed_is_refused(verifier: Verifier, damage: str) -> None:
    scope, body = POST_DAMAGE[damage]()
    with pytest.raises(Unauthenticated) as refused:
        admitted(verifier, scope, body)
    assert told(refused.value) == (401, "NotAuthenticated", NOT_AUTHENTICATED)


def test_lengths_that_are_no_numbers_are_refused(verifier: Verifier) -> None:
    names = POST_NAMES
    for length in (b"+21", b"2_1", b"", b"9" * 400):
        scope = signed("GET", names=names, more=[(b"content-length", length), (b"x-content-sha256", EMPTY_HASH)])
        with pytest.raises(Unauthenticated):
            check_body(Head(scope), read_authorization(dict(scope["headers"])[b"authorization"])[0], b"")


def test_a_key_that_is_not_rsa_or_no_key_is_refused(verifier: Verifier) -> None:
    for public in (pem_of(ec.generate_private_key(ec.SECP256R1())), "no key", ""):
        with pytest.raises(Unauthenticated):
            admitted(verifier, signed(), public=public)


def test_no_verdict_is_remembered(verifier: Verifier) -> None:
    scope = signed()
    assert admitted(verifier, scope) is CALLER
    with pytest.raises(Unauthenticated):
        admitted(verifier, scope, public=pem_of(STRANGE))
    with pytest.raises(Unauthenticated):
        admitted(verifier, {**scope, "raw_path": b"/20180608/vaults"})


def test_another_parameter_is_never_taken_for_the_signature(verifier: Verifier) -> None:
    def told(before: str, own: str) -> bytes:
        return authorization(own, GET_NAMES).replace(b"Signature ", f'Signature xsignature="{before}",'.encode())

    for before, own in (("AAAA", "AAAA"), ("BBBB", "AAAA"), ("BBBB", "CCCC")):
        assert verifier._read(told(before, own)) == read_authorization(told(before, own))


@pytest.mark.parametrize("size", [3072, 4096])
def test_larger_keys_sign_as_well(verifier: Verifier, size: int) -> None:
    private = rsa.generate_private_key(65537, size)
    assert admitted(verifier, signed(private=private), public=pem_of(private)) is CALLER
