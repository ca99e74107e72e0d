"""Which tokens hold and which do not, on a real server (Key Vault contract §6, §7); expiry is in test_keyvault_time."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import RSAAlgorithm

from tests.rawhttp import RawAnswer, exchange, head
from tests.serving import Application, Estate
from tests.vaults import RESOURCE_AUDIENCE, VaultClient, accepted, from_unpadded, refused, spare_name, unpadded

OWN_APPLICATION_ID = "cfa8b339-82a2-471a-a3c9-0fc0be7a4093"


@pytest.fixture(scope="module")
def stranger() -> rsa.RSAPrivateKey:
    """A signing key that this server never made."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture
def parts(vault: VaultClient) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims of a token that holds."""
    token = str(vault.token)
    return jwt.get_unverified_header(token), jwt.decode(token, options={"verify_signature": False})


def _challenged(vault: VaultClient, token: str | None, message: str, **headers: str) -> None:
    """The token must be refused with this message and an unchanged challenge, on reading as on writing."""
    plain = vault.as_caller(None).ask("GET", "/secrets").headers["www-authenticate"]
    for method, path in (("GET", "/secrets"), ("PUT", "/secrets/never-made")):
        answer = vault.as_caller(token).ask(method, path, {"value": "x"} if method == "PUT" else None, headers=headers)
        refused(answer, 401, "Unauthorized", message)
        assert answer.headers["www-authenticate"] == plain
    assert vault.ask("GET", "/secrets/never-made").status_code == 404


MISSING = r"AKV10000: Request is missing a Bearer or PoP token\."
INVALID = r"Error validating token: .+"
UNKNOWN_KEY = r"AKV10046: Unable to resolve the key used for signature validation\..*"


def test_no_token(vault: VaultClient):
    _challenged(vault, None, MISSING)


def _listing_with(vault: VaultClient, authorization: str) -> RawAnswer:
    """A listing with this very Authorization header, which an HTTP library might mend or refuse to send."""
    request = head("GET", "/secrets?api-version=7.6", vault.host, None, f"Authorization: {authorization}")
    answer = exchange(vault.server, vault.host, request)
    assert answer.status == 401, answer
    assert answer.headers["www-authenticate"].startswith("Bearer authorization=")
    assert answer.json()["error"]["code"] == "Unauthorized"
    return answer


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Basic dXNlcjpwYXNz", "token", "Digest x=y", "\xe9", ","])
def test_something_else_than_a_bearer_token(vault: VaultClient, header: str):
    told = _listing_with(vault, header).json()["error"]["message"]
    assert told == "AKV10000: Request is missing a Bearer or PoP token."


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_the_scheme_is_read_without_regard_to_case(vault: VaultClient, scheme: str):
    answer = vault.as_caller(None).ask("GET", "/secrets", headers={"Authorization": f"{scheme} {vault.token}"})
    assert answer.status_code == 200


@pytest.mark.parametrize(
    "token",
    ["x", "a.b", "a.b.c", "...", "a.b.c.d.e", "e30.e30.", "bnVsbA.bnVsbA.AAAA", "W10.W10.AAAA", "x" * 20_000, "\xe9"],
    ids=lambda token: token[:20],
)
def test_what_is_no_token(vault: VaultClient, token: str):
    told = _listing_with(vault, f"Bearer {token}").json()["error"]["message"]
    assert told.startswith(("AKV10046", "Error validating token: "))


@pytest.mark.parametrize("audience", ["https://vault.localhost:{port}", RESOURCE_AUDIENCE, OWN_APPLICATION_ID])
def test_the_audiences_that_are_accepted(estate: Estate, vault: VaultClient, audience: str):
    named = audience.replace("{port}", str(estate.server.port))
    for form in (named, f"{named}/") if named.startswith("https:") else (named,):
        token = estate.token(estate.demo_application, form)
        assert jwt.decode(token, options={"verify_signature": False})["aud"].rstrip("/") == named
        assert vault.as_caller(token).ask("GET", "/secrets").status_code == 200


@pytest.mark.parametrize("audience", ["https://management.azure.com", "https://localhost", "https://vault.localhost"])
def test_a_token_for_somebody_else(estate: Estate, vault: VaultClient, audience: str):
    token = estate.token(estate.demo_application, audience)
    expected = f"https://vault.localhost:{estate.server.port}"
    _challenged(vault, token, rf"AKV10022: Invalid audience\. Expected {expected}, found: {audience}\.")


def test_a_token_of_another_tenant(estate: Estate, vault: VaultClient):
    word = spare_name("tenant")
    tenant = estate.server.command("tenant", "create", word, "--domain", f"{word}.example.org")
    told = estate.server.command("app", "create", spare_name("app"), "--tenant", tenant["id"])
    application = Application(told["client_id"], told["object_id"], told["client_secret"])
    form = {
        "grant_type": "client_credentials",
        "client_id": application.client_id,
        "client_secret": application.client_secret,
        "scope": f"https://vault.localhost:{estate.server.port}/.default",
    }
    answer = estate.http.post(f"{estate.server.login}/{tenant['id']}/oauth2/v2.0/token", data=form)
    token = accepted(answer)["access_token"]
    found = f"https://sts.windows.net/{tenant['id']}/"
    expected = f"https://sts.windows.net/{estate.tenant_id}/"
    _challenged(vault, token, rf"AKV10032: Invalid issuer\. Expected one of .*{expected}.*, found {found}\.")


def test_a_token_that_an_unknown_key_signed(vault: VaultClient, parts: Any, stranger: rsa.RSAPrivateKey):
    _, claims = parts
    for header in ({"kid": "unknown"}, {}, {"kid": ""}, {"kid": "../../etc/passwd"}, {"kid": "k" * 5000}):
        _challenged(vault, jwt.encode(claims, stranger, "RS256", headers=header), UNKNOWN_KEY)


def test_a_known_key_id_over_a_foreign_signature(vault: VaultClient, parts: Any, stranger: rsa.RSAPrivateKey):
    header, claims = parts
    _challenged(vault, jwt.encode(claims, stranger, "RS256", headers={"kid": header["kid"]}), INVALID)


def test_the_key_that_a_token_brings_along_is_not_used(vault: VaultClient, parts: Any, stranger: rsa.RSAPrivateKey):
    header, claims = parts
    own = json.loads(RSAAlgorithm.to_jwk(stranger.public_key()))
    for more in ({"jwk": own}, {"jku": "https://example.invalid/keys"}, {"x5u": "https://example.invalid/x"}):
        _challenged(vault, jwt.encode(claims, stranger, "RS256", headers={"kid": header["kid"], **more}), INVALID)


def test_a_token_without_a_signature(vault: VaultClient, parts: Any):
    header, claims = parts
    for algorithm in ("none", "None", "NONE", "nOnE", ""):
        head = unpadded(json.dumps({**header, "alg": algorithm}).encode())
        body = unpadded(json.dumps(claims).encode())
        for signature in ("", str(vault.token).rsplit(".", 1)[1]):
            _challenged(vault, f"{head}.{body}.{signature}", INVALID)


def test_the_public_key_is_not_taken_for_a_shared_secret(estate: Estate, vault: VaultClient, parts: Any):
    header, claims = parts
    url = f"{estate.server.login}/{estate.tenant_id}/discovery/v2.0/keys"
    (published,) = (key for key in accepted(estate.http.get(url))["keys"] if key["kid"] == header["kid"])
    public = RSAAlgorithm.from_jwk(published)
    assert isinstance(public, rsa.RSAPublicKey)
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    for algorithm, digest in (("HS256", "sha256"), ("HS384", "sha384"), ("HS512", "sha512")):
        for key in (pem, der, pem.strip()):
            _challenged(vault, _with_mac({**header, "alg": algorithm}, claims, key, digest), INVALID)


def _with_mac(header: dict[str, Any], claims: dict[str, Any], key: bytes, digest: str) -> str:
    """An HMAC token made by hand: the library refuses to misuse a public key so."""
    import hmac

    signed = f"{unpadded(json.dumps(header).encode())}.{unpadded(json.dumps(claims).encode())}"
    return f"{signed}.{unpadded(hmac.new(key, signed.encode(), digest).digest())}"


CHANGES: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "principal": lambda claims: {**claims, "oid": "00000000-0000-0000-0000-000000000001"},
    "tenant": lambda claims: {**claims, "tid": "00000000-0000-0000-0000-000000000001"},
    "expiry": lambda claims: {**claims, "exp": claims["exp"] + 1},
    "audience": lambda claims: {**claims, "aud": RESOURCE_AUDIENCE},
    "groups": lambda claims: {**claims, "groups": ["admins"]},
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_token_that_was_tampered_with(vault: VaultClient, parts: Any, change: str):
    _, claims = parts
    head, _, signature = str(vault.token).split(".")
    body = unpadded(json.dumps(CHANGES[change](claims), separators=(",", ":")).encode())
    _challenged(vault, f"{head}.{body}.{signature}", INVALID)


def test_a_token_with_one_letter_changed(vault: VaultClient):
    token = str(vault.token)
    head, body, signature = token.split(".")
    middle = len(signature) // 2
    for part in (signature[:middle] + _other(signature[middle]) + signature[middle + 1 :], signature[:-4], ""):
        _challenged(vault, f"{head}.{body}.{part}", INVALID)
    assert vault.ask("GET", "/secrets").status_code == 200


def _other(letter: str) -> str:
    return "B" if letter == "A" else "A"


def test_the_keys_that_are_published_check_the_tokens_that_are_given_out(estate: Estate, vault: VaultClient):
    openid = f"{estate.server.login}/{estate.tenant_id}/v2.0/.well-known/openid-configuration"
    told = accepted(estate.http.get(openid))
    assert told["token_endpoint"] == f"{estate.server.login}/{estate.tenant_id}/oauth2/v2.0/token"
    keys = accepted(estate.http.get(told["jwks_uri"]))["keys"]
    assert not any({"d", "p", "q", "dp", "dq", "qi"} & set(key) for key in keys)
    token = str(vault.token)
    (key,) = (key for key in keys if key["kid"] == jwt.get_unverified_header(token)["kid"])
    public = RSAAlgorithm.from_jwk(key)
    assert isinstance(public, rsa.RSAPublicKey)
    claims = jwt.decode(token, public, algorithms=["RS256"], audience=f"https://vault.localhost:{estate.server.port}")
    assert claims["tid"] == estate.tenant_id
    assert claims["appid"] == estate.demo_application.client_id
    assert claims["iss"] == f"https://sts.windows.net/{estate.tenant_id}/"


@pytest.mark.parametrize("api_version", ["2019-08-01"])
def test_the_identity_endpoint_gives_tokens_only_with_its_header(estate: Estate, vault: VaultClient, api_version: str):
    told = estate.server.exported
    query = {"api-version": api_version, "resource": f"https://vault.localhost:{estate.server.port}"}
    header = {"X-IDENTITY-HEADER": told["IDENTITY_HEADER"]}
    given = accepted(estate.http.get(told["IDENTITY_ENDPOINT"], params=query, headers=header))
    assert given["token_type"] == "Bearer"
    assert given["resource"] == query["resource"]
    claims = json.loads(from_unpadded(given["access_token"].split(".")[1]))
    assert int(given["expires_on"]) == claims["exp"]
    for wrong in ({}, {"X-IDENTITY-HEADER": "wrong"}, {"X-IDENTITY-HEADER": ""}):
        refused_answer = estate.http.get(told["IDENTITY_ENDPOINT"], params=query, headers=wrong)
        assert 400 <= refused_answer.status_code < 500
        assert "access_token" not in refused_answer.text


@pytest.mark.parametrize("secret", ["", "wrong", base64.b64encode(b"x" * 32).decode(), "\0"])
def test_a_wrong_client_secret_gives_no_token(estate: Estate, secret: str):
    form = {
        "grant_type": "client_credentials",
        "client_id": estate.demo_application.client_id,
        "client_secret": secret,
        "scope": f"{RESOURCE_AUDIENCE}/.default",
    }
    answer = estate.http.post(f"{estate.server.login}/{estate.tenant_id}/oauth2/v2.0/token", data=form)
    assert answer.status_code in (400, 401)
    assert "invalid_client" in answer.text or "invalid_request" in answer.text
    assert "access_token" not in answer.text
