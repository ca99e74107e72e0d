"""Every way in which a token can fail: each must, with its own reason."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.api_jws import PyJWS

from claviger.core.errors import Unauthenticated
from claviger.keyvault import challenge as module
from claviger.keyvault.directory import signing
from claviger.keyvault.directory.operations import NewApplication, delete_application
from claviger.keyvault.directory.signing import rotate_signing_key
from claviger.keyvault.vaults.records import Vault
from tests.directory import HOST, LOGIN, RESOURCE, START, Directory, claims_of, keys_made_before, open_directory

pytestmark = pytest.mark.asyncio(loop_scope="module")

TENANT = "72f988bf-86f1-41af-91ab-2d7cd011db47"


class Bench:
    """A directory, a vault, an application, and tokens bent out of shape in one place at a time."""

    def __init__(self, directory: Directory, vault: Vault, made: NewApplication, good: bytes) -> None:
        self.directory = directory
        self.vault = vault
        self.made = made
        self.good = good
        self.claims: dict[str, Any] = claims_of(good)

    def verify(self, authorization: bytes | None, host: str = HOST) -> module.Caller:
        return self.directory.verifier.verify(authorization, host, self.vault)

    def accepts(self, authorization: bytes) -> bool:
        return self.verify(authorization).oid == self.made.application.object_id

    def refusal(self, authorization: bytes | None, host: str = HOST) -> Unauthenticated:
        with pytest.raises(Unauthenticated) as refused:
            self.verify(authorization, host)
        assert refused.value.facts["tenant_id"] == self.vault.tenant_id
        assert self.directory.challenger.challenge(host, refused.value).startswith(b"Bearer authorization=")
        return refused.value

    async def signed(self, without: str = "", headers: dict[str, Any] | None = None, **claims: Any) -> bytes:
        """A token signed with the right key, whose claims are changed."""
        signer = await self.directory.keys.signer()
        told = {**self.claims, **claims}
        told.pop(without, None)
        return self.signed_bytes(json.dumps(told).encode(), signer.private, {"kid": signer.kid, **(headers or {})})

    def signed_bytes(self, payload: bytes, key: Any, headers: dict[str, Any]) -> bytes:
        return b"Bearer " + PyJWS().encode(payload, key, algorithm="RS256", headers=headers).encode()


@asynccontextmanager
async def made(folder: Path) -> AsyncIterator[Bench]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(signing, "new_key", keys_made_before())
        async with open_directory(f"sqlite://{folder}/claviger.db") as directory:
            vault = await directory.vault()
            program = await directory.application()
            yield Bench(directory, vault, program, await directory.bearer(program))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bench(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Bench]:
    """Shared by the tests that change nothing."""
    async with made(tmp_path_factory.mktemp("bench")) as shared:
        yield shared


@pytest_asyncio.fixture(loop_scope="module")
async def own_bench(tmp_path: Path) -> AsyncIterator[Bench]:
    """For a test that moves the clock or changes what is stored."""
    async with made(tmp_path) as own:
        yield own


async def test_a_good_token_names_its_caller(bench: Bench) -> None:
    caller = bench.verify(bench.good)
    made = bench.made.application
    assert (caller.oid, caller.appid, caller.tid) == (made.object_id, made.app_id, bench.vault.tenant_id)
    assert caller.iss == f"https://sts.windows.net/{bench.vault.tenant_id}/"
    assert bench.verify(bench.good) is caller, "the second time it is remembered"


async def test_the_claims_of_a_token(bench: Bench) -> None:
    made = bench.made.application
    told = dict(bench.claims)
    assert told.pop("uti")
    assert told == {
        "aud": RESOURCE,
        "iss": f"https://sts.windows.net/{bench.vault.tenant_id}/",
        "idp": f"https://sts.windows.net/{bench.vault.tenant_id}/",
        "iat": int(START),
        "nbf": int(START),
        "exp": int(START) + 3600,
        "appid": made.app_id,
        "azp": made.app_id,
        "appidacr": "1",
        "idtyp": "app",
        "oid": made.object_id,
        "sub": made.object_id,
        "tid": bench.vault.tenant_id,
        "ver": "1.0",
    }


@pytest.mark.parametrize(
    "audience",
    [
        RESOURCE,
        RESOURCE + "/",
        "https://VAULT.localhost:8443",
        "https://vault.azure.net",
        "https://vault.azure.net/",
        "cfa8b339-82a2-471a-a3c9-0fc0be7a4093",
    ],
)
async def test_accepted_audiences(bench: Bench, audience: str) -> None:
    assert bench.accepts(await bench.signed(aud=audience))


@pytest.mark.parametrize(
    "audience", ["https://vault.localhost:8444", "https://vault.localhost", "https://management.azure.com/", ""]
)
async def test_any_other_audience_is_refused(bench: Bench, audience: str) -> None:
    refused = bench.refusal(await bench.signed(aud=audience))
    assert refused.reason == "WrongAudience"
    assert (refused.facts["expected"], refused.facts["found"]) == (RESOURCE, audience)


async def test_a_token_for_one_port_is_not_good_at_another(bench: Bench) -> None:
    assert bench.accepts(bench.good)
    assert bench.refusal(bench.good, "demo.vault.localhost:9443").reason == "WrongAudience"


@pytest.mark.parametrize(
    "issuer",
    [
        "https://sts.windows.net/{}/",
        "https://login.microsoftonline.com/{}/v2.0",
        f"https://{LOGIN}/{{}}/v2.0",
        f"https://{LOGIN}/{{}}/",
    ],
)
async def test_accepted_issuers(bench: Bench, issuer: str) -> None:
    assert bench.accepts(await bench.signed(iss=issuer.format(bench.vault.tenant_id)))


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": f"https://sts.windows.net/{TENANT}/"},
        {"iss": "https://evil.example/"},
        {"tid": TENANT},
        {"tid": TENANT, "iss": f"https://sts.windows.net/{TENANT}/"},
    ],
)
async def test_another_tenant_or_issuer_is_refused(bench: Bench, claims: dict[str, Any]) -> None:
    refused = bench.refusal(await bench.signed(**claims))
    assert refused.reason == "WrongIssuer"
    assert f"https://sts.windows.net/{bench.vault.tenant_id}/" in str(refused.facts["expected"])


@pytest.mark.parametrize("authorization", [None, b"", b"Bearer", b"Bearer ", b"Basic YTpi", b"PoP abc", b"xBearer a"])
async def test_no_token(bench: Bench, authorization: bytes | None) -> None:
    assert bench.refusal(authorization).reason == "MissingToken"


@pytest.mark.parametrize(
    "token",
    [
        b"a",
        b"a.b.c",
        b"..",
        b"e30.e30.e30",
        b"\xff\xfe",
        b"x" * 20_000,
        b"eyJhbGciOiJSUzI1NiJ9." + b"A" * 100 + b".AA",
        base64.urlsafe_b64encode(b"[" * 3000) + b".e30.e30",
        b"bnVsbA.bnVsbA.bnVsbA",
    ],
)
async def test_what_is_no_token(bench: Bench, token: bytes) -> None:
    assert bench.refusal(b"Bearer " + token).reason in {"InvalidToken", "UnknownSigningKey"}


async def test_a_token_without_signature_or_with_the_wrong_algorithm_is_refused(bench: Bench) -> None:
    signer = await bench.directory.keys.signer()
    payload = json.dumps(bench.claims).encode()
    public = signer.public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    none = _by_hand({"alg": "none", "kid": signer.kid}, payload, lambda _: b"")
    confused = _by_hand(
        {"alg": "HS256", "kid": signer.kid}, payload, lambda text: hmac.digest(public, text, hashlib.sha256)
    )
    stripped = bench.good.rpartition(b".")[0] + b"."
    for forged in (none, confused, stripped):
        assert bench.refusal(forged if forged is stripped else b"Bearer " + forged).reason == "InvalidToken"


async def test_a_foreign_key_is_refused_even_under_our_key_id(bench: Bench) -> None:
    signer = await bench.directory.keys.signer()
    foreign = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    payload = json.dumps(bench.claims).encode()
    unknown = bench.refusal(bench.signed_bytes(payload, foreign, {"kid": "their-key"}))
    assert (unknown.reason, unknown.facts["kid"]) == ("UnknownSigningKey", "their-key")
    assert bench.refusal(bench.signed_bytes(payload, foreign, {"kid": signer.kid})).reason == "InvalidToken"
    assert bench.refusal(bench.signed_bytes(payload, foreign, {})).reason == "UnknownSigningKey"


async def test_any_changed_character_breaks_a_token(bench: Bench) -> None:
    head, payload, signature = bench.good.split(b".")
    flipped = payload[:-5] + (b"A" if payload[-5:-4] != b"A" else b"B") + payload[-4:]
    other = signature[:9] + (b"A" if signature[9:10] != b"A" else b"B") + signature[10:]
    for broken in (b".".join([head, flipped, signature]), b".".join([head, payload, other])):
        assert bench.refusal(broken).reason == "InvalidToken"


async def test_a_token_ends_to_the_second_also_when_remembered(own_bench: Bench) -> None:
    clock = own_bench.directory.clock
    clock.set(START + 3599.9)
    assert own_bench.accepts(own_bench.good)
    clock.set(START + 3600)
    refused = own_bench.refusal(own_bench.good)
    assert (refused.reason, refused.facts["detail"]) == ("InvalidToken", "the token is expired")


async def test_a_token_of_tomorrow_is_refused(bench: Bench) -> None:
    early = int(START) + module.NOT_BEFORE_LEEWAY_S
    assert bench.accepts(await bench.signed(nbf=early, exp=early + 60))
    refused = bench.refusal(await bench.signed(nbf=early + 1, exp=early + 60))
    assert (refused.reason, refused.facts["detail"]) == ("InvalidToken", "the token is not yet valid")


@pytest.mark.parametrize("missing", ["exp", "aud", "iss", "tid", "oid"])
async def test_a_token_without_a_needed_claim_is_refused(bench: Bench, missing: str) -> None:
    assert bench.refusal(await bench.signed(without=missing)).reason == "InvalidToken"


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": "tomorrow"},
        {"exp": None},
        {"exp": float("inf")},
        {"exp": True},
        {"nbf": [1]},
        {"oid": 7},
        {"aud": [RESOURCE]},
        {"groups": "all"},
        {"tid": {"a": 1}},
    ],
)
async def test_a_claim_of_the_wrong_type_is_refused(bench: Bench, claims: dict[str, Any]) -> None:
    assert bench.refusal(await bench.signed(**claims)).reason == "InvalidToken"


async def test_critical_headers_that_nobody_knows_are_refused(bench: Bench) -> None:
    assert bench.refusal(await bench.signed(headers={"crit": ["exp"], "exp": 1})).reason == "InvalidToken"


async def test_groups_and_the_client_of_version_2_tokens_are_read(bench: Bench) -> None:
    caller = bench.verify(await bench.signed(without="appid", groups=["g1", "g2"]))
    assert caller.groups == ("g1", "g2")
    assert caller.appid == bench.made.application.app_id


async def test_remembered_tokens_are_bounded(own_bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_REMEMBERED_TOKENS", 5)
    tokens = [await own_bench.signed(uti=str(number)) for number in range(12)]
    for token in tokens:
        own_bench.verify(token)
    assert len(own_bench.directory.verifier._known) == 5
    assert own_bench.accepts(tokens[0]), "a forgotten one is simply checked again"


async def test_an_old_key_verifies_until_its_tokens_have_ended(own_bench: Bench) -> None:
    directory = own_bench.directory
    await directory.estates.current()
    first = await directory.keys.signer()
    second = await rotate_signing_key(directory.store, directory.keyring, directory.clock, 3600)
    await directory.estates.current()
    assert (await directory.keys.signer()).kid == second != first.kid
    assert own_bench.accepts(own_bench.good)
    assert {key.kid for key in directory.keys.published()} == {first.kid, second}
    directory.clock.advance(3601)
    late = await own_bench.signed(exp=int(START) + 99_999)
    stale = own_bench.signed_bytes(
        json.dumps({**own_bench.claims, "exp": int(START) + 99_999}).encode(), first.private, {"kid": first.kid}
    )
    assert own_bench.accepts(late)
    assert own_bench.refusal(stale).reason == "UnknownSigningKey"
    assert {key.kid for key in directory.keys.published()} == {second}
    await rotate_signing_key(directory.store, directory.keyring, directory.clock, 3600)
    assert not await directory.store.read("SELECT kid FROM kv_signing_keys WHERE kid = ?", first.kid)


async def test_a_key_put_out_at_once_takes_remembered_tokens_with_it(own_bench: Bench) -> None:
    directory = own_bench.directory
    assert own_bench.accepts(own_bench.good)
    await rotate_signing_key(directory.store, directory.keyring, directory.clock, 0)
    directory.clock.advance(1)
    await directory.estates.current()
    assert own_bench.refusal(own_bench.good).reason == "UnknownSigningKey"


async def test_a_key_planted_in_the_database_is_not_trusted(own_bench: Bench) -> None:
    """Rows of signing keys are sealed: one that is copied or changed does not open, and so makes no key."""
    directory = own_bench.directory

    def plant(tx: Any) -> None:
        tx.execute("UPDATE kv_signing_keys SET kid = 'planted'")
        tx.execute("UPDATE meta SET value = '999' WHERE key = 'directory_revision'")

    await directory.store.write(plant)
    with pytest.raises(Exception, match="SealBroken"):
        await directory.estates.current()


async def test_a_deleted_application_has_no_rights_left(own_bench: Bench) -> None:
    directory = own_bench.directory
    caller = own_bench.verify(own_bench.good)
    await delete_application(directory.store, "program")
    estate = await directory.estates.current()
    assert not estate.allows(caller, own_bench.vault, "get", "Microsoft.KeyVault/vaults/secrets/getSecret/action", "a")


async def test_private_keys_lie_sealed(bench: Bench) -> None:
    signer = await bench.directory.keys.signer()
    number = signer.private.private_numbers().d
    packed = number.to_bytes(256, "big")[:32]
    ((sealed,),) = await bench.directory.store.read("SELECT sealed FROM kv_signing_keys")
    assert packed not in bytes(sealed)
    assert repr(signer) == f"<signing key {signer.kid}>"


def _by_hand(header: dict[str, str], payload: bytes, sign: Any) -> bytes:
    parts = [base64.urlsafe_b64encode(part).rstrip(b"=") for part in (json.dumps(header).encode(), payload)]
    text = b".".join(parts)
    return text + b"." + base64.urlsafe_b64encode(sign(text)).rstrip(b"=")
