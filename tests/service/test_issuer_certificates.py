"""Sign-in with a certificate, over the login host and on both databases: registered, used, refused, removed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes

from claviger.core.errors import Conflict, Invalid, NotFound
from claviger.keyvault.directory import operations, records, signing
from claviger.keyvault.directory.operations import NewApplication
from claviger.keyvault.directory.signature import ASSERTION_TYPE
from tests.certificates import DAY_S, assertion, certificate, claims, der, pem, rsa_key, thumbprint
from tests.directory import HOST, LOGIN, RESOURCE, START, Answer, Directory, claims_of, keys_made_before, open_directory

MADE = certificate(rsa_key(), START - DAY_S)
SHA256 = MADE.fingerprint(hashes.SHA256()).hex()


class Program:
    """An application with one registered certificate, in a tenant with one vault."""

    def __init__(self, directory: Directory, made: NewApplication) -> None:
        self.directory = directory
        self.made = made
        self.client_id = made.application.app_id
        self.tenant_id = made.application.tenant_id

    def assertion(self, *, key: int = 0, algorithm: str = "PS256", header: Any = None, **changes: Any) -> str:
        audience = f"https://{LOGIN}/{self.tenant_id}/oauth2/v2.0/token"
        told = claims(self.client_id, audience, self.directory.clock.now(), **changes)
        return assertion(rsa_key(key), MADE, told, algorithm=algorithm, **(header or {}))

    async def sign_in(self, word: str | None = None, *, path: str = "/oauth2/v2.0/token", **changes: str) -> Answer:
        form = {
            "grant_type": "client_credentials",
            "client_id": self.client_id,
            "client_assertion_type": ASSERTION_TYPE,
            "client_assertion": self.assertion() if word is None else word,
            "scope": f"{RESOURCE}/.default",
            **changes,
        }
        kept = {name: value for name, value in form.items() if value != "(none)"}
        return await self.directory.ask("POST", f"/{self.tenant_id}{path}", form=kept)


def refused(answer: Answer, status: int, error: str, number: int) -> str:
    """Checks an error; its description."""
    told = answer.json
    assert (answer.status, told["error"], told["error_codes"]) == (status, error, [number]), answer.body
    assert ("www-authenticate" in answer.headers) == (status == 401)
    return str(told["error_description"])


@pytest.fixture
async def program(database_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Program]:
    monkeypatch.setattr(signing, "new_key", keys_made_before())
    async with open_directory(database_url) as directory:
        await directory.vault()
        made = await directory.application()
        await operations.add_certificate(directory.store, directory.clock, "program", pem(MADE, rsa_key()))
        yield Program(directory, made)


async def test_a_certificate_gives_a_token_that_a_vault_accepts(program: Program) -> None:
    for algorithm, header in (
        ("PS256", {}),
        ("RS256", {"x5t#S256": None, "x5t": thumbprint(MADE, "sha1")}),
    ):
        answer = await program.sign_in(program.assertion(algorithm=algorithm, header=header))
        assert answer.status == 200, answer.body
        told = claims_of(answer.json["access_token"])
        assert (told["appid"], told["appidacr"], told["aud"]) == (program.client_id, "2", RESOURCE)
        vault = (await program.directory.estates.current()).vault_at(HOST)
        assert vault is not None
        bearer = b"Bearer " + answer.json["access_token"].encode()
        caller = program.directory.verifier.verify(bearer, HOST, vault)
        assert caller.oid == program.made.application.object_id


async def test_either_version_of_the_endpoint_takes_the_audience_of_either(program: Program) -> None:
    for flow in ("oauth2/token", "oauth2/v2.0/token"):
        word = program.assertion(aud=f"https://login.microsoftonline.com/{program.tenant_id}/{flow}")
        assert (await program.sign_in(word)).status == 200
        answer = await program.sign_in(word, path="/oauth2/token", scope="(none)", resource="https://vault.azure.net")
        assert claims_of(answer.json["access_token"])["aud"] == "https://vault.azure.net"


async def test_an_assertion_may_come_again_until_it_expires(program: Program) -> None:
    """As with Entra ID: azure-identity sends one for nine minutes, for every audience it wants a token for."""
    word = program.assertion()
    assert (await program.sign_in(word)).status == 200
    program.directory.clock.advance(599)
    assert (await program.sign_in(word, scope="https://management.azure.com/.default")).status == 200
    program.directory.clock.advance(1)
    described = refused(await program.sign_in(word), 401, "invalid_client", 700024)
    assert "Current time: 2026-11-18T11:16:40.000000Z, assertion valid from 2026-11-18T11:06:40.000000Z," in described


@pytest.mark.parametrize(
    ("changes", "status", "error", "number"),
    [
        ({"client_assertion_type": "(none)"}, 400, "invalid_request", 900144),
        ({"client_assertion_type": "urn:ietf:params:oauth:grant-type:jwt-bearer"}, 400, "invalid_request", 50027),
        ({"client_assertion": "(none)"}, 401, "invalid_client", 7000216),
        ({"client_assertion": "a.b.c"}, 400, "invalid_request", 50027),
        ({"client_assertion": "\0"}, 400, "invalid_request", 50027),
        ({"client_assertion": "é" * 5000}, 400, "invalid_request", 50027),
        ({"client_id": "(none)"}, 400, "invalid_request", 900144),
        ({"client_id": "72f988bf-86f1-41af-91ab-2d7cd011db47"}, 400, "unauthorized_client", 700016),
        ({"client_secret": "wrong"}, 401, "invalid_client", 7000215),
    ],
)
async def test_bad_forms(program: Program, changes: dict[str, str], status: int, error: str, number: int) -> None:
    refused(await program.sign_in(**changes), status, error, number)


@pytest.mark.parametrize(
    ("changes", "status", "error", "number"),
    [
        ({"algorithm": "none"}, 401, "invalid_client", 5002738),
        ({"algorithm": "HS256"}, 401, "invalid_client", 5002738),
        ({"header": {"x5t#S256": None}}, 401, "invalid_client", 5002723),
        ({"header": {"x5t#S256": "AAAA"}}, 401, "invalid_client", 700027),
        ({"key": 1}, 401, "invalid_client", 700027),
        ({"aud": None}, 400, "invalid_request", 90014),
        ({"aud": "https://vault.azure.net"}, 401, "invalid_client", 700023),
        (
            {"aud": f"https://{LOGIN}/72f988bf-86f1-41af-91ab-2d7cd011db47/oauth2/v2.0/token"},
            401,
            "invalid_client",
            700023,
        ),
        ({"iss": "another"}, 401, "invalid_client", 700021),
        ({"sub": "another"}, 401, "invalid_client", 700021),
        ({"exp": START - 1}, 401, "invalid_client", 700024),
        ({"nbf": START + 301}, 401, "invalid_client", 700024),
        ({"exp": START + 1e9}, 401, "invalid_client", 700024),
        ({"exp": "x"}, 400, "invalid_request", 50027),
    ],
)
async def test_bad_assertions(program: Program, changes: dict[str, Any], status: int, error: str, number: int) -> None:
    word = program.assertion(**changes)
    answer = await program.sign_in(word)
    refused(answer, status, error, number)
    assert word.encode() not in answer.body


async def test_a_tenant_does_not_know_the_certificates_of_another(program: Program) -> None:
    directory = program.directory
    other = await operations.set_tenant(directory.store, directory.clock, name="Fabrikam", domain="fabrikam.example")
    twin = await directory.application("twin", tenant=other.id)
    word = program.assertion(aud=f"https://{LOGIN}/{other.id}/oauth2/v2.0/token")
    form = {
        "grant_type": "client_credentials",
        "client_assertion_type": ASSERTION_TYPE,
        "client_assertion": word,
        "scope": f"{RESOURCE}/.default",
    }
    for client_id, error, number in (
        (program.client_id, "unauthorized_client", 700016),
        (twin.application.app_id, "invalid_client", 700027),
    ):
        answer = await directory.ask("POST", f"/{other.id}/oauth2/v2.0/token", form={**form, "client_id": client_id})
        assert (answer.json["error"], answer.json["error_codes"]) == (error, [number])


async def test_a_removed_certificate_is_out_at_once(program: Program) -> None:
    directory = program.directory
    word = program.assertion()
    assert (await program.sign_in(word)).status == 200
    await operations.remove_certificate(directory.store, "program", SHA256)
    described = refused(await program.sign_in(word), 401, "invalid_client", 700027)
    assert f"Thumbprint of key used by client: '{SHA256.upper()}'" in described
    await operations.add_certificate(directory.store, directory.clock, "program", der(MADE))
    assert (await program.sign_in(word)).status == 200
    await operations.delete_application(directory.store, "program")
    refused(await program.sign_in(word), 400, "unauthorized_client", 700016)
    assert await directory.store.read("SELECT id FROM kv_application_certificates") == []


async def test_an_expired_certificate_is_out(program: Program) -> None:
    program.directory.clock.advance(29 * DAY_S - 1)
    assert (await program.sign_in()).status == 200
    program.directory.clock.advance(1)
    described = refused(await program.sign_in(), 401, "invalid_client", 700027)
    assert "[Reason - The key used is expired., Thumbprint of key used by client: '" in described


async def test_too_many_wrong_assertions_are_stopped_and_malformed_ones_not_counted(program: Program) -> None:
    for _ in range(25):
        refused(await program.sign_in("a.b.c"), 400, "invalid_request", 50027)
    for _ in range(20):
        refused(await program.sign_in(program.assertion(key=1)), 401, "invalid_client", 700027)
    refused(await program.sign_in(), 429, "temporarily_unavailable", 90055)
    program.directory.clock.advance(60)
    assert (await program.sign_in()).status == 200


async def test_certificates_are_registered_once_and_counted(program: Program) -> None:
    store, clock = program.directory.store, program.directory.clock
    (kept,) = await operations.list_certificates(store, "program")
    assert (kept.der, kept.sha256.hex(), kept.created_at) == (der(MADE), SHA256, int(START))
    before = await records.revision(store)
    with pytest.raises(Conflict, match="CertificateTaken"):
        await operations.add_certificate(store, clock, "program", der(MADE))
    with pytest.raises(Invalid, match="CertificateUnreadable"):
        await operations.add_certificate(store, clock, "program", b"x")
    with pytest.raises(NotFound, match="ApplicationUnknown"):
        await operations.add_certificate(store, clock, "nobody", der(MADE))
    with pytest.raises(NotFound, match="CertificateUnknown"):
        await operations.remove_certificate(store, "program", "00" * 20)
    assert await records.revision(store) == before
    await program.directory.application("other")
    shared = await operations.add_certificate(store, clock, "other", der(MADE))
    assert await records.revision(store) == before + 2
    colons = ":".join(f"{byte:02X}" for byte in shared.sha1)
    assert await operations.remove_certificate(store, "other", colons) == shared
    assert await records.revision(store) == before + 3
    assert await operations.list_certificates(store, "program") == [kept]
    for number in range(operations.MAX_CREDENTIALS - 1):
        more = certificate(rsa_key(), START - DAY_S, name=f"number {number}")
        await operations.add_certificate(store, clock, "program", der(more))
    with pytest.raises(Conflict, match="TooManyCredentials"):
        await operations.add_certificate(store, clock, "program", der(certificate(rsa_key(1), START)))


async def test_a_managed_identity_has_no_certificate(program: Program) -> None:
    store, clock = program.directory.store, program.directory.clock
    await program.directory.application("identity", kind="managed-identity")
    with pytest.raises(Invalid, match="NotAnApplication"):
        await operations.add_certificate(store, clock, "identity", der(MADE))


async def test_the_documents_say_that_an_assertion_is_taken(program: Program) -> None:
    for path in ("v2.0/.well-known", ".well-known"):
        told = (await program.directory.ask("GET", f"/{program.tenant_id}/{path}/openid-configuration")).json
        assert "private_key_jwt" in told["token_endpoint_auth_methods_supported"]
