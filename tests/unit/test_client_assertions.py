"""Client assertions rule by rule: which certificate and signature, for whom, by whom, until when. And certificates."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from claviger.core.clock import ManualClock
from claviger.core.errors import Invalid, Unauthenticated
from claviger.keyvault.directory.discovery import is_token_endpoint
from claviger.keyvault.directory.records import ApplicationCertificate, Tenant
from claviger.keyvault.directory.signature import (
    MAX_ASSERTION_LIFE_S,
    NOT_BEFORE_LEEWAY_S,
    AssertionVerifier,
    read_certificate,
)
from tests.certificates import DAY_S, assertion, certificate, claims, der, pem, rsa_key, thumbprint

NOW = 1_795_000_000.0
CLIENT = "0b6bbd19-d3b4-4be5-9d3c-1f2d6c2f9c11"
TENANT = Tenant("72f988bf-86f1-41af-91ab-2d7cd011db47", "Contoso", "contoso.example", 1)
LOGIN = "https://login.localhost:8443"
AUDIENCE = f"{LOGIN}/{TENANT.id}/oauth2/v2.0/token"
MADE = certificate(rsa_key(), NOW - DAY_S)
OTHER = certificate(rsa_key(1), NOW - DAY_S)


def registered(*files: bytes, at: float = NOW) -> list[ApplicationCertificate]:
    return [read_certificate(file, int(at)) for file in files]


KNOWN = registered(der(OTHER), der(MADE))


def verify(word: str, known: list[ApplicationCertificate] = KNOWN, at: float = NOW) -> None:
    served = ("login.localhost",)
    AssertionVerifier(ManualClock(at)).verify(
        word, CLIENT, known, lambda url: is_token_endpoint(url, TENANT, LOGIN, served)
    )


def signed(*, algorithm: str = "PS256", header: dict[str, Any] | None = None, **changes: Any) -> str:
    told = claims(CLIENT, AUDIENCE, NOW, **changes)
    return assertion(rsa_key(), MADE, told, algorithm=algorithm, **(header or {}))


def refused(word: str, reason: str, known: list[ApplicationCertificate] = KNOWN, at: float = NOW) -> None:
    with pytest.raises((Invalid, Unauthenticated)) as caught:
        verify(word, known, at)
    assert caught.value.reason == reason


@pytest.mark.parametrize("algorithm", ["PS256", "RS256"])
@pytest.mark.parametrize(
    "header",
    [
        {},
        {"x5t#S256": thumbprint(MADE) + "="},  # as MSAL for Python writes it
        {"x5t#S256": None, "x5t": thumbprint(MADE, "sha1")},
        {"x5t": thumbprint(MADE, "sha1") + "=", "kid": "whatever", "x5c": ["whatever"]},
    ],
)
def test_an_assertion_of_a_registered_certificate_proves_the_application(algorithm: str, header: dict[str, Any]):
    verify(signed(algorithm=algorithm, header=header))


@pytest.mark.parametrize(
    "changes",
    [
        {"nbf": None, "jti": None, "iat": NOW + 0.25, "exp": NOW + 600.25},  # what MSAL for Python leaves out and adds
        {"iss": CLIENT.upper(), "sub": CLIENT.upper()},
        {"exp": NOW + MAX_ASSERTION_LIFE_S},
        {"nbf": NOW + NOT_BEFORE_LEEWAY_S},
        {"xms_az_claims": {"a": [1]}},
    ],
)
def test_what_clients_write_differently(changes: dict[str, Any]):
    verify(signed(**changes))


@pytest.mark.parametrize("algorithm", ["none", "None", "HS256", "RS384", "ES256", ""])
def test_only_two_algorithms_are_taken(algorithm: str):
    refused(signed(algorithm=algorithm), "AssertionAlgorithm")


def test_an_algorithm_is_a_word_and_not_a_list_of_words():
    refused(signed(header={"alg": ["PS256"]}), "AssertionAlgorithm")
    refused(signed(header={"alg": None}), "AssertionAlgorithm")


def test_the_other_algorithm_of_the_two_is_not_what_was_signed_with():
    refused(signed(header={"alg": "RS256"}), "AssertionSignature")


def test_every_part_is_under_the_signature():
    head, body, signature = signed().split(".")
    other_head, other_body, other_signature = signed(exp=NOW + 601, header={"typ": "jwt"}).split(".")
    for forged in (
        f"{other_head}.{body}.{signature}",
        f"{head}.{other_body}.{signature}",
        f"{head}.{body}.{other_signature}",
        f"{head}.{body}.",
        f"{head}.{body}.{signature[:-6]}",
    ):
        refused(forged, "AssertionSignature")


def test_a_certificate_vouches_for_its_own_key_alone():
    told = claims(CLIENT, AUDIENCE, NOW)
    refused(assertion(rsa_key(1), MADE, told), "AssertionSignature")
    refused(assertion(rsa_key(), OTHER, told), "AssertionSignature")


def test_a_certificate_that_is_not_registered_is_unknown():
    refused(signed(), "CertificateUnknown", registered(der(OTHER)))
    refused(signed(), "CertificateUnknown", [])
    refused(signed(header={"x5t#S256": ""}), "CertificateUnknown")
    refused(signed(header={"x5t": thumbprint(MADE)}), "CertificateUnknown")  # a SHA-256 where a SHA-1 belongs
    both = {"x5t": thumbprint(OTHER, "sha1"), "x5t#S256": thumbprint(MADE)}
    refused(signed(header=both), "CertificateUnknown")
    same_key = certificate(rsa_key(), NOW - DAY_S, name="made anew")
    refused(assertion(rsa_key(), same_key, claims(CLIENT, AUDIENCE, NOW)), "CertificateUnknown")


def test_a_header_without_a_thumbprint_names_no_certificate():
    refused(signed(header={"x5t#S256": None}), "AssertionWithoutThumbprint")
    refused(signed(header={"x5t#S256": None, "x5c": ["AAAA"], "jwk": {"kty": "RSA"}}), "AssertionWithoutThumbprint")


def test_a_certificate_counts_within_its_dates():
    begins, ends = KNOWN[1].not_before, KNOWN[1].not_after
    for at, good in (
        (begins - NOT_BEFORE_LEEWAY_S, True),
        (begins - NOT_BEFORE_LEEWAY_S - 1, False),
        (ends - 1, True),
        (ends, False),
    ):
        word = assertion(rsa_key(), MADE, claims(CLIENT, AUDIENCE, at))
        if good:
            verify(word, at=at)
        else:
            refused(word, "CertificateOutdated", at=at)


@pytest.mark.parametrize(
    ("changes", "at", "reason"),
    [
        ({}, NOW + 600, "AssertionTime"),
        ({}, NOW - NOT_BEFORE_LEEWAY_S - 1, "AssertionTime"),
        ({"exp": NOW}, NOW, "AssertionTime"),
        ({"exp": -1e300}, NOW, "AssertionTime"),
        ({"nbf": 1e300}, NOW, "AssertionTime"),
        ({"nbf": None, "exp": NOW - 0.25}, NOW, "AssertionTime"),
        ({"exp": NOW + MAX_ASSERTION_LIFE_S + NOT_BEFORE_LEEWAY_S + 1}, NOW, "AssertionTooLong"),
        ({"exp": 1e300}, NOW, "AssertionTooLong"),
    ],
)
def test_an_assertion_counts_within_its_time_and_a_day_at_most(changes: dict[str, Any], at: float, reason: str):
    refused(signed(**changes), reason, at=at)


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": TENANT.id},
        {"sub": TENANT.id},
        {"iss": TENANT.id, "sub": TENANT.id},
        {"iss": ""},
        {"sub": "é"},
    ],
)
def test_an_assertion_speaks_for_the_one_that_made_it(changes: dict[str, Any]):
    refused(signed(**changes), "AssertionIdentifier")


@pytest.mark.parametrize(
    "audience",
    [
        AUDIENCE,
        f"{LOGIN}/{TENANT.id}/oauth2/token",
        f"{LOGIN}/{TENANT.id}/oauth2/token?api-version=1.0",
        f"{LOGIN}/Contoso.example/oauth2/v2.0/token",
        f"https://LOGIN.localhost:8443/{TENANT.id.upper()}/oauth2/v2.0/token",
        f"https://login.localhost/{TENANT.id}/oauth2/v2.0/token",
        f"https://login.microsoftonline.com/{TENANT.id}/oauth2/v2.0/token",
        f"https://login.microsoftonline.com:443/{TENANT.id}/oauth2/v2.0/token",
        f"https://sts.windows.net/{TENANT.id}/oauth2/token",
        f"https://westeurope.login.microsoft.com/{TENANT.id}/oauth2/v2.0/token",
    ],
)
def test_an_audience_is_a_token_endpoint_of_the_tenant_at_any_login_host_of_ours(audience: str):
    verify(signed(aud=audience))


@pytest.mark.parametrize(
    "audience",
    [
        f"{LOGIN}/0b6bbd19-d3b4-4be5-9d3c-1f2d6c2f9c11/oauth2/v2.0/token",  # another tenant
        f"{LOGIN}/common/oauth2/v2.0/token",
        f"{LOGIN}/{TENANT.id}/v2.0",
        f"{LOGIN}/{TENANT.id}/oauth2/v2.0/token/",
        f"{LOGIN}/{TENANT.id}/oauth2/v2.0/authorize",
        f"{LOGIN}/{TENANT.id}",
        f"http://login.localhost:8443/{TENANT.id}/oauth2/v2.0/token",
        f"https://login.localhost:9443/{TENANT.id}/oauth2/v2.0/token",  # another server of this machine
        f"https://login.example/{TENANT.id}/oauth2/v2.0/token",
        f"https://login.microsoftonline.com.example/{TENANT.id}/oauth2/v2.0/token",
        f"https://login.localhost:8443@login.example/{TENANT.id}/oauth2/v2.0/token",
        f"https://[login.localhost/{TENANT.id}/oauth2/v2.0/token",
        "https://vault.azure.net",
        CLIENT,
    ],
)
def test_any_other_audience_is_wrong(audience: str):
    refused(signed(aud=audience), "AssertionAudience")


def test_an_audience_there_must_be_and_one_alone():
    refused(signed(aud=None), "AssertionWithoutAudience")
    refused(signed(aud=[AUDIENCE]), "AssertionMalformed")


@pytest.mark.parametrize(
    "word",
    [
        "",
        "a.b.c",
        "..",
        "a" * 30_000,
        "é.é.é",
        signed() + ".more",
        signed()[1:],
        signed(header={"x5t#S256": "not base64url!"}),
        signed(header={"x5t#S256": "A"}),
        signed(header={"x5t#S256": 7}),
        signed(header={"x5t#S256": "A" * 200}),
        signed(header={"kid": 7}),
        signed(exp="tomorrow"),
        signed(exp=None),
        signed(iss=None),
        signed(sub=["x"]),
        assertion(rsa_key(), MADE, b"no json"),
        assertion(rsa_key(), MADE, b"[" * 20_000),
        assertion(rsa_key(), MADE, b'{"exp":1e400}'),
        assertion(rsa_key(), MADE, b'{"iss":"\\ud800","sub":"","exp":1}'),
        assertion(rsa_key(), MADE, b"\xff\xfe"),
    ],
)
def test_what_is_no_assertion_is_malformed(word: str):
    refused(word, "AssertionMalformed")


def test_an_extension_that_nobody_understands_is_refused():
    refused(signed(header={"crit": ["b64"], "b64": False}), "AssertionMalformed")
    refused(signed(header={"crit": ["new"], "new": 1}), "AssertionMalformed")


def test_a_certificate_is_read_from_pem_and_der_and_its_key_left_alone():
    for file in (pem(MADE), der(MADE), pem(MADE, rsa_key()), b"text before\r\n" + pem(MADE).replace(b"\n", b"\r\n")):
        read = read_certificate(file, int(NOW))
        assert read.der == der(MADE)
        assert b"PRIVATE" not in msgspec.json.encode(read)
    assert read_certificate(pem(MADE) + pem(OTHER), int(NOW)).der == der(MADE)


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        (b"", "CertificateUnreadable"),
        (b"nothing", "CertificateUnreadable"),
        (der(MADE)[:-1], "CertificateUnreadable"),
        (pem(MADE)[:-30], "CertificateUnreadable"),
        (pem(MADE).replace(b"M", b"!"), "CertificateUnreadable"),
        (rsa_key().public_key().public_numbers().n.to_bytes(256, "big"), "CertificateUnreadable"),
        (der(certificate(rsa_key(0, 1024), NOW)), "CertificateKey"),
        (der(certificate(ec.generate_private_key(ec.SECP256R1()), NOW)), "CertificateKey"),
        (der(certificate(rsa_key(), NOW - DAY_S, days=1)), "CertificateExpired"),
    ],
)
def test_a_certificate_that_cannot_serve_is_refused(file: bytes, reason: str):
    with pytest.raises(Invalid, match=reason):
        read_certificate(file, int(NOW))


def test_a_certificate_may_be_registered_before_its_time():
    assert read_certificate(der(certificate(rsa_key(), NOW + DAY_S)), int(NOW)).not_before == int(NOW + DAY_S)
