"""Bad input about secrets: a CCKM error with the right status, in words that help, and nothing is changed anywhere."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.agreeing import left_over
from tests.desk import SECRETS, Desk, Managed, Operator
from tests.vaults import spare_name

NOBODY = "73524b70-1234-4f92-954b-6312f4567d1a"
VALUE = "azure_param.value"
CREATE: list[tuple[dict[str, Any], str]] = [
    ({"secret_name": None}, "secret_name: is required"),
    ({"secret_name": ""}, "secret_name: is required"),
    ({"secret_name": "a_b"}, "secret_name: may have 1 to 127"),
    ({"secret_name": "a/b"}, "secret_name: "),
    ({"secret_name": "x" * 128}, "secret_name: "),
    ({"secret_name": "x" * 600}, "secret_name: "),
    ({"secret_name": "a\0b"}, "secret_name: "),
    ({"secret_name": "é"}, "secret_name: "),
    ({"secret_name": 5}, "secret_name: "),
    ({"secret_name": ["a"]}, "secret_name: "),
    ({"key_vault": None}, "key_vault: is required"),
    ({"key_vault": 5}, "key_vault: "),
    ({"key_vault": {}}, "key_vault: "),
    ({"azure_param": None}, "azure_param: is required"),
    ({"azure_param": []}, "azure_param: "),
    ({"azure_param": "value"}, "azure_param: "),
    ({"azure_param": {}}, f"{VALUE}: is required"),
    ({"azure_param": {"value": ""}}, f"{VALUE}: is required"),
    ({"azure_param": {"value": 7}}, f"{VALUE}: "),
    ({"azure_param": {"value": {"a": 1}}}, f"{VALUE}: "),
    ({"azure_param": {"value": "x" * 25_601}}, f"{VALUE}: may have at most 25600 bytes"),
    ({"azure_param": {"value": "€" * 8534}}, f"{VALUE}: may have at most 25600 bytes"),
    ({"azure_param": {"value": "v", "contentType": "x" * 256}}, "azure_param.contentType: "),
    ({"azure_param": {"value": "v", "contentType": "a\0"}}, "azure_param.contentType: "),
    ({"azure_param": {"value": "v", "contentType": 5}}, "azure_param.contentType: "),
    ({"azure_param": {"value": "v", "tags": {"a": "b:c"}}}, "azure_param.tags.a: "),
    ({"azure_param": {"value": "v", "tags": {"a": "100%"}}}, "azure_param.tags.a: "),
    ({"azure_param": {"value": "v", "tags": {"": "b"}}}, "azure_param.tags.: "),
    ({"azure_param": {"value": "v", "tags": {"a": "x" * 257}}}, "azure_param.tags.a: "),
    ({"azure_param": {"value": "v", "tags": {"a": "\0"}}}, "azure_param.tags.a: "),
    ({"azure_param": {"value": "v", "tags": {"a": 5}}}, "azure_param.tags"),
    ({"azure_param": {"value": "v", "tags": {"a": None}}}, "azure_param.tags"),
    ({"azure_param": {"value": "v", "tags": ["a"]}}, "azure_param.tags: "),
    ({"azure_param": {"value": "v", "tags": {f"t{n}": "" for n in range(16)}}}, "azure_param.tags: may be at most 15"),
    ({"azure_param": {"value": "v", "attributes": 5}}, "azure_param.attributes: "),
    ({"azure_param": {"value": "v", "attributes": {"enabled": "yes"}}}, "azure_param.attributes.enabled: "),
    ({"azure_param": {"value": "v", "attributes": {"nbf": "soon"}}}, "azure_param.attributes.nbf: "),
    ({"azure_param": {"value": "v", "attributes": {"nbf": -1}}}, "azure_param.attributes.nbf: "),
    ({"azure_param": {"value": "v", "attributes": {"exp": 10**30}}}, "azure_param.attributes.exp: "),
    ({"azure_param": {"value": "v", "attributes": {"exp": "2020-13-01T00:00:00Z"}}}, "azure_param.attributes.exp: "),
    ({"azure_param": {"value": "v", "attributes": {"nbf": 9, "exp": 9}}}, "azure_param.attributes.exp: must be later"),
    ({"azure_param": {"value": "v", "attributes": {"recoverableDays": 6}}}, "recoverableDays: must be 7 to 90"),
    ({"azure_param": {"value": "v", "attributes": {"recoverableDays": "ten"}}}, "recoverableDays: "),
    ({"azure_param": {"value": "v", "attributes": {"recoveryLevel": "Eternal"}}}, "recoveryLevel: "),
]
BODIES: list[bytes] = [
    *(b"{", b"nothing", b"[]", b'"text"', b"null", b"5", b"\xff\xfe", b'{"secret_name": "a",}', b"[" * 60_000),
    *(b'{"azure_param": ' * 5_000, b'{"secret_name": "\\ud800"}', b'{"azure_param": {"value": "\\ud800"}}'),
]
IDENTS = ["x", NOBODY, "%00", "..", "%2e%2e", "%ff", "a" * 4000, "é", "'; DROP TABLE meta; --", "-1", "null"]


@pytest.fixture(scope="module")
def record(desk: Desk, desk_vault: Managed) -> Any:
    return desk.admin.create("kept", desk_vault, tags={"a": "b"})


@pytest.fixture(autouse=True)
def nothing_changes(desk: Desk, desk_vault: Managed, record: Any) -> Iterator[None]:
    before = desk.admin.accept("GET", SECRETS, query={"limit": -1}), desk_vault.azure.everything()
    yield
    assert (desk.admin.accept("GET", SECRETS, query={"limit": -1}), desk_vault.azure.everything()) == before
    assert left_over(desk.server) == []


def body_of(vault: Managed, **changed: Any) -> dict[str, Any]:
    return {"secret_name": spare_name(), "key_vault": vault.id, "azure_param": {"value": "v"}, **changed}


@pytest.mark.parametrize(("changed", "part"), CREATE, ids=range(len(CREATE)))
def test_a_creation_that_is_wrong(desk: Desk, desk_vault: Managed, changed: dict[str, Any], part: str) -> None:
    told = desk.admin.refuse("POST", SECRETS, body_of(desk_vault, **changed), status=400, part=part)
    assert told.startswith("Validation errors:\n")


def test_everything_that_is_wrong_is_told_at_once(desk: Desk, desk_vault: Managed) -> None:
    param = {"value": "v" * 25_601, "tags": {"a": "b:c"}, "attributes": {"nbf": 5, "exp": 4}}
    told = desk.admin.refuse("POST", SECRETS, body_of(desk_vault, secret_name="a b", azure_param=param), status=400)
    assert [line.partition(":")[0] for line in told.splitlines()[1:]] == [
        *("secret_name", VALUE, "azure_param.tags.a", "azure_param.attributes.exp")
    ]


@pytest.mark.parametrize("content", BODIES, ids=range(len(BODIES)))
def test_a_body_that_is_wrong(desk: Desk, record: Any, content: bytes) -> None:
    path = f"{SECRETS}/{record['id']}"
    for method, where in (("POST", SECRETS), ("POST", f"{path}/restore"), ("PATCH", path)):
        answer = desk.admin.ask(method, where, content=content)
        if content == b'{"secret_name": "\\ud800"}' and where != SECRETS:
            assert answer.status_code < 500  # a field that nobody knows there
            continue
        assert answer.status_code in (400, 413), (where, answer.text)
        assert set(answer.json()) == {"code", "codeDesc", "message", "requestID"}


def test_a_body_that_is_too_large(desk: Desk, desk_vault: Managed) -> None:
    content = json.dumps(body_of(desk_vault, azure_param={"value": "x" * 300_000})).encode()
    desk.admin.refuse("POST", SECRETS, content=content, status=413)


@pytest.mark.parametrize("ident", IDENTS, ids=range(len(IDENTS)))
def test_a_record_that_is_not_there(desk: Desk, ident: str) -> None:
    for method, path in (
        *(("GET", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/soft-delete"), ("POST", "/hard-delete")),
        *(("POST", "/recover"), ("POST", "/restore")),
    ):
        body = {} if method in ("POST", "PATCH") else None
        answer = desk.admin.ask(method, f"{SECRETS}/{ident}{path}", body)
        assert answer.status_code in (404, 405, 400), (method, path, answer.text)
        assert answer.status_code == 404 or ident in ("%00", "..", "%2e%2e", "%ff", "é"), (method, path, answer.text)
        assert set(answer.json()) == {"code", "codeDesc", "message", "requestID"}


@pytest.mark.parametrize("vault", ["nowhere", "nowhere::nowhere", NOBODY, "a\0b", "x" * 500, "::", "'"])
def test_a_vault_that_is_not_there(desk: Desk, record: Any, vault: str) -> None:
    body = {"secret_name": "a", "key_vault": vault, "azure_param": {"value": "v"}}
    answer = desk.admin.ask("POST", SECRETS, body)
    assert answer.status_code == 404 or (answer.status_code == 400 and "\0" in vault), answer.text
    answer = desk.admin.ask("POST", f"{SECRETS}/{record['id']}/restore", {"key_vault": vault})
    assert answer.status_code in (400, 404), answer.text


def test_a_managed_hsm_holds_no_secrets(desk: Desk, desk_vault: Managed, record: Any) -> None:
    """Where one is under management; the embedded Azure has none, so its record is made one."""
    hsm = desk.vault()
    desk.as_managed_hsm(hsm)
    for name in (hsm.id, hsm.record["name"], hsm.name):
        desk.admin.refuse("POST", SECRETS, body_of(hsm, key_vault=name), status=400, part="a managed HSM holds no")
    path = f"{SECRETS}/{record['id']}/restore"
    desk.admin.refuse("POST", path, {"key_vault": hsm.id}, status=400, part="a managed HSM holds no")


ACTIONS = {
    "secretcreate": ("POST", "", None),
    "secretupdate": ("PATCH", "/{id}", {"tags": {"c": "d"}}),
    "secretdelete": ("POST", "/{id}/soft-delete", None),
    "secretpurge": ("POST", "/{id}/hard-delete", None),
    "secretrecover": ("POST", "/{id}/recover", None),
    "secretrestore": ("POST", "/{id}/restore", None),
    "secretdeletebackup": ("DELETE", "/{id}", None),
}


def call(who: Operator, vault: Managed, record: Any, action: str) -> int:
    method, path, body = ACTIONS[action]
    sent = body_of(vault) if action == "secretcreate" else body
    return who.ask(method, SECRETS + path.format(id=record["id"]), sent).status_code


def test_nobody_does_what_the_vault_does_not_permit(desk: Desk, desk_vault: Managed, record: Any) -> None:
    """Without a view of the vault there is nothing; with it alone nothing may be done; each action opens one call."""
    user, ident = desk.user("CCKM Users")
    try:
        for action in ACTIONS:
            assert call(user, desk_vault, record, action) == 404, action
        unknown = user.refuse("POST", SECRETS, body_of(desk_vault, key_vault="nowhere"), status=404)
        assert user.refuse("POST", SECRETS, body_of(desk_vault), status=404) == unknown
        hidden = user.refuse("GET", f"{SECRETS}/{record['id']}", status=404)
        assert user.refuse("GET", f"{SECRETS}/{NOBODY}", status=404) == hidden
        assert user.accept("GET", SECRETS)["total"] == 0
        desk.permit(desk_vault, ident, "secretview")
        assert user.accept("GET", f"{SECRETS}/{record['id']}")["id"] == record["id"]
        for action in ACTIONS:
            assert call(user, desk_vault, record, action) == 403, action
    finally:
        user.close()


def test_a_user_does_what_the_vault_permits(desk: Desk) -> None:
    vault, other = desk.vault(), desk.vault()
    user, ident = desk.user("CCKM Users")
    made = desk.admin.create(spare_name(), vault)
    steps = ["secretupdate", "secretdelete", "secretrecover", "secretdelete", "secretpurge", "secretrestore"]
    steps += ["secretdelete", "secretpurge", "secretdeletebackup"]
    try:
        desk.permit(vault, ident, "secretview")
        for step in steps:
            desk.permit(vault, ident, step)
            assert call(user, vault, made, step) in (200, 204), step
        desk.permit(vault, ident, "secretcreate")
        fresh = user.create(spare_name(), vault)
        assert fresh["created_by"] == ident.removeprefix("local|")
        gone = desk.admin.act(desk.admin.act(fresh, "soft-delete"), "hard-delete")
        user.refuse_act(gone, "restore", 404, "no such key vault", {"key_vault": other.id})
        desk.permit(other, ident, "secretview")
        user.refuse_act(gone, "restore", 403, "secretrestore", {"key_vault": other.id})
        desk.permit(other, ident, "secretrestore")
        made = user.act(gone, "restore", {"key_vault": other.id})
        assert desk.admin.act(desk.admin.act(made, "soft-delete"), "hard-delete")["status"] == "DELETED"
        for each in (made, gone):
            desk.admin.remove(each)
    finally:
        user.close()
