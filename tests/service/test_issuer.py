"""The login host request by request: documents, grants, identity endpoints, and every refusal in its cloud's shape."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import pytest_asyncio

from claviger.core.errors import Busy
from claviger.keyvault.directory import operations, signing
from claviger.keyvault.directory.operations import NewApplication
from claviger.keyvault.directory.routes import MAX_BODY
from tests.directory import HOST, RESOURCE, START, Answer, Directory, claims_of, keys_made_before, open_directory

pytestmark = pytest.mark.asyncio(loop_scope="module")

SCOPE = f"{RESOURCE}/.default"
HERE = ("127.0.0.1", 4000)


class Login:
    """A directory with one tenant, one vault, one application that signs in and one managed identity."""

    def __init__(self, directory: Directory, tenant_id: str, program: NewApplication, identity: NewApplication) -> None:
        self.directory = directory
        self.tenant_id = tenant_id
        self.program = program
        self.identity = identity
        self.secret = program.secret.reveal_text()
        self.header = identity.secret.reveal_text()

    @property
    def form(self) -> dict[str, str]:
        return {
            "grant_type": "client_credentials",
            "client_id": self.program.application.app_id,
            "client_secret": self.secret,
            "scope": SCOPE,
        }

    async def token(self, *, path: str = "/oauth2/v2.0/token", tenant: str = "", **changes: str) -> Answer:
        form = {name: value for name, value in {**self.form, **changes}.items() if value != "(none)"}
        return await self.directory.ask("POST", f"/{tenant or self.tenant_id}{path}", form=form)


@asynccontextmanager
async def made(url: str) -> AsyncIterator[Login]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(signing, "new_key", keys_made_before())
        async with open_directory(url) as directory:
            vault = await directory.vault()
            program = await directory.application()
            identity = await directory.application("demo-identity", kind="managed-identity")
            yield Login(directory, vault.tenant_id, program, identity)


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["sqlite", "postgresql"])
async def login(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Login]:
    """Shared by the tests that change nothing, once on each kind of database."""
    if request.param == "sqlite":
        async with made(f"sqlite://{tmp_path_factory.mktemp('issuer')}/claviger.db") as shared:
            yield shared
        return
    databases = request.getfixturevalue("postgres_databases")
    url = databases.create()
    async with made(url) as shared:
        yield shared
    databases.drop(url)


@pytest_asyncio.fixture(loop_scope="module")
async def own_login(database_url: str) -> AsyncIterator[Login]:
    """For a test that moves the clock, changes what is stored or fails too often."""
    async with made(database_url) as own:
        yield own


def refused(answer: Answer, status: int, error: str, number: int) -> str:
    """Checks an error to the letter; its description."""
    told = answer.json
    assert (answer.status, told["error"], told["error_codes"]) == (status, error, [number]), answer.body
    assert set(told) == {
        "error",
        "error_description",
        "error_codes",
        "timestamp",
        "trace_id",
        "correlation_id",
        "error_uri",
    }
    description = str(told["error_description"])
    assert description.startswith(f"AADSTS{number}: ")
    assert f"Trace ID: {told['trace_id']} Correlation ID: {told['correlation_id']} Timestamp: " in description
    assert answer.headers["x-ms-request-id"] == told["trace_id"]
    assert "no-store" in answer.headers["cache-control"]
    return description


async def test_client_credentials_give_a_token_that_a_vault_accepts(login: Login) -> None:
    answer = await login.token()
    assert answer.status == 200
    told = answer.json
    assert set(told) == {"token_type", "expires_in", "ext_expires_in", "access_token"}
    assert (told["token_type"], told["expires_in"], told["ext_expires_in"]) == ("Bearer", 3600, 3600)
    assert "no-store" in answer.headers["cache-control"]
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    assert int(answer.headers["content-length"]) == len(answer.body)
    estate = await login.directory.estates.current()
    vault = estate.vault_at(HOST)
    assert vault is not None
    caller = login.directory.verifier.verify(b"Bearer " + told["access_token"].encode(), HOST, vault)
    assert caller.oid == login.program.application.object_id
    assert "xms_cc" not in claims_of(told["access_token"])


@pytest.mark.parametrize(
    ("changes", "audience"),
    [
        ({"scope": f"openid offline_access {SCOPE} profile"}, RESOURCE),
        ({"scope": "https://vault.azure.net//.default"}, "https://vault.azure.net/"),
        ({"scope": "cfa8b339-82a2-471a-a3c9-0fc0be7a4093/.default"}, "cfa8b339-82a2-471a-a3c9-0fc0be7a4093"),
        ({"scope": "(none)", "resource": "https://vault.azure.net"}, "https://vault.azure.net"),
        ({"client_info": "1", "unknown": "is ignored"}, RESOURCE),
    ],
)
async def test_the_audience_is_what_was_asked_for(login: Login, changes: dict[str, str], audience: str) -> None:
    answer = await login.token(**changes)
    assert claims_of(answer.json["access_token"])["aud"] == audience


async def test_version_1_answers_in_strings(login: Login) -> None:
    told = (await login.token(path="/oauth2/token", scope="(none)", resource="https://vault.azure.net")).json
    assert {name: value for name, value in told.items() if name != "access_token"} == {
        "token_type": "Bearer",
        "expires_in": "3600",
        "ext_expires_in": "3600",
        "expires_on": str(int(START) + 3600),
        "not_before": str(int(START)),
        "resource": "https://vault.azure.net",
    }


async def test_the_secret_may_come_in_a_basic_header(login: Login) -> None:
    word = base64.b64encode(f"{login.program.application.app_id}:{login.secret}".encode()).decode()
    form = {"grant_type": "client_credentials", "scope": SCOPE}
    path = f"/{login.tenant_id}/oauth2/v2.0/token"
    answer = await login.directory.ask("POST", path, form=form, headers={"Authorization": f"Basic {word}"})
    assert answer.status == 200
    form["client_id"] = "another"
    answer = await login.directory.ask("POST", path, form=form, headers={"Authorization": f"Basic {word}"})
    refused(answer, 400, "invalid_request", 9002313)


async def test_a_client_that_handles_claims_challenges_is_told_so_in_its_token(login: Login) -> None:
    answer = await login.token(claims='{"access_token":{"xms_cc":{"values":["CP1"]}}}')
    assert claims_of(answer.json["access_token"])["xms_cc"] == ["CP1"]


async def test_a_tenant_is_named_by_id_or_domain(login: Login) -> None:
    for word in (login.tenant_id.upper(), "contoso.EXAMPLE"):
        assert (await login.token(tenant=word)).status == 200


@pytest.mark.parametrize(
    ("changes", "status", "error", "number"),
    [
        ({"tenant": "72f988bf-86f1-41af-91ab-2d7cd011db47"}, 400, "invalid_request", 90002),
        ({"tenant": "nowhere.example"}, 400, "invalid_request", 90002),
        ({"tenant": "organizations"}, 400, "invalid_request", 50059),
        ({"grant_type": "(none)"}, 400, "invalid_request", 900144),
        ({"grant_type": "password"}, 400, "unsupported_grant_type", 70003),
        ({"client_id": "(none)"}, 400, "invalid_request", 900144),
        ({"client_id": "72f988bf-86f1-41af-91ab-2d7cd011db47"}, 400, "unauthorized_client", 700016),
        ({"client_secret": "(none)"}, 401, "invalid_client", 7000216),
        ({"client_secret": ""}, 401, "invalid_client", 7000216),
        ({"client_secret": "wrong"}, 401, "invalid_client", 7000215),
        ({"client_secret": "(none)", "client_assertion": "a.b.c"}, 400, "invalid_request", 900144),
        ({"scope": "(none)"}, 400, "invalid_request", 900144),
        ({"scope": RESOURCE}, 400, "invalid_scope", 1002012),
        ({"scope": f"{SCOPE} https://other/.default"}, 400, "invalid_scope", 70011),
        ({"scope": "openid"}, 400, "invalid_scope", 70011),
        ({"scope": "/.default"}, 400, "invalid_resource", 500011),
        ({"scope": "no-uri/.default"}, 400, "invalid_resource", 500011),
        ({"scope": f"https://{'x' * 500}/.default"}, 400, "invalid_resource", 500011),
        ({"claims": "{"}, 400, "invalid_request", 9002313),
    ],
)
async def test_refusals(login: Login, changes: dict[str, str], status: int, error: str, number: int) -> None:
    answer = await login.token(**changes)
    refused(answer, status, error, number)
    assert login.secret.encode() not in answer.body
    assert ("www-authenticate" in answer.headers) == (status == 401)


async def test_an_application_of_another_tenant_is_unknown(own_login: Login) -> None:
    other = await operations.set_tenant(
        own_login.directory.store, own_login.directory.clock, name="Fabrikam", domain="fabrikam.example"
    )
    refused(await own_login.token(tenant=other.id), 400, "unauthorized_client", 700016)


async def test_each_of_several_secrets_works_until_it_expires_or_is_removed(own_login: Login) -> None:
    directory = own_login.directory
    _, second = await operations.add_credential(directory.store, directory.clock, "program", days=1)
    assert (await own_login.token()).status == 200
    assert (await own_login.token(client_secret=second.reveal_text())).status == 200
    directory.clock.advance(86_399)
    assert (await own_login.token(client_secret=second.reveal_text())).status == 200
    directory.clock.advance(1)
    refused(await own_login.token(client_secret=second.reveal_text()), 401, "invalid_client", 7000222)
    first, _ = await operations.list_credentials(directory.store, "program")
    await operations.remove_credential(directory.store, "program", first.id)
    refused(await own_login.token(), 401, "invalid_client", 7000215)


async def test_a_deleted_application_signs_in_no_more(own_login: Login) -> None:
    await operations.delete_application(own_login.directory.store, "program")
    refused(await own_login.token(), 400, "unauthorized_client", 700016)


async def test_a_managed_identity_has_no_client_secret(login: Login) -> None:
    answer = await login.token(client_id=login.identity.application.app_id, client_secret=login.header)
    refused(answer, 401, "invalid_client", 7000215)


async def test_too_many_wrong_secrets_are_stopped_for_that_client_and_address(own_login: Login) -> None:
    for _ in range(20):
        refused(await own_login.token(client_secret="wrong"), 401, "invalid_client", 7000215)
    answer = await own_login.token()
    refused(answer, 429, "temporarily_unavailable", 90055)
    assert answer.headers["retry-after"] == "60"
    elsewhere = await own_login.directory.ask(
        "POST", f"/{own_login.tenant_id}/oauth2/v2.0/token", form=own_login.form, client=HERE
    )
    assert elsewhere.status == 200
    own_login.directory.clock.advance(60)
    assert (await own_login.token()).status == 200


@pytest.mark.parametrize(
    ("body", "headers", "status", "number"),
    [
        (b"", {}, 400, 900144),
        (b'{"grant_type":"client_credentials"}', {"content-type": "application/json"}, 400, 900144),
        (b"grant_type=a&grant_type=b", {}, 400, 9002313),
        (b"grant_type=%ff", {}, 400, 9002313),
        (b"\x00\xff\xfe", {}, 400, 9002313),
        (b"x" * (MAX_BODY + 1), {}, 413, 9002313),
        (b"a=1", {"content-length": "99999999999999999999"}, 413, 9002313),
        (b"a=1", {"content-length": "-5"}, 413, 9002313),
        (b"a=1", {"authorization": "Basic !!!"}, 400, 9002313),
    ],
)
async def test_bad_bodies(login: Login, body: bytes, headers: dict[str, str], status: int, number: int) -> None:
    sent = {"content-type": "application/x-www-form-urlencoded; charset=utf-8", **headers}
    answer = await login.directory.ask("POST", f"/{login.tenant_id}/oauth2/v2.0/token", body=body, headers=sent)
    refused(answer, status, "invalid_request", number)


async def test_a_body_without_a_length_is_cut_off_at_the_limit(login: Login) -> None:
    parts = [bytes([number]) * 10_000 for number in range(50)]
    answer = await login.directory.ask("POST", f"/{login.tenant_id}/oauth2/v2.0/token", body=parts)
    refused(answer, 413, "invalid_request", 9002313)


async def test_a_body_that_never_comes_is_given_up(login: Login) -> None:
    answered: list[Any] = []

    async def receive() -> Any:
        await asyncio.Event().wait()

    async def send(message: Any) -> None:
        answered.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "scheme": "https",
        "path": f"/{login.tenant_id}/oauth2/v2.0/token",
        "query_string": b"",
        "headers": [(b"host", b"login.localhost")],
        "client": HERE,
    }
    await login.directory.make_login(body_timeout_s=0.01)(scope, receive, send)
    assert answered[0]["status"] == 408


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/{}/oauth2/v2.0/token", 405),
        ("PUT", "/{}/oauth2/token", 405),
        ("POST", "/{}/v2.0/.well-known/openid-configuration", 405),
        ("GET", "/{}/oauth2/v2.0/authorize?client_id=x", 400),
        ("GET", "/", 404),
        ("GET", "/{}", 404),
        ("GET", "/{}/v2.0/nothing", 404),
        ("GET", "/common/discovery/instance?authorization_endpoint=a&authorization_endpoint=b", 400),
    ],
)
async def test_wrong_verbs_and_places(login: Login, method: str, path: str, status: int) -> None:
    answer = await login.directory.ask(method, path.format(login.tenant_id))
    assert answer.status == status
    assert answer.json["error_codes"]
    if status == 405:
        assert answer.headers["allow"] in {"GET", "POST"}


@pytest.mark.parametrize("host", ["", "a b", 'x"y', "login.localhost:port"])
async def test_a_host_that_is_none_is_refused(login: Login, host: str) -> None:
    answer = await login.directory.ask("GET", f"/{login.tenant_id}/v2.0/.well-known/openid-configuration", host=host)
    refused(answer, 400, "invalid_request", 9002313)


async def test_documents_name_the_tenant_by_its_id(login: Login) -> None:
    told = (await login.directory.ask("GET", "/contoso.example/v2.0/.well-known/openid-configuration")).json
    assert told["token_endpoint"] == f"https://login.localhost:8443/{login.tenant_id}/oauth2/v2.0/token"
    told = (await login.directory.ask("GET", "/Common/.well-known/openid-configuration")).json
    assert told["token_endpoint"] == "https://login.localhost:8443/common/oauth2/token"
    answer = await login.directory.ask("GET", "/nowhere.example/v2.0/.well-known/openid-configuration")
    refused(answer, 400, "invalid_request", 90002)
    elsewhere = login.directory.make_login(login_url="https://sso.example.org/")
    told = (await login.directory.ask("GET", "/common/v2.0/.well-known/openid-configuration", login=elsewhere)).json
    assert told["issuer"] == "https://sso.example.org/{tenantid}/v2.0"


async def test_the_key_set_verifies_tokens(login: Login) -> None:
    for path in ("discovery/v2.0/keys", "discovery/keys"):
        (key,) = (await login.directory.ask("GET", f"/common/{path}")).json["keys"]
        assert set(key) == {"kty", "use", "kid", "n", "e", "alg"}, "nothing private"
    token = (await login.token()).json["access_token"]
    head = json.loads(base64.urlsafe_b64decode(token.split(".")[0] + "=="))
    assert (head["alg"], head["kid"]) == ("RS256", key["kid"])


async def test_a_correlation_id_comes_back(login: Login) -> None:
    given = "72F988BF-86F1-41AF-91AB-2D7CD011DB47"
    answer = await login.directory.ask("GET", "/none", headers={"client-request-id": given})
    assert answer.json["correlation_id"] == answer.headers["client-request-id"] == given.lower()
    answer = await login.directory.ask("GET", "/none", headers={"client-request-id": "x\r\ny: z"})
    assert answer.headers["client-request-id"] != "x\r\ny: z"


async def test_a_busy_store_is_a_503_and_not_a_failure(login: Login, monkeypatch: pytest.MonkeyPatch) -> None:
    async def busy() -> None:
        raise Busy("StoreBusy")

    monkeypatch.setattr(login.directory.estates, "newest", busy)
    refused(await login.token(), 503, "temporarily_unavailable", 90033)


async def test_the_identity_endpoint(login: Login) -> None:
    identity, header = login.identity.application, login.header
    path = f"/msi/token?api-version=2019-08-01&resource={RESOURCE}"
    answer = await login.directory.ask("GET", path, headers={"X-IDENTITY-HEADER": header})
    told = answer.json
    assert answer.status == 200
    assert all(isinstance(value, str) for value in told.values())
    assert (told["expires_on"], told["resource"], told["token_type"]) == (str(int(START) + 3600), RESOURCE, "Bearer")
    claims = claims_of(told["access_token"])
    assert (claims["aud"], claims["oid"]) == (RESOURCE, identity.object_id)
    for query, status in (
        (f"&client_id={identity.app_id.upper()}", 200),
        (f"&object_id={identity.object_id}", 200),
        (f"&client_id={login.program.application.app_id}", 200),
        (f"&client_id={login.tenant_id}", 400),
        (f"&object_id={login.program.application.object_id}", 400),
        ("&mi_res_id=/subscriptions/x", 400),
        ("&resource=twice", 400),
    ):
        answer = await login.directory.ask("GET", path + query, headers={"X-IDENTITY-HEADER": header})
        assert (answer.status, query) == (status, query)
        if status != 200:
            assert answer.json["statusCode"] == status
        else:
            assert claims_of(answer.json["access_token"])["oid"] == identity.object_id, "never anybody else"


async def test_one_identity_gets_no_token_of_another(own_login: Login) -> None:
    other = await own_login.directory.application("other-identity", kind="managed-identity")
    path = f"/msi/token?api-version=2019-08-01&resource={RESOURCE}&client_id={other.application.app_id}"
    answer = await own_login.directory.ask("GET", path, headers={"X-IDENTITY-HEADER": own_login.header})
    assert (answer.status, answer.json["statusCode"]) == (400, 400)


@pytest.mark.parametrize("header", ["", "wrong", "é", "x" * 5000])
async def test_the_identity_endpoint_asks_for_its_header(login: Login, header: str) -> None:
    path = f"/msi/token?api-version=2019-08-01&resource={RESOURCE}"
    answer = await login.directory.ask("GET", path, headers={"X-IDENTITY-HEADER": header})
    assert answer.status == 401
    assert answer.json["statusCode"] == 401


async def test_a_client_secret_is_no_identity_header(own_login: Login) -> None:
    path = f"/msi/token?api-version=2019-08-01&resource={RESOURCE}"
    for _ in range(20):
        answer = await own_login.directory.ask("GET", path, headers={"X-IDENTITY-HEADER": own_login.secret})
        assert answer.status == 401
    answer = await own_login.directory.ask("GET", path, headers={"X-IDENTITY-HEADER": own_login.secret})
    assert (answer.status, answer.headers["retry-after"]) == (429, "60")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/msi/token?resource=https://a", 405),
        ("GET", "/msi/token", 400),
        ("GET", "/msi/token?resource=", 400),
        ("GET", "/msi/token?resource=%20", 400),
        ("GET", "/msi/token?resource=%ff", 400),
    ],
)
async def test_bad_requests_to_the_identity_endpoint(login: Login, method: str, path: str, status: int) -> None:
    header = login.header
    answer = await login.directory.ask(method, path, headers={"X-IDENTITY-HEADER": header})
    assert (answer.status, answer.json["statusCode"]) == (status, status)


IMDS = f"/metadata/identity/oauth2/token?api-version=2018-02-01&resource={RESOURCE}"


async def test_imds_is_off_unless_switched_on(login: Login) -> None:
    answer = await login.directory.ask("GET", IMDS, headers={"Metadata": "true"}, client=HERE)
    assert (answer.status, answer.json["error"]) == (404, "invalid_request")


async def test_imds(own_login: Login) -> None:
    made = own_login.identity
    other = await own_login.directory.application("other-identity", kind="managed-identity")
    app = own_login.directory.make_login(imds=True)

    async def ask(path: str, client: tuple[str, int] | None = HERE, method: str = "GET", **headers: str) -> Answer:
        sent = {"Metadata": "true", **{name.replace("_", "-"): value for name, value in headers.items()}}
        return await own_login.directory.ask(method, path, headers=sent, client=client, login=app)

    told = (await ask(IMDS)).json
    assert all(isinstance(value, str) for value in told.values())
    assert told["client_id"] == made.application.app_id
    assert claims_of(told["access_token"])["oid"] == made.application.object_id
    told = (await ask(f"{IMDS}&client_id={other.application.app_id}", ("::ffff:127.0.0.1", 1))).json
    assert told["client_id"] == other.application.app_id
    assert (await ask(IMDS, ("::1", 1))).status == 200
    told = (await ask(f"{IMDS}&client_id={own_login.program.application.app_id}")).json
    assert told["client_id"] == made.application.app_id, "an application's id names no identity"
    for answer, status in (
        (await ask(IMDS, Metadata="false"), 400),
        (await ask(IMDS, x_forwarded_for="127.0.0.1"), 400),
        (await ask(IMDS, method="POST"), 405),
        (await ask(IMDS, ("192.0.2.1", 1)), 403),
        (await ask(IMDS, ("", 1)), 403),
        (await ask(IMDS, None), 403),
        (await ask(f"{IMDS}&client_id=nobody"), 400),
        (await ask("/metadata/identity/oauth2/token?api-version=2018-02-01"), 400),
        (await ask(f"/metadata/identity/oauth2/token?resource={RESOURCE}"), 400),
    ):
        assert (answer.status, answer.json["error"]) == (status, "invalid_request")
