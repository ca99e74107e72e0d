"""Connections of the control plane over its own funnel, on both databases (CCKM contract, common §7)."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from claviger.cckm.azure.connections import records
from claviger.cckm.azure.connections.cloud import AzureClouds, credentials_of
from claviger.cckm.azure.connections.operations import EMBEDDED_NAME, Connections, EmbeddedAzure, ensure_embedded
from claviger.cckm.azure.connections.pace import Limits
from claviger.cckm.azure.connections.proofs import Proof, Proofs
from claviger.cckm.azure.connections.routes import ConnectionRoutes
from claviger.cckm.azure.connections.rules import Credentials
from claviger.cckm.calls import ROOT_DOMAIN
from claviger.cckm.connections.operations import SEALED_AS, AllConnections
from claviger.cckm.connections.routes import AllConnectionRoutes
from claviger.core.errors import Conflict, Unavailable
from claviger.core.sensitive import Sensitive
from claviger.crypto import certificates
from tests.certificates import certificate as self_made
from tests.certificates import pem, rsa_key
from tests.plane import ELSEWHERE, OTHER_DOMAIN, START, Plane, open_plane

API = "https://cckm.localhost/api/v1"
ALL = f"{API}/connectionmgmt/connections"
AZURE = f"{API}/connectionmgmt/services/azure"
MANY = f"{AZURE}/connections"
OFFICER = "ada;Connection Admins"
READER = "bob;CCKM Admins"
SECRET = "a-very-secret-value-4711"
DAY_S = 86_400


def body(name: str = "one", **more: Any) -> dict[str, Any]:
    return {"name": name, "client_id": "c1", "tenant_id": "t1", "client_secret": SECRET, **more}


@pytest.fixture
async def plane(database_url: str) -> AsyncIterator[Plane]:
    found = await open_plane(database_url)
    everyone = AllConnections(found.store, found.clock, [found.clouds.forget])
    own = Connections(found.store, found.safe, found.clock, found.clouds, everyone)
    found.serve([*AllConnectionRoutes(everyone).routes(), *ConnectionRoutes(own, everyone).routes()])
    yield found
    await found.clouds.close()
    await found.store.close()


async def make(plane: Plane, name: str = "one", **more: Any) -> dict[str, Any]:
    found = await plane.accept("POST", MANY, body(name, **more), status=201, caller=OFFICER)
    assert isinstance(found, dict)
    return found


async def ask(plane: Plane, method: str, url: str, sent: Any = None, caller: str = OFFICER) -> httpx.Response:
    return await plane.ask(method, url, sent, caller=caller)


async def refused(plane: Plane, method: str, url: str, sent: Any, status: int, part: str = "") -> str:
    """Checks that nothing about connections changes either."""
    before = await everything(plane)
    message = await plane.refuse(method, url, sent, status=status, part=part, caller=OFFICER)
    assert await everything(plane) == before
    return message


async def everything(plane: Plane) -> Any:
    tables = ("cckm_connections", "cckm_sealed", "cckm_connection_csrs", "meta")
    return {table: sorted(await plane.store.read(f"SELECT * FROM {table}"), key=repr) for table in tables}


async def kept_secret(plane: Plane, ident: str) -> bytes | None:
    sealed = await plane.safe.open(SEALED_AS, ident)
    assert sealed is not None
    found = credentials_of(sealed).client_secret
    return None if found is None else found.reveal()


async def test_life_of_a_connection(plane: Plane) -> None:
    made = await make(plane, description="first", meta={"a": 1, "b": {"c": [None]}}, labels={"env": "test"})
    assert made == {
        "id": made["id"],
        "uri": f"kylo:kylo:connectionmgmt:connections:one-{made['id']}",
        "account": "kylo:kylo:admin:accounts:kylo",
        "application": made["application"],
        "devAccount": made["devAccount"],
        "createdAt": "2027-01-15T08:00:00.000000Z",
        "updatedAt": "2027-01-15T08:00:00.000000Z",
        "name": "one",
        "description": "first",
        "meta": {"a": 1, "b": {"c": [None]}},
        "labels": {"env": "test"},
        "products": ["cckm"],
        "service": "azure",
        "category": "cloud",
        "resource_url": f"/v1/connectionmgmt/services/azure/connections/{made['id']}",
        "cloud_name": "AzureCloud",
        "last_connection_ok": None,
        "last_connection_error": None,
        "last_connection_at": None,
        "client_id": "c1",
        "tenant_id": "t1",
        "is_certificate_used": False,
        "external_certificate_used": False,
    }
    assert await kept_secret(plane, made["id"]) == SECRET.encode()
    for who in (OFFICER, READER):
        assert await plane.accept("GET", f"{MANY}/{made['id']}", caller=who) == made
        assert await plane.accept("GET", f"{MANY}/one/", caller=who) == made
    plane.clock.advance(5)
    changed = await plane.accept(
        "PATCH",
        f"{MANY}/one",
        {"name": "one", "meta": {"a": None, "n": 2}, "labels": {"x": "y"}, "products": ["cckm", "data"]},
        caller=OFFICER,
    )
    assert changed["meta"] == {"b": {"c": [None]}, "n": 2}
    assert changed["labels"] == {"env": "test", "x": "y"}
    assert changed["products"] == ["cckm", "data"]
    assert (changed["createdAt"], changed["updatedAt"] > made["updatedAt"]) == (made["createdAt"], True)
    assert await kept_secret(plane, made["id"]) == SECRET.encode()
    assert (await ask(plane, "DELETE", f"{MANY}/{made['id']}")).status_code == 204
    assert (await ask(plane, "GET", f"{MANY}/{made['id']}")).status_code == 404
    assert await plane.count("cckm_sealed") == 0


async def revision(plane: Plane, ident: str) -> int:
    found = await records.find(plane.store, ROOT_DOMAIN, ident)
    assert found is not None
    return found.revision


async def test_revision_moves_with_the_way_to_the_cloud(plane: Plane) -> None:
    ident = (await make(plane))["id"]
    assert await revision(plane, ident) == 1
    everything_go_clients_send = {
        "name": "one",
        "description": "",
        "meta": None,
        "labels": None,
        "products": None,
        "client_id": "",
        "tenant_id": "",
        "client_secret": "",
        "cloud_name": "",
        "is_certificate_used": False,
        "cert_duration": 0,
        "certificate": "",
        "azure_stack_connection_type": "",
    }
    await plane.accept("PATCH", f"{MANY}/one", everything_go_clients_send, caller=OFFICER)
    assert await revision(plane, ident) == 1
    await plane.accept("PATCH", f"{MANY}/one", {"description": "words", "meta": {"x": 1}}, caller=OFFICER)
    assert await revision(plane, ident) == 1
    steps = [{"client_id": "c2"}, {"tenant_id": "t2"}, {"cloud_name": "AzureChinaCloud"}, {"client_secret": "new"}]
    for count, step in enumerate([*steps, {"management_url": "https://other.example/"}], start=2):
        await plane.accept("PATCH", f"{MANY}/one", step, caller=OFFICER)
        assert await revision(plane, ident) == count
    assert await kept_secret(plane, ident) == b"new"


async def test_secrets_are_never_shown(plane: Plane) -> None:
    made = await make(plane)
    for url in (f"{MANY}/one", MANY, ALL):
        answer = await ask(plane, "GET", url)
        assert SECRET not in answer.text
        assert "secret" not in answer.text
    found = await records.find(plane.store, ROOT_DOMAIN, made["id"])
    assert SECRET not in repr(found)
    assert SECRET not in repr(await everything(plane))


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"name": None}, "name: is required"),
    ({"client_id": ""}, "client_id: is required"),
    ({"tenant_id": None}, "tenant_id: is required"),
    ({"client_secret": None}, "client_secret: is required, unless"),
    ({"is_certificate_used": True}, "client_secret: excludes"),
    ({"certificate": "x"}, "client_secret: excludes"),
    ({"client_secret": "s" * 4097}, "client_secret: may have"),
    ({"client_secret": "\ud800"}, "not valid"),
    ({"client_secret": None, "certificate": "x"}, "certificate: this is not a certificate"),
    ({"client_secret": None, "certificate": "x" * 40_000}, "certificate: may have"),
    ({"client_secret": None, "is_certificate_used": True, "cert_duration": -1}, "cert_duration"),
    ({"client_secret": None, "is_certificate_used": True, "cert_duration": 9999}, "cert_duration"),
    ({"name": "a/b"}, "name: may have"),
    ({"name": " a"}, "name: may have"),
    ({"name": "a" * 257}, "name: may have"),
    ({"cloud_name": "Azure"}, "cloud_name: must be one of AzureCloud"),
    ({"cloud_name": 7}, "cloud_name"),
    ({"tenant_id": "a/b"}, "tenant_id: must be"),
    ({"client_id": "a b"}, "client_id: must be"),
    ({"active_directory_endpoint": "http://login.example"}, "active_directory_endpoint: must be https"),
    ({"active_directory_endpoint": "https://u:p@login.example"}, "active_directory_endpoint: must be https"),
    ({"active_directory_endpoint": "https://login.example/x"}, "active_directory_endpoint: must be https"),
    ({"resource_manager_url": "https://arm.example?x"}, "resource_manager_url: must be https"),
    ({"resource_manager_url": "https://arm.example:65536"}, "resource_manager_url: must be https"),
    ({"management_url": "https://a.example#x"}, "management_url: must be"),
    ({"vault_resource_url": "vault.example"}, "vault_resource_url: must be"),
    ({"key_vault_dns_suffix": "https://vault.example"}, "key_vault_dns_suffix: must be"),
    ({"key_vault_dns_suffix": "vault.example/x"}, "key_vault_dns_suffix: must be"),
    ({"azure_stack_server_cert": "x"}, "azure_stack_server_cert: this is not"),
    ({"azure_stack_connection_type": "ADFS"}, "ADFS is not supported"),
    ({"azure_stack_connection_type": "X"}, "azure_stack_connection_type: must be"),
    ({"cloud_name": "AzureStack"}, "key_vault_dns_suffix: is required for AzureStack"),
    ({"description": "d" * 1025}, "description: may have"),
    ({"meta": {str(n): n for n in range(65)}}, "meta: may have"),
    ({"labels": {"a": 1}}, "labels"),
    ({"products": ["x" * 2000]}, "products"),
    ({"name": "a\0b"}, "name: must not contain NUL"),
]


async def test_what_is_refused(plane: Plane) -> None:
    for more, part in WRONG:
        message = await refused(plane, "POST", MANY, body(**more), 400, part)
        assert SECRET not in message
    await make(plane)
    for more, part in WRONG:
        alone = not any(word in part for word in ("required, unless", "is required", "excludes"))
        if alone and "name" not in more:
            await refused(plane, "PATCH", f"{MANY}/one", more, 400)


async def test_names(plane: Plane) -> None:
    made = await make(plane)
    await refused(plane, "POST", MANY, body(), 409, "name one already")
    await refused(plane, "POST", MANY, body(made["id"]), 409)
    await refused(plane, "PATCH", f"{MANY}/one", {"name": "two"}, 400, "name: cannot be changed")
    for method, url in (("GET", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/test")):
        await refused(plane, method, f"{MANY}/none{url}", {}, 404)
    await refused(plane, "DELETE", f"{ALL}/none", None, 404)
    await refused(plane, "POST", f"{ALL}/none/delete", None, 404)


async def test_other_domains_see_nothing(plane: Plane) -> None:
    made = await make(plane)
    for url in (f"{MANY}/{made['id']}", f"{MANY}/one"):
        for method, path in (("GET", url), ("PATCH", url), ("DELETE", url), ("POST", f"{url}/test")):
            assert (await ask(plane, method, path, {}, ELSEWHERE)).status_code == 404
    assert (await ask(plane, "GET", MANY, None, ELSEWHERE)).json()["total"] == 0
    assert (await ask(plane, "GET", ALL, None, ELSEWHERE)).json()["total"] == 0
    assert (await ask(plane, "POST", MANY, body(), ELSEWHERE)).status_code == 201
    assert await plane.count("cckm_connections", f"domain_id = '{OTHER_DOMAIN}'") == 1


async def test_who_may(plane: Plane) -> None:
    await make(plane)
    changes = [("POST", MANY), ("PATCH", f"{MANY}/one"), ("DELETE", f"{MANY}/one"), ("DELETE", f"{ALL}/one")]
    for method, url in [*changes, ("POST", f"{ALL}/one/delete"), ("POST", f"{ALL}/csr")]:
        for who in (READER, "carl;CCKM Users", "carl"):
            assert (await ask(plane, method, url, {}, who)).status_code == 403
    for method, url in (("GET", MANY), ("GET", f"{MANY}/one"), ("GET", ALL), ("POST", f"{AZURE}/connection-test")):
        assert (await ask(plane, method, url, body(), "carl;CCKM Users")).status_code == 403
        assert (await plane.ask(method, url, {}, caller=None)).status_code == 401
    # It makes the server ask any address, so it takes the right to set one.
    assert (await ask(plane, "POST", f"{AZURE}/connection-test", body(), READER)).status_code == 403
    assert (await ask(plane, "DELETE", f"{MANY}/one", None, "root;admin")).status_code == 204


async def test_lists(plane: Plane) -> None:
    for index in range(4):
        plane.clock.advance(1)
        cloud = "AzureChinaCloud" if index == 3 else "AzureCloud"
        await make(plane, f"c{index}", cloud_name=cloud, labels={"n": str(index), "even": str(index % 2 == 0)})
    tested = (await plane.accept("GET", f"{MANY}/c2", caller=OFFICER))["id"]
    await plane.store.write(lambda tx: records.note_test(tx, tested, False, "no", START + 100))

    async def names(query: str, url: str = MANY) -> list[str]:
        found = await plane.accept("GET", f"{url}?{query}", caller=READER)
        return [each["name"] for each in found["resources"]]

    for url in (MANY, ALL):
        assert await names("", url) == ["c0", "c1", "c2", "c3"]
        assert await names("sort=-name&skip=1&limit=2", url) == ["c2", "c1"]
        assert await names("name=c1&name=c3&cloud_name=AzureChinaCloud", url) == ["c3"]
        assert await names("name=C*", url) == ["c0", "c1", "c2", "c3"]
        assert await names("labels_query=even=True,n", url) == ["c0", "c2"]
        assert await names("labels_query=m", url) == []
        assert await names("category=cloud&products=cckm&service=azure&fields=meta&unknown=1", url) != []
        assert await names("products=x", url) == []
        assert await names("last_connection_ok=false", url) == ["c2"]
        assert await names("last_connection_ok=true", url) == []
        assert await names("last_connection_after=2027-01-15T08:01:00Z", url) == ["c2"]
        assert await names("last_connection_before=2027-01-15T08:01:00Z", url) == []
        for bad in ("last_connection_after=x", "last_connection_ok=maybe", "sort=x", "limit=x"):
            assert (await ask(plane, "GET", f"{url}?{bad}")).status_code == 400
    found = await plane.accept("GET", f"{MANY}/c2", caller=READER)
    assert (found["last_connection_ok"], found["last_connection_error"]) == (False, "no")
    assert found["last_connection_at"] == "2027-01-15T08:01:40.000000Z"


async def use(plane: Plane, connection: dict[str, Any], name: str) -> None:
    await plane.store.write(
        lambda tx: tx.execute(
            "INSERT INTO cckm_azure_vaults (id, domain_id, connection_id, connection_name, subscription_id, "
            "subscription_name, azure_name, azure_vault_id, cloud_name, location, type, details, labels, "
            "cloud_key_backup_limit, created_by, created_at, updated_at) "
            "VALUES (?, ?, ?, ?, 's', 's', ?, ?, 'AzureCloud', 'x', 'y', '{}', '{}', 0, 'u', 0, 0)",
            name,
            ROOT_DOMAIN,
            connection["id"],
            connection["name"],
            name,
            name,
        )
    )


async def test_connections_in_use(plane: Plane) -> None:
    made = await make(plane)
    await use(plane, made, "v1")
    await use(plane, made, "v2")
    for method, url, sent in (
        ("DELETE", f"{MANY}/one", None),
        ("DELETE", f"{ALL}/{made['id']}", None),
        ("POST", f"{ALL}/one/delete", {"force": False}),
    ):
        await refused(plane, method, url, sent, 409, "used by vaults or other records (2)")
    assert (await ask(plane, "POST", f"{ALL}/{made['id']}/delete", {"force": True})).status_code == 204
    assert await plane.store.read("SELECT connection_id, connection_name FROM cckm_azure_vaults") == [("", "one")] * 2
    await make(plane)
    assert (await ask(plane, "POST", f"{ALL}/one/delete")).status_code == 204


def facts(text: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate(text.encode())


async def test_certificate_made_here(plane: Plane) -> None:
    made = await make(plane, client_secret=None, is_certificate_used=True)
    assert (made["is_certificate_used"], made["external_certificate_used"], made["cert_duration"]) == (True, False, 730)
    found = facts(made["certificate"])
    key = found.public_key()
    assert isinstance(key, rsa.RSAPublicKey)
    assert key.key_size == 2048
    assert (found.not_valid_after_utc - found.not_valid_before_utc).days == 730
    assert found.not_valid_before_utc < datetime.fromtimestamp(START, UTC) < found.not_valid_after_utc
    assert made["certificate_thumbprint"] == found.fingerprint(hashes.SHA1()).hex().upper()
    assert "PRIVATE" not in json.dumps(made)
    assert await kept_secret(plane, made["id"]) is None

    for same in ({"is_certificate_used": True}, {"is_certificate_used": True, "cert_duration": 730}, {}):
        again = await plane.accept("PATCH", f"{MANY}/one", {**same, "description": "x"}, caller=OFFICER)
        assert again["certificate"] == made["certificate"]
    echoed = {"is_certificate_used": True, "certificate": made["certificate"]}
    assert (await plane.accept("PATCH", f"{MANY}/one", echoed, caller=OFFICER))["certificate"] == made["certificate"]
    renewed = await plane.accept("PATCH", f"{MANY}/one", {"cert_duration": 90}, caller=OFFICER)
    assert (renewed["cert_duration"], renewed["certificate"] != made["certificate"]) == (90, True)
    assert await revision(plane, made["id"]) == 2
    plain = await plane.accept("PATCH", f"{MANY}/one", {"client_secret": "s"}, caller=OFFICER)
    assert not plain["is_certificate_used"]
    assert not {"certificate", "certificate_thumbprint", "cert_duration"} & set(plain)
    back = await plane.accept("PATCH", f"{MANY}/one", {"is_certificate_used": True}, caller=OFFICER)
    assert back["cert_duration"] == 730
    stack = {"cloud_name": "AzureStack", **NOWHERE, "management_url": "https://a.b/c", "key_vault_dns_suffix": "v.b"}
    await refused(plane, "PATCH", f"{MANY}/one", stack, 400, "client_secret: is required for AzureStack")
    assert (await ask(plane, "PATCH", f"{MANY}/one", {**stack, "client_secret": "s"})).status_code == 200


async def request(plane: Plane, **more: Any) -> x509.CertificateSigningRequest:
    told = await plane.accept("POST", f"{ALL}/csr", more, status=201, caller=OFFICER)
    assert set(told) == {"csr"}
    return x509.load_pem_x509_csr(told["csr"].encode())


def signed(plane: Plane, asked: x509.CertificateSigningRequest, days: int = 30) -> str:
    """The certificate that an authority makes for a request."""
    start = datetime.fromtimestamp(plane.clock.now(), UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(asked.subject)
        .issuer_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "an authority")]))
        .public_key(asked.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start - timedelta(days=40))
        .not_valid_after(start + timedelta(days=days))
        .sign(rsa_key(1), hashes.SHA256())
    )
    return made.public_bytes(Encoding.PEM).decode()


async def test_certificate_for_a_request(plane: Plane) -> None:
    asked = await request(plane, cn="tests", size=2048, names=[{"O": "Claviger", "C": "DE"}])
    assert asked.is_signature_valid
    assert asked.subject.rfc4514_string() == "CN=tests,O=Claviger,C=DE"
    text = signed(plane, asked)
    made = await make(plane, client_secret=None, certificate=text)
    assert (made["is_certificate_used"], made["external_certificate_used"]) == (False, True)
    assert made["certificate"] == text
    assert made["certificate_thumbprint"] == facts(text).fingerprint(hashes.SHA1()).hex().upper()
    assert await plane.count("cckm_connection_csrs") == 0
    assert await plane.count("cckm_sealed") == 1
    sent = body("two", client_secret=None, certificate=text)
    await refused(plane, "POST", MANY, sent, 400, "certificate: is for no request")
    same = await plane.accept("PATCH", f"{MANY}/one", {"certificate": text}, caller=OFFICER)
    assert (same["certificate"], await revision(plane, made["id"])) == (text, 1)
    newer = signed(plane, asked, 60)  # another certificate for the key that is in use
    assert (await plane.accept("PATCH", f"{MANY}/one", {"certificate": newer}, caller=OFFICER))["certificate"] == newer
    assert await revision(plane, made["id"]) == 2


async def test_requests_that_lapse(plane: Plane) -> None:
    asked = await request(plane)
    text = signed(plane, asked)
    elsewhere = await ask(plane, "POST", MANY, body("x", client_secret=None, certificate=text), ELSEWHERE)
    assert elsewhere.status_code == 400
    plane.clock.advance(DAY_S + 1)
    sent = body(client_secret=None, certificate=text)
    await refused(plane, "POST", MANY, sent, 400, "within the last 24 hours")
    fresh = await request(plane, algorithm="rsa")
    assert await plane.count("cckm_connection_csrs") == 1
    assert await plane.count("cckm_sealed", "kind = 'connection-csr'") == 1
    await refused(
        plane, "POST", MANY, body(client_secret=None, certificate=signed(plane, fresh, -1)), 400, "has expired"
    )
    for bad in ({"size": 1024}, {"size": 3072}, {"algorithm": "EC"}, {"cn": "x" * 65}, {"names": [{"C": "Germany"}]}):
        await refused(plane, "POST", f"{ALL}/csr", bad, 400)


async def test_certificates_of_strangers(plane: Plane) -> None:
    stranger = pem(self_made(rsa_key(), START)).decode()
    await refused(plane, "POST", MANY, body(client_secret=None, certificate=stranger), 400, "is for no request")
    small = pem(self_made(ec.generate_private_key(ec.SECP256R1()), START)).decode()
    await refused(plane, "POST", MANY, body(client_secret=None, certificate=small), 400, "not RSA")


async def test_one_request_for_one_connection(plane: Plane) -> None:
    """Two connections at once cannot take the same waiting key."""
    asked = await request(plane)
    key_id = certificates.read_certificate(signed(plane, asked)).key_id
    await plane.store.write(lambda tx: records.remove_csr(tx, key_id))
    proofs = Proofs(plane.store, plane.safe, plane.clock)
    sealed = await plane.safe.must_open("connection-csr", key_id)
    late = Proof(credentials=Credentials(private_key=sealed), request=key_id)
    with pytest.raises(Conflict, match="RequestUsed"):
        await plane.store.write(lambda tx: proofs.use(tx, late))


NOWHERE = {
    "active_directory_endpoint": "https://login.localhost:1",
    "resource_manager_url": "https://management.localhost:1",
    "vault_resource_url": "https://vault.localhost:1",
}


async def test_failed_tests_are_answers(plane: Plane) -> None:
    made = await make(plane, **NOWHERE)
    told = await plane.accept("POST", f"{MANY}/one/test", caller=READER)
    assert not told["connection_ok"]
    assert "cannot be reached" in told["connection_error"]
    found = await plane.accept("GET", f"{MANY}/one", caller=READER)
    assert found["last_connection_error"] == told["connection_error"]
    assert (found["last_connection_ok"], found["last_connection_at"] is not None) == (False, True)
    assert found["updatedAt"] == made["updatedAt"]
    before = await everything(plane)
    told = await plane.accept("POST", f"{AZURE}/connection-test", body("x", **NOWHERE), caller=OFFICER)
    assert (told["connection_ok"], SECRET in told["connection_error"]) == (False, False)
    own = body(client_secret=None, is_certificate_used=True, **NOWHERE)
    told = await plane.accept("POST", f"{AZURE}/connection-test", own, caller=OFFICER)
    assert not told["connection_ok"]
    assert await everything(plane) == before
    await refused(plane, "POST", f"{AZURE}/connection-test", {"client_id": "x"}, 400, "tenant_id: is required")


def embedded(**more: Any) -> EmbeddedAzure:
    told: dict[str, Any] = {"tenant_id": "t", "client_id": "c", "client_secret": Sensitive("s"), "port": 8443}
    return EmbeddedAzure(**{**told, "authority_pem": pem(self_made(rsa_key(), START)).decode(), **more})


async def start(plane: Plane, **more: Any) -> None:
    await ensure_embedded(plane.store, plane.safe, plane.clock, embedded(**more))


async def test_embedded_azure(plane: Plane) -> None:
    authority = embedded().authority_pem
    await start(plane, authority_pem=authority)
    found = await plane.accept("GET", f"{MANY}/{EMBEDDED_NAME}", caller=READER)
    assert (found["cloud_name"], found["tenant_id"], found["client_id"]) == ("AzureCloud", "t", "c")
    assert found["active_directory_endpoint"] == "https://login.localhost:8443"
    assert found["key_vault_dns_suffix"] == "vault.localhost:8443"
    assert found["azure_stack_server_cert"] == authority
    before = await everything(plane)
    plane.clock.advance(10)
    await start(plane, authority_pem=authority)
    assert await everything(plane) == before
    await start(plane, authority_pem=authority, port=9443)
    moved = await plane.accept("GET", f"{MANY}/{EMBEDDED_NAME}", caller=READER)
    assert moved["resource_manager_url"] == "https://management.localhost:9443"
    assert (moved["id"], await revision(plane, found["id"])) == (found["id"], 2)
    await start(plane, authority_pem=authority, port=9443, client_secret=Sensitive("s2"))
    assert await kept_secret(plane, found["id"]) == b"s2"
    assert await revision(plane, found["id"]) == 3

    chosen = {"client_id": "mine", "client_secret": "own", "meta": {"a": 1}}
    await plane.accept("PATCH", f"{MANY}/{EMBEDDED_NAME}", chosen, caller=OFFICER)
    await start(plane, port=7443)
    kept = await plane.accept("GET", f"{MANY}/{EMBEDDED_NAME}", caller=READER)
    assert (kept["client_id"], kept["meta"]) == ("mine", {"a": 1})
    assert kept["resource_manager_url"] == "https://management.localhost:7443"
    assert await kept_secret(plane, found["id"]) == b"own"

    assert (await ask(plane, "DELETE", f"{MANY}/{EMBEDDED_NAME}")).status_code == 204
    await start(plane, port=6443)
    assert await plane.count("cckm_connections") == 0


async def test_embedded_azure_where_its_name_is_taken(plane: Plane) -> None:
    await make(plane, EMBEDDED_NAME)
    await start(plane)
    found = await plane.accept("GET", MANY, caller=READER)
    assert sorted(each["name"] for each in found["resources"]) == [EMBEDDED_NAME, f"{EMBEDDED_NAME}-"]


async def test_ways_are_made_anew_when_a_connection_changes(plane: Plane) -> None:
    ident = (await make(plane, **NOWHERE))["id"]

    async def way() -> Any:
        found = await records.find(plane.store, ROOT_DOMAIN, ident)
        assert found is not None
        return await plane.clouds.reach(found)

    first = await way()
    assert await way() is first
    await plane.accept("PATCH", f"{MANY}/one", {"description": "x"}, caller=OFFICER)
    assert await way() is first
    await plane.accept("PATCH", f"{MANY}/one", {"client_secret": "s"}, caller=OFFICER)
    second = await way()
    assert second is not first
    stale = await records.find(plane.store, ROOT_DOMAIN, ident)
    assert stale is not None
    await ask(plane, "DELETE", f"{MANY}/one")
    with pytest.raises(Conflict, match="ConnectionGone"):
        await plane.clouds.reach(stale)


async def test_ways_that_nobody_uses_are_closed(plane: Plane) -> None:
    clouds = AzureClouds(plane.safe, Limits(clouds=1, idle_s=-1.0))
    ways = []
    for name in ("a", "b", "c"):
        found = await records.find(plane.store, ROOT_DOMAIN, (await make(plane, name))["id"])
        assert found is not None
        ways.append(await clouds.reach(found))
    for old in ways[:-1]:
        with pytest.raises(Unavailable, match="CloudUnreachable"):
            old.subscriptions()
    assert ways[-1].subscriptions() is not None
    await clouds.close()
    with pytest.raises(Unavailable, match="CloudUnreachable"):
        ways[-1].secret_client("https://x.vault.azure.net")
