"""Connections to OCI over the funnel, on both databases (CCKM contract, common §7.4)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat

from claviger.cckm.calls import ROOT_DOMAIN
from claviger.cckm.connections.operations import SEALED_AS, AllConnections
from claviger.cckm.connections.routes import AllConnectionRoutes
from claviger.cckm.oci.connections import records
from claviger.cckm.oci.connections.cloud import OciClouds, credentials_of
from claviger.cckm.oci.connections.operations import EMBEDDED_NAME, EmbeddedOci, OciConnections, ensure_embedded
from claviger.cckm.oci.connections.routes import OciConnectionRoutes
from claviger.cckm.oci.connections.rules import Credentials
from claviger.cckm.pace import Limits
from claviger.core.errors import Conflict, Unavailable
from claviger.core.sensitive import Sensitive
from tests.certificates import certificate, pem, rsa_key
from tests.odd_oci import TENANCY, USER, api_key
from tests.plane import ELSEWHERE, OTHER_DOMAIN, START, Plane, open_plane

API = "https://cckm.localhost/api/v1"
ALL = f"{API}/connectionmgmt/connections"
OCI = f"{API}/connectionmgmt/services/oci"
MANY = f"{OCI}/connections"
OFFICER = "ada;Connection Admins"
READER = "bob;CCKM Admins"
PHRASE = "a-pass-phrase-nobody-may-see"
NOWHERE = {"realm_domain": "localhost:1"}


def key_pem(phrase: str | None = None) -> str:
    lock = NoEncryption() if phrase is None else BestAvailableEncryption(phrase.encode())
    return rsa_key().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, lock).decode()


def body(name: str = "one", **more: Any) -> dict[str, Any]:
    private, fingerprint = api_key()
    return {
        "name": name,
        "user_ocid": USER,
        "tenancy_ocid": TENANCY,
        "fingerprint": fingerprint,
        "region": "us-ashburn-1",
        "credentials": {"key_file": private.reveal_text()},
        **more,
    }


@pytest.fixture
async def plane(database_url: str) -> AsyncIterator[Plane]:
    found = await open_plane(database_url)
    clouds = OciClouds(found.safe, Limits(connect_s=20.0, read_s=20.0, call_s=60.0, read_retries=0))
    everyone = AllConnections(found.store, found.clock, [clouds.forget])
    own = OciConnections(found.store, found.safe, found.clock, clouds, everyone)
    found.serve([*AllConnectionRoutes(everyone).routes(), *OciConnectionRoutes(own, everyone).routes()])
    found.oci = clouds  # type: ignore[attr-defined]
    yield found
    await clouds.close()
    await found.store.close()


async def make(plane: Plane, name: str = "one", **more: Any) -> dict[str, Any]:
    found = await plane.accept("POST", MANY, body(name, **more), status=201, caller=OFFICER)
    assert isinstance(found, dict)
    return found


async def everything(plane: Plane) -> Any:
    tables = ("cckm_connections", "cckm_sealed", "meta")
    return {table: sorted(await plane.store.read(f"SELECT * FROM {table}"), key=repr) for table in tables}


async def refused(plane: Plane, method: str, url: str, sent: Any, status: int, part: str = "") -> str:
    """Checks that nothing about connections changes either."""
    before = await everything(plane)
    message = await plane.refuse(method, url, sent, status=status, part=part, caller=OFFICER)
    assert await everything(plane) == before
    return message


async def kept(plane: Plane, ident: str) -> Credentials:
    sealed = await plane.safe.open(SEALED_AS, ident)
    assert sealed is not None
    return credentials_of(sealed)


async def revision(plane: Plane, ident: str) -> int:
    found = await records.find(plane.store, ROOT_DOMAIN, ident)
    assert found is not None
    return found.revision


async def test_life_of_a_connection(plane: Plane) -> None:
    made = await make(plane, description="first", meta={"a": 1, "b": {"c": [None]}}, labels={"env": "test"})
    _, fingerprint = api_key()
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
        "service": "oci",
        "category": "cloud",
        "resource_url": f"/v1/connectionmgmt/services/oci/connections/{made['id']}",
        "cloud_name": "oci",
        "last_connection_ok": None,
        "last_connection_error": None,
        "last_connection_at": None,
        "user_ocid": USER,
        "tenancy_ocid": TENANCY,
        "fingerprint": fingerprint,
        "region": "us-ashburn-1",
    }
    for who in (OFFICER, READER):
        for url in (f"{MANY}/{made['id']}", f"{MANY}/one", f"{MANY}/one/"):
            assert await plane.accept("GET", url, caller=who) == made
    plane.clock.advance(5)
    asked = {"name": "one", "meta": {"a": None, "n": 2}, "labels": {"x": "y", "env": None}, "region": "uk-london-1"}
    changed = await plane.accept("PATCH", f"{MANY}/one", asked, caller=OFFICER)
    assert (changed["meta"], changed["labels"]) == ({"b": {"c": [None]}, "n": 2}, {"x": "y"})
    assert (changed["region"], changed["createdAt"]) == ("uk-london-1", made["createdAt"])
    assert changed["updatedAt"] > made["updatedAt"]
    await plane.accept("DELETE", f"{MANY}/{made['id']}", status=204, caller=OFFICER)
    await plane.refuse("GET", f"{MANY}/{made['id']}", status=404, caller=OFFICER)
    assert await plane.count("cckm_sealed") == 0


async def test_what_terraform_sends_for_unchanged_fields_changes_nothing(plane: Plane) -> None:
    made = await make(plane, description="words", credentials={"key_file": key_pem(PHRASE), "pass_phrase": PHRASE})
    unchanged = {
        "name": "one",
        "description": "",
        "meta": None,
        "labels": None,
        "products": None,
        "user_ocid": "",
        "tenancy_ocid": "",
        "fingerprint": "",
        "region": "",
        "credentials": {"key_file": "", "pass_phrase": ""},
    }
    for sent in (unchanged, {**unchanged, "credentials": None}, {**unchanged, "credentials": {}}, {}):
        changed = await plane.accept("PATCH", f"{MANY}/one", sent, caller=OFFICER)
        assert {**changed, "updatedAt": ""} == {**made, "updatedAt": ""}
    assert await revision(plane, made["id"]) == 1
    assert (await kept(plane, made["id"])).pass_phrase == Sensitive(PHRASE)


async def test_revision_moves_with_the_way_to_the_cloud(plane: Plane) -> None:
    ident = (await make(plane))["id"]
    await plane.accept("PATCH", f"{MANY}/one", {"description": "words", "labels": {"x": "1"}}, caller=OFFICER)
    assert await revision(plane, ident) == 1
    steps: list[dict[str, Any]] = [
        {"user_ocid": f"{USER}2"},
        {"tenancy_ocid": f"{TENANCY}2"},
        {"fingerprint": ":".join(["00"] * 16)},
        {"region": "eu-frankfurt-1"},
        {"realm_domain": "localhost:8443"},
        {"server_certificate": pem(certificate(rsa_key(), START)).decode()},
        {"credentials": {"key_file": key_pem()}},
        {"credentials": {"pass_phrase": PHRASE}},
    ]
    for count, step in enumerate(steps, start=2):
        await plane.accept("PATCH", f"{MANY}/one", step, caller=OFFICER)
        assert await revision(plane, ident) == count
    found = await kept(plane, ident)
    assert (found.private_key, found.pass_phrase) == (Sensitive(key_pem()), Sensitive(PHRASE))
    await plane.accept("PATCH", f"{MANY}/one", {"credentials": {"key_file": key_pem()}}, caller=OFFICER)
    assert (await kept(plane, ident)).pass_phrase is None  # the phrase was that of the key before


async def test_credentials_are_never_shown(plane: Plane) -> None:
    given = {"key_file": key_pem(PHRASE), "pass_phrase": PHRASE}
    made = await make(plane, credentials=given)
    inside = given["key_file"].splitlines()[1]
    texts = [repr(made), repr(await records.find(plane.store, ROOT_DOMAIN, "one")), repr(await everything(plane))]
    texts += [(await plane.ask("GET", url, caller=OFFICER)).text for url in (f"{MANY}/one", MANY, ALL)]
    test = await plane.ask("POST", f"{OCI}/connection-test", body(credentials=given, **NOWHERE), caller=OFFICER)
    wrong: list[Any] = [{"credentials": {**given, "x": 1}, "region": 5}, {"credentials": given, "region": "-"}]
    texts += [(await plane.ask("PATCH", f"{MANY}/one", sent, caller=OFFICER)).text for sent in wrong]
    for text in [*texts, test.text]:
        assert inside not in text
        assert PHRASE not in text
        assert "key_file" not in text
    assert test.json()["connection_ok"] is False


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"name": None}, "name: is required"),
    ({"name": "a/b"}, "name: may have"),
    ({"name": " a"}, "name: may have"),
    ({"name": "a" * 256}, "name: may have"),
    ({"name": "a\0b"}, "name: must not contain NUL"),
    ({"user_ocid": ""}, "user_ocid: is required"),
    ({"user_ocid": TENANCY}, "user_ocid: must be"),
    ({"user_ocid": "ocid1.user.oc1..a/b"}, "user_ocid: must be"),
    ({"tenancy_ocid": None}, "tenancy_ocid: is required"),
    ({"tenancy_ocid": USER}, "tenancy_ocid: must be"),
    ({"tenancy_ocid": "x" * 300}, "tenancy_ocid: must be"),
    ({"fingerprint": None}, "fingerprint: is required"),
    ({"fingerprint": "00:11"}, "fingerprint: must be"),
    ({"fingerprint": "/".join(["00"] * 16)}, "fingerprint: must be"),
    ({"region": None}, "region: is required"),
    ({"region": "us.ashburn"}, "region: must be"),
    ({"region": "evil.example/"}, "region: must be"),
    ({"region": 5}, "region"),
    ({"credentials": None}, "credentials.key_file: is required"),
    ({"credentials": {}}, "credentials.key_file: is required"),
    ({"credentials": {"pass_phrase": "x"}}, "credentials.key_file: is required"),
    ({"credentials": "x"}, "credentials"),
    ({"credentials": {"key_file": 5}}, "credentials.key_file"),
    ({"credentials": {"key_file": "no key"}}, "credentials.key_file: must be"),
    ({"credentials": {"key_file": "-----BEGIN PRIVATE KEY-----\n" + "x" * 10_000}}, "credentials.key_file: may have"),
    ({"credentials": {"key_file": "\ud800"}}, "not valid"),
    ({"realm_domain": "https://example.org"}, "realm_domain: must be"),
    ({"realm_domain": "user@example.org"}, "realm_domain: must be"),
    ({"realm_domain": "example.org/x"}, "realm_domain: must be"),
    ({"realm_domain": "EXAMPLE.org"}, "realm_domain: must be"),
    ({"server_certificate": "x"}, "server_certificate: this is not"),
    ({"server_certificate": "x" * 50_000}, "server_certificate: this is not"),
    ({"description": "d" * 2049}, "description: may have"),
    ({"meta": {str(n): n for n in range(65)}}, "meta: may have"),
    ({"labels": {"a": 1}}, "labels"),
    ({"products": "cckm"}, "products"),
]


async def test_what_is_refused(plane: Plane) -> None:
    for more, part in WRONG:
        assert "PRIVATE KEY-----\n" not in await refused(plane, "POST", MANY, body(**more), 400, part)
        if "name" not in more:
            await refused(plane, "POST", f"{OCI}/connection-test", body(**more), 400, part)
    await make(plane)
    for more, part in WRONG:
        if "name" not in more and "is required" not in part:
            await refused(plane, "PATCH", f"{MANY}/one", more, 400)
    for raw in (b"{", b"[]", b"\xff", b"null"):
        for method, url in (("POST", MANY), ("PATCH", f"{MANY}/one"), ("POST", f"{OCI}/connection-test")):
            await plane.refuse(method, url, content=raw, status=400, caller=OFFICER)


async def test_an_odd_identifier_takes_no_time(plane: Plane) -> None:
    """The patterns see each character a few times at most, whatever it is."""
    for word in ("ocid1.user.oc1." + "." * 239, "ocid1.user.oc1." + "a." * 119 + "/", "a" * 20_000, "a-" * 10_000):
        await refused(plane, "POST", MANY, body(user_ocid=word, realm_domain=word, region=word), 400)


async def test_names(plane: Plane) -> None:
    made = await make(plane)
    await refused(plane, "POST", MANY, body(), 409, "name one already")
    await refused(plane, "POST", MANY, body(made["id"]), 409)
    await refused(plane, "PATCH", f"{MANY}/one", {"name": "two"}, 400, "name: cannot be changed")
    for method, url in (("GET", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/test")):
        await refused(plane, method, f"{MANY}/none{url}", {}, 404)
    await refused(plane, "DELETE", f"{ALL}/none", None, 404)


async def test_other_domains_see_nothing(plane: Plane) -> None:
    made = await make(plane)
    for url in (f"{MANY}/{made['id']}", f"{MANY}/one"):
        for method, path in (("GET", url), ("PATCH", url), ("DELETE", url), ("POST", f"{url}/test")):
            await plane.refuse(method, path, {}, status=404, caller=ELSEWHERE)
    for url in (MANY, ALL):
        assert (await plane.accept("GET", url, caller=ELSEWHERE))["total"] == 0
    await plane.accept("POST", MANY, body(), status=201, caller=ELSEWHERE)
    assert await plane.count("cckm_connections", f"domain_id = '{OTHER_DOMAIN}'") == 1


async def test_who_may(plane: Plane) -> None:
    await make(plane)
    changes = [("POST", MANY), ("PATCH", f"{MANY}/one"), ("DELETE", f"{MANY}/one"), ("POST", f"{OCI}/connection-test")]
    for method, url in changes:  # a test makes the server ask any address, so it takes the right to set one
        for who in (READER, "carl;CCKM Users", "carl"):
            await plane.refuse(method, url, body(), status=403, caller=who)
    for method, url in (("GET", MANY), ("GET", f"{MANY}/one"), ("POST", f"{MANY}/one/test")):
        await plane.refuse(method, url, {}, status=403, caller="carl;CCKM Users")
        await plane.refuse(method, url, {}, status=401, caller=None)
    await plane.accept("DELETE", f"{MANY}/one", status=204, caller="root;admin")


async def test_lists_have_those_of_all_clouds_apart(plane: Plane) -> None:
    for name in ("b", "a", "c"):
        plane.clock.advance(1)
        await make(plane, name, labels={"n": name})
    page = await plane.accept("GET", f"{MANY}?sort=-name&limit=2", caller=READER)
    assert ([each["name"] for each in page["resources"]], page["total"]) == (["c", "b"], 3)
    for query, found in (("name=a", ["a"]), ("labels_query=n=c", ["c"]), ("cloud_name=oci", ["b", "a", "c"])):
        page = await plane.accept("GET", f"{MANY}?{query}", caller=READER)
        assert [each["name"] for each in page["resources"]] == found
    assert (await plane.accept("GET", f"{ALL}?service=oci", caller=READER))["total"] == 3
    assert (await plane.accept("GET", f"{ALL}?service=azure", caller=READER))["total"] == 0
    assert "user_ocid" not in (await plane.accept("GET", ALL, caller=READER))["resources"][0]


async def test_keys_that_cannot_sign_are_told_by_the_test_alone(plane: Plane) -> None:
    """A key is kept as it was given, as by the product; a test says in words what is wrong with it."""
    curve = ec.generate_private_key(ec.SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    for credentials, part in (
        ({"key_file": curve.decode()}, "not an RSA key"),
        ({"key_file": "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----"}, "cannot be used"),
        ({"key_file": key_pem(PHRASE)}, "passphrase"),
        ({"key_file": key_pem(PHRASE), "pass_phrase": "another"}, "passphrase"),
        ({"key_file": key_pem(PHRASE), "pass_phrase": "umlaut-\u00e4"}, "cannot be used"),
        ({"key_file": key_pem(PHRASE), "pass_phrase": PHRASE}, "cannot be reached"),
        ({"key_file": key_pem(), "pass_phrase": "for nothing"}, "cannot be reached"),
    ):
        asked = body(credentials=credentials, **NOWHERE)
        told = await plane.accept("POST", f"{OCI}/connection-test", asked, caller=OFFICER)
        assert told["connection_ok"] is False
        assert part in told["connection_error"], told
        assert PHRASE not in told["connection_error"]
        await plane.accept("POST", MANY, {**asked, "name": "kept"}, status=201, caller=OFFICER)
        told = await plane.accept("POST", f"{MANY}/kept/test", caller=OFFICER)
        assert part in told["connection_error"], told
        found = await plane.accept("GET", f"{MANY}/kept", caller=OFFICER)
        assert (found["last_connection_ok"], found["last_connection_error"]) == (False, told["connection_error"])
        await plane.accept("DELETE", f"{MANY}/kept", status=204, caller=OFFICER)


async def use(plane: Plane, connection: dict[str, Any], removed: int = 0) -> None:
    """A vault that is reached by a connection."""
    values = "'v', ?, ?, ?, ?, '', '', '', 'ocid', '', '', 'vault', '', '', '', '', '', '{}', NULL, NULL, '', 0, 0"
    columns = (
        "id, domain_id, removed, connection_id, connection_name, tenancy_ocid, tenancy_name, region, ocid, "
        "compartment_ocid, compartment_name, display_name, vault_type, state, management_endpoint, bucket_name, "
        "bucket_namespace, details, refreshed_at, read_began_at, created_by, created_at, updated_at"
    )
    sql = f"INSERT INTO cckm_oci_vaults ({columns}) VALUES ({values})"
    args = (ROOT_DOMAIN, removed, connection["id"], connection["name"])
    await plane.store.write(lambda tx: tx.execute(sql, *args))


async def test_one_that_is_used_goes_by_force_alone(plane: Plane) -> None:
    made = await make(plane)
    await use(plane, made)
    for url in (f"{MANY}/one", f"{ALL}/one"):
        await refused(plane, "DELETE", url, None, 409, "used by vaults or other records (1)")
    await refused(plane, "POST", f"{ALL}/one/delete", {"force": False}, 409)
    await plane.accept("POST", f"{ALL}/one/delete", status=204, caller=OFFICER)
    row = await plane.store.read_one("SELECT connection_id, connection_name FROM cckm_oci_vaults")
    assert row is not None
    assert (row[0], row[1]) == ("", "one")
    assert await plane.count("cckm_sealed") == 0


async def test_a_vault_that_has_left_keeps_no_connection(plane: Plane) -> None:
    await use(plane, await make(plane), removed=1)
    await plane.accept("DELETE", f"{MANY}/one", status=204, caller=OFFICER)


# ---------------------------------------------------------------- the embedded one


def embedded(**more: Any) -> EmbeddedOci:
    private, fingerprint = api_key()
    told = {
        "tenancy_ocid": TENANCY,
        "user_ocid": USER,
        "fingerprint": fingerprint,
        "private_key": private,
        "region": "us-ashburn-1",
        "port": 8443,
        "authority_pem": pem(certificate(rsa_key(), START)).decode(),
        **more,
    }
    return EmbeddedOci(**told)


async def start(plane: Plane, **more: Any) -> None:
    await ensure_embedded(plane.store, plane.safe, plane.clock, embedded(**more))


async def test_the_embedded_oci_is_registered_once_and_kept_up_to_date(plane: Plane) -> None:
    authority = embedded().authority_pem
    await start(plane, authority_pem=authority)
    found = await plane.accept("GET", f"{MANY}/{EMBEDDED_NAME}", caller=READER)
    assert (found["tenancy_ocid"], found["user_ocid"], found["region"]) == (TENANCY, USER, "us-ashburn-1")
    assert (found["realm_domain"], found["server_certificate"]) == ("localhost:8443", authority)
    before = await everything(plane)
    plane.clock.advance(10)
    await start(plane, authority_pem=authority)
    assert await everything(plane) == before
    await start(plane, authority_pem=authority, port=9443)
    moved = await plane.accept("GET", f"{MANY}/{EMBEDDED_NAME}", caller=READER)
    assert (moved["id"], moved["realm_domain"]) == (found["id"], "localhost:9443")
    assert await revision(plane, found["id"]) == 2
    another = pem(certificate(rsa_key(), START, name="another authority")).decode()
    await start(plane, authority_pem=another, port=9443)
    assert (await plane.accept("GET", f"{MANY}/{EMBEDDED_NAME}", caller=READER))["server_certificate"] == another

    chosen = {
        "user_ocid": f"{USER}2",
        "fingerprint": ":".join(["00"] * 16),
        "credentials": {"key_file": key_pem()},
        "meta": {"a": 1},
        "region": "eu-frankfurt-1",
    }
    await plane.accept("PATCH", f"{MANY}/{EMBEDDED_NAME}", chosen, caller=OFFICER)
    await start(plane, port=7443)
    now = await plane.accept("GET", f"{MANY}/{EMBEDDED_NAME}", caller=READER)
    assert (now["user_ocid"], now["meta"], now["region"]) == (f"{USER}2", {"a": 1}, "eu-frankfurt-1")
    assert now["realm_domain"] == "localhost:7443"
    assert (await kept(plane, found["id"])).private_key == Sensitive(key_pem())


async def test_who_deletes_the_embedded_oci_does_not_find_it_back(plane: Plane) -> None:
    await start(plane)
    await plane.accept("DELETE", f"{MANY}/{EMBEDDED_NAME}", status=204, caller=OFFICER)
    await start(plane, port=6443)
    assert await plane.count("cckm_connections") == 0


async def test_the_embedded_oci_where_its_name_is_taken(plane: Plane) -> None:
    await make(plane, EMBEDDED_NAME)
    await start(plane)
    found = await plane.accept("GET", MANY, caller=READER)
    assert sorted(each["name"] for each in found["resources"]) == [EMBEDDED_NAME, f"{EMBEDDED_NAME}-"]


# ---------------------------------------------------------------- ways to the cloud


async def test_ways_are_made_anew_when_a_connection_changes(plane: Plane) -> None:
    clouds: OciClouds = plane.oci  # type: ignore[attr-defined]
    ident = (await make(plane, **NOWHERE))["id"]

    async def way() -> Any:
        found = await records.find(plane.store, ROOT_DOMAIN, ident)
        assert found is not None
        return await clouds.reach(found)

    first = await way()
    assert await way() is first
    await plane.accept("PATCH", f"{MANY}/one", {"description": "x"}, caller=OFFICER)
    assert await way() is first
    await plane.accept("PATCH", f"{MANY}/one", {"region": "uk-london-1"}, caller=OFFICER)
    second = await way()
    assert second is not first
    assert second.region == "uk-london-1"
    stale = await records.find(plane.store, ROOT_DOMAIN, ident)
    assert stale is not None
    await plane.accept("DELETE", f"{MANY}/one", status=204, caller=OFFICER)
    with pytest.raises(Conflict, match="ConnectionGone"):
        await clouds.reach(stale)
    await asyncio.sleep(0)
    with pytest.raises(Unavailable, match="CloudUnreachable"):
        await second.ask(second.control(), lambda client: client, "others")


async def test_ways_that_are_used_least_are_closed(plane: Plane) -> None:
    clouds = OciClouds(plane.safe, Limits(clouds=1))
    ways = []
    for name in ("a", "b", "c"):
        found = await records.find(plane.store, ROOT_DOMAIN, (await make(plane, name))["id"])
        assert found is not None
        ways.append(await clouds.reach(found))
    await asyncio.sleep(0)
    for old in ways[:-1]:
        with pytest.raises(Unavailable, match="CloudUnreachable"):
            await old.open()
    await ways[-1].open()
    await clouds.close()
