"""Access tokens on both databases: what is in one, what is refused, who its holder is now, and key rotation."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from claviger.cckm import records as shared
from claviger.cckm.access import records as access
from claviger.cckm.access.signing import KIND
from claviger.cckm.calls import ROOT_DOMAIN, SIGNED_IN, in_container
from claviger.core.errors import Damaged
from claviger.core.sensitive import Sensitive
from tests.control import Control, ControlClient, domain_with_admin, open_control, quoted, spare


@pytest.fixture
async def control(database_url: str) -> AsyncIterator[Control]:
    async with open_control(database_url) as opened:
        yield opened


@pytest.fixture
async def admin(control: Control) -> ControlClient:
    return await control.signed_in()


def claims_of(token: str) -> Any:
    return jwt.decode(token, options={"verify_signature": False})


def public_keys(told: Any) -> dict[str, Any]:
    return {key["kid"]: jwt.PyJWK(key).key for key in told["keys"]}


async def test_the_claims_are_those_of_the_contract(control: Control, admin: ControlClient) -> None:
    token = admin.tokens["jwt"]
    claims = claims_of(token)
    me = await admin.accept("GET", "/auth/self/user")
    assert claims == {
        "aud": admin.tokens["client_id"],
        "sub": me["user_id"],
        "iss": "kylo",
        "acc": "kylo",
        "preferred_username": "admin",
        "cust": {
            "domain_id": ROOT_DOMAIN,
            "groups": ["admin"],
            "sid": claims["cust"]["sid"],
            "zone_id": ROOT_DOMAIN,
            "epoch": 0,
        },
        "jwtid": claims["jwtid"],
        "iat": int(control.clock.now()),
        "exp": int(control.clock.now()) + 300,
    }
    assert me["user_id"] == f"local|{me['id']}"
    assert jwt.get_unverified_header(token)["typ"] == "JWT"
    assert admin.tokens["duration"] == 300
    assert admin.tokens["token_type"] == "Bearer"
    assert len(admin.tokens["refresh_token"]) == 64


async def test_a_stranger_can_check_a_token_with_the_published_keys(control: Control, admin: ControlClient) -> None:
    keys = public_keys(await control.client().accept("GET", "/auth/jwks.json"))
    token = admin.tokens["jwt"]
    key = keys[jwt.get_unverified_header(token)["kid"]]
    checked = jwt.decode(
        token,
        key,
        algorithms=["ES256"],
        audience=admin.tokens["client_id"],
        options={"verify_exp": False, "verify_iat": False},
    )
    assert checked["preferred_username"] == "admin"


def forged(token: str, **changes: Any) -> dict[str, Any]:
    return {**claims_of(token), **changes}


def unsigned(claims: Any, header: Any, signature: bytes = b"") -> str:
    def part(data: bytes) -> str:
        return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

    return f"{part(json.dumps(header).encode())}.{part(json.dumps(claims).encode())}.{part(signature)}"


def forgeries(token: str, published: Any) -> dict[str, str]:
    header = jwt.get_unverified_header(token)
    kid = header["kid"]
    head, body, signature = token.split(".")
    other_body = unsigned(forged(token, sub="local|x"), header).split(".")[1]
    public = published.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    other = ec.generate_private_key(ec.SECP256R1())
    hmac_key = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256)
    text = unsigned(claims_of(token), {**header, "alg": "HS256"}).rpartition(".")[0]
    mac = hmac_key.sign(text.encode(), public)
    return {
        "nothing": "",
        "no token": "abc",
        "two parts": f"{head}.{body}",
        "four parts": f"{token}.x",
        "no signature": f"{head}.{body}.",
        "signature of something else": f"{head}.{other_body}.{signature}",
        "alg none": unsigned(claims_of(token), {**header, "alg": "none"}),
        "alg none with the signature": unsigned(claims_of(token), {**header, "alg": "none"}) + signature,
        "public key as a secret": f"{text}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}",
        "another key of this id": jwt.encode(claims_of(token), other, "ES256", {"kid": kid}),
        "a key of its own": jwt.encode(claims_of(token), other, "ES256", {"kid": "mine", "jwk": {}}),
        "no key id": jwt.encode(claims_of(token), other, "ES256"),
        "a number as key id": unsigned(claims_of(token), {**header, "kid": 7}, b"x"),
        "deep": "x" * 20_000,
        "not base64": f"{head}.%%%.{signature}",
    }


async def test_a_forged_token_is_refused(control: Control, admin: ControlClient) -> None:
    token = admin.tokens["jwt"]
    published = public_keys(await admin.accept("GET", "/auth/jwks.json"))
    for name, each in forgeries(token, published[jwt.get_unverified_header(token)["kid"]]).items():
        told = await admin.as_token(each).refusal("GET", "/auth/self/user", expect=401)
        assert told["code"] == 1, name
        assert told["message"].startswith("Bearer token malformed: "), name
        assert "NCERRUnauthorized: " in told["codeDesc"]
    await admin.ask("GET", "/auth/self/user", expect=200)


async def test_a_token_with_claims_that_are_not_ours_is_refused(control: Control, admin: ControlClient) -> None:
    token = admin.tokens["jwt"]
    signer = await control.parts.keys.signer()
    kid = {"kid": signer.row.kid}
    for changes in (
        {"iss": "somebody"},
        {"sub": "admin"},
        {"sub": f"ldap|{claims_of(token)['sub'][6:]}"},
        {"exp": "never"},
        {"exp": None},
        {"cust": {}},
        {"cust": {**claims_of(token)["cust"], "epoch": "0"}},
        {"aud": ["a", "b"]},
        {"jwtid": 7},
    ):
        made = unsigned_by(signer.private, forged(token, **changes), kid)
        told = await admin.as_token(made).refusal("GET", "/auth/self/user", expect=401)
        assert told["message"].startswith("Bearer token malformed: "), changes
    same = unsigned_by(signer.private, forged(token), kid)
    await admin.as_token(same).ask("GET", "/auth/self/user", expect=200)


def unsigned_by(key: Any, claims: Any, headers: Any) -> str:
    """A token with a good signature under claims that nothing checks."""
    return jwt.api_jws.PyJWS().encode(json.dumps(claims).encode(), key, "ES256", headers)


async def test_a_header_that_holds_no_bearer_token(control: Control) -> None:
    for header in ("", "Bearer", "Bearer ", "Basic YWRtaW46YWRtaW4=", "Token x", "bearer\tx"):
        answer = await control.client().ask("GET", "/auth/self/user", headers={"Authorization": header}, expect=401)
        assert answer.headers["www-authenticate"] == "Bearer"


async def test_the_scheme_is_read_in_any_case_and_two_headers_are_refused(
    control: Control, admin: ControlClient
) -> None:
    nobody = control.client()
    await nobody.ask("GET", "/domain", headers={"Authorization": f"bEARER {admin.token}"}, expect=200)
    two = [("authorization", f"Bearer {admin.token}"), ("authorization", f"Bearer {admin.token}")]
    answer = await nobody.http.get("/api/v1/domain", headers=two)
    assert answer.status_code == 401


async def test_an_expired_token_says_by_how_much(control: Control, admin: ControlClient) -> None:
    control.clock.advance(299.5)
    await admin.ask("GET", "/domain", expect=200)
    control.clock.advance(50.5)
    told = await admin.refusal("GET", "/domain", expect=401)
    assert (told["code"], told["message"]) == (1, "Bearer token malformed: Token is expired by 50s")
    control.parts.gate._held.clear()  # neither does it matter whether the token is remembered
    assert (await admin.refusal("GET", "/domain", expect=401))["message"] == told["message"]


async def test_groups_count_at_once_not_those_of_the_token(control: Control, admin: ControlClient) -> None:
    user = await control.user(admin)
    me = await user.accept("GET", "/auth/self/user")
    await user.ask("GET", "/usermgmt/users", expect=403)
    path = f"/usermgmt/groups/{quoted('User Admins')}/users/{me['user_id']}"
    await admin.accept("POST", path)
    await user.ask("GET", "/usermgmt/users", expect=200)
    await admin.accept("DELETE", path)
    told = await user.refusal("GET", "/usermgmt/users", expect=403)
    assert told["code"] == 6
    assert "User Admins" in told["message"]


async def test_what_another_server_changes_counts_here(database_url: str) -> None:
    async with open_control(database_url) as one, open_control(database_url, one.clock) as two:
        admin = await one.signed_in()
        elsewhere = two.client(admin.token)
        await elsewhere.ask("GET", "/domain", expect=200)  # its key was made by the other one
        user = await one.user(admin)
        me = await user.accept("GET", "/auth/self/user")
        there = two.client(user.token)
        await there.ask("GET", "/usermgmt/users", expect=403)
        await admin.accept("POST", f"/usermgmt/groups/{quoted('User Admins')}/users/{me['user_id']}")
        await there.ask("GET", "/usermgmt/users", expect=200)
        fresh = await one.user(admin, "User Admins")
        await two.client(fresh.token).ask("GET", "/usermgmt/users", expect=200)


async def test_a_user_that_is_gone_is_nobody(control: Control, admin: ControlClient) -> None:
    user = await control.user(admin)
    me = await user.accept("GET", "/auth/self/user")
    await admin.accept("DELETE", f"/usermgmt/users/{me['user_id']}")
    told = await user.refusal("GET", "/domain", expect=401)
    assert "no longer exists" in told["message"]


async def test_who_may_no_longer_enter_a_domain_is_out(control: Control, admin: ControlClient) -> None:
    domain_id, boss = await domain_with_admin(control, admin)
    other = spare()
    made = await admin.accept("POST", "/usermgmt/users", {"username": other, "password": "a password 1"})
    path = f"/usermgmt/groups/{quoted('CCKM Users')}/users/{made['user_id']}"
    await boss.accept("POST", path)
    guest = await control.signed_in(other, "a password 1", domain_id)
    await guest.ask("GET", "/domain", expect=200)
    await boss.accept("DELETE", path)
    told = await guest.refusal("GET", "/domain", expect=401)
    assert "may no longer enter" in told["message"]


async def test_a_domain_that_is_gone_has_no_tokens(control: Control, admin: ControlClient) -> None:
    domain_id, boss = await domain_with_admin(control, admin)
    await boss.ask("GET", "/domain", expect=200)
    await admin.accept("DELETE", f"/domains/{domain_id}")
    assert "domain no longer exists" in (await boss.refusal("GET", "/domain", expect=401))["message"]


async def test_a_remembered_token_asks_no_database(
    control: Control, admin: ControlClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("claviger.store.postgres.GENERATION_S", 1e9)  # which asks again every half second
    asked: list[str] = []
    header = f"Bearer {admin.token}".encode()
    await control.parts.gate.admit(header, SIGNED_IN)
    read, read_one = control.store.read, control.store.read_one

    async def counting(sql: str, *args: Any) -> Any:
        asked.append(sql)
        return await read(sql, *args)

    async def counting_one(sql: str, *args: Any) -> Any:
        asked.append(sql)
        return await read_one(sql, *args)

    monkeypatch.setattr(control.store, "read", counting)
    monkeypatch.setattr(control.store, "read_one", counting_one)
    for _ in range(3):
        caller, _ = await control.parts.gate.admit(header, SIGNED_IN)
        assert caller is not None
    assert asked == []
    asked.clear()
    await control.store.write(shared.bump_access_revision)
    await control.parts.gate.admit(header, SIGNED_IN)
    assert len(asked) == 3  # the revision, the signing keys, the standing of the caller


async def test_remembered_tokens_are_bounded(
    control: Control, admin: ControlClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("claviger.cckm.access.gate.MOST_REMEMBERED", 3)
    for _ in range(6):
        again = await control.signed_in()
        await again.ask("GET", "/domain", expect=200)
    assert len(control.parts.gate._held) == 3
    await admin.ask("GET", "/domain", expect=200)


async def test_a_rotated_key_verifies_until_its_last_token_has_expired(control: Control, admin: ControlClient) -> None:
    before = jwt.get_unverified_header(admin.tokens["jwt"])["kid"]
    control.clock.advance(1)
    told = await admin.accept("POST", "/auth/rotate-auth-key")
    assert told["id"] != before
    listed = await admin.accept("GET", "/auth/auth-key")
    assert {"id", "uri", "account", "createdAt", "updatedAt"} <= set(listed["resources"][0])
    assert [(key["id"], key["state"]) for key in listed["resources"]] == [(told["id"], "current"), (before, "previous")]
    assert told["createdAt"] == told["updatedAt"]
    assert listed["resources"][1]["createdAt"] < listed["resources"][1]["updatedAt"] == told["createdAt"]
    assert set(public_keys(await admin.accept("GET", "/auth/jwks.json"))) == {before, told["id"]}
    control.parts.gate._held.clear()
    await admin.ask("GET", "/domain", expect=200)
    again = await control.signed_in()
    assert jwt.get_unverified_header(again.tokens["jwt"])["kid"] == told["id"]
    control.clock.advance(400)
    again = await control.signed_in()
    assert set(public_keys(await again.accept("GET", "/auth/jwks.json"))) == {told["id"]}
    await again.accept("POST", "/auth/rotate-auth-key")
    assert before not in {row.kid for row in await access.signing_keys(control.store)}
    assert await control.safe.open(KIND, before) is None


async def test_only_the_root_domain_rotates_the_key(control: Control, admin: ControlClient) -> None:
    _, boss = await domain_with_admin(control, admin)
    await boss.ask("POST", "/auth/rotate-auth-key", expect=403)
    user = await control.user(admin, "User Admins")
    await user.ask("POST", "/auth/rotate-auth-key", expect=403)
    await user.ask("GET", "/auth/auth-key", expect=403)


async def test_two_servers_that_start_at_once_agree_on_a_key(database_url: str) -> None:
    async with open_control(database_url) as one, open_control(database_url, one.clock) as two:
        a, b = await one.signed_in(), await two.signed_in()
        kids = {jwt.get_unverified_header(each.tokens["jwt"])["kid"] for each in (a, b)}
        assert len(kids) == 1
        rotated = await a.accept("POST", "/auth/rotate-auth-key")
        c = await one.signed_in()
        assert jwt.get_unverified_header(c.tokens["jwt"])["kid"] == rotated["id"]
        await two.client(c.token).ask("GET", "/domain", expect=200)


async def test_a_key_that_was_put_into_the_database_is_not_trusted(control: Control, admin: ControlClient) -> None:
    mine = ec.generate_private_key(ec.SECP256R1())
    signer = await control.parts.keys.signer()
    sealed = await shared.sealed(control.store, KIND, signer.row.kid)
    assert sealed is not None

    def plant(tx: Any) -> None:
        access.step_down_signing_key(tx, control.clock.now() + 600)
        access.add_signing_key(tx, "planted", control.clock.now())
        shared.put_sealed(tx, KIND, "planted", *sealed)  # another key's seal
        shared.bump_access_revision(tx)

    await control.store.write(plant)
    with pytest.raises(Damaged):
        await control.parts.keys.refresh()
    token = jwt.encode(claims_of(admin.tokens["jwt"]), mine, "ES256", {"kid": "planted"})
    assert token


async def test_private_keys_are_sealed(control: Control, admin: ControlClient) -> None:
    signer = await control.parts.keys.signer()
    row = await shared.sealed(control.store, KIND, signer.row.kid)
    opened = await control.safe.must_open(KIND, signer.row.kid)
    assert row is not None
    assert isinstance(opened, Sensitive)
    assert opened.reveal()[-20:] not in row[1]
    assert signer.row.kid in repr(signer)
    assert "PRIVATE" not in repr(signer)


async def test_rights_in_containers_are_those_of_the_user_and_his_groups(
    control: Control, admin: ControlClient
) -> None:
    from claviger.cckm.access.acls.operations import change_acls
    from claviger.cckm.access.acls.wire import AclEntry

    user = await control.user(admin, "CCKM Users")
    me = await user.accept("GET", "/auth/self/user")
    known = {"secretview", "secretcreate"}
    header = f"Bearer {user.token}".encode()

    async def rights() -> tuple[bool, bool, frozenset[str]]:
        caller, found = await control.parts.gate.admit(header, in_container("secretcreate"))
        assert caller is not None
        return (
            found.allows(caller, "c1", "secretview"),
            found.allows(caller, "c2", "secretcreate"),
            found.containers(caller, "secretview"),
        )

    assert await rights() == (False, False, frozenset())
    entry = AclEntry(user_id=me["user_id"], actions=["secretview"])
    await control.store.write(lambda tx: change_acls(tx, ROOT_DOMAIN, "c1", [entry], known))
    assert await rights() == (True, False, frozenset({"c1"}))
    group = AclEntry(group="CCKM Users", actions=["secretview", "secretcreate"])
    await control.store.write(lambda tx: change_acls(tx, ROOT_DOMAIN, "c2", [group], known))
    assert await rights() == (True, True, frozenset({"c1", "c2"}))
    await admin.accept("DELETE", f"/usermgmt/groups/{quoted('CCKM Users')}/users/{me['user_id']}")
    assert await rights() == (True, False, frozenset({"c1"}))
