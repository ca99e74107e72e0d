"""Which operation a request of OCI asks for: by path as it came, method and plane; and what is no operation at all."""

from __future__ import annotations

import msgspec
import pytest

from claviger.core.errors import Refusal
from claviger.ocikms.calls import Answer, Call, Place, Plane, Route, Verb
from claviger.ocikms.errors import HIDDEN, told
from claviger.ocikms.routing import Routing, check_plane


async def _nothing(_: Call) -> Answer:
    return Answer()


def route(operation: str, method: str, path: str, *planes: Plane) -> Route:
    found = Route(
        operation=operation,
        method="GET",
        path=path,
        planes=planes or (Plane.MANAGEMENT,),
        verb=Verb.READ,
        handler=_nothing,
        kind="read",
        subject_kind="key",
    )
    return msgspec.structs.replace(found, method=method)


KEYS = "/20180608/keys"
TABLE = Routing(
    [
        route("CreateKey", "POST", KEYS),
        route("ListKeys", "GET", KEYS),
        route("ImportKey", "POST", f"{KEYS}/import"),
        route("RestoreKeyFromFile", "POST", f"{KEYS}/actions/restoreFromFile"),
        route("GetKey", "GET", f"{KEYS}/{{keyId}}"),
        route("UpdateKey", "PUT", f"{KEYS}/{{keyId}}"),
        route("EnableKey", "POST", f"{KEYS}/{{keyId}}/actions/enable"),
        route("ListKeyVersions", "GET", f"{KEYS}/{{keyId}}/keyVersions"),
        route("ImportKeyVersion", "POST", f"{KEYS}/{{keyId}}/keyVersions/import"),
        route("GetKeyVersion", "GET", f"{KEYS}/{{keyId}}/keyVersions/{{keyVersionId}}"),
        route("Encrypt", "POST", "/20180608/encrypt", Plane.CRYPTO),
        route("GetVault", "GET", "/20180608/vaults/{vaultId}", Plane.CONTROL),
        route("GetNamespace", "GET", "/n", Plane.STORAGE),
        route("ListObjects", "GET", "/n/{namespace}/b/{bucket}/o", Plane.STORAGE),
        route("GetObject", "GET", "/n/{namespace}/b/{bucket}/o/{objectName+}", Plane.STORAGE),
    ]
)


@pytest.mark.parametrize(
    ("method", "path", "operation", "varying"),
    [
        ("POST", KEYS, "CreateKey", {}),
        ("GET", f"{KEYS}/", "ListKeys", {}),
        ("GET", f"/{KEYS}", "ListKeys", {}),
        ("GET", f"//{KEYS}/ocid1.key.x", "GetKey", {"keyId": "ocid1.key.x"}),
        ("POST", f"{KEYS}/import", "ImportKey", {}),
        ("POST", f"{KEYS}/actions/restoreFromFile", "RestoreKeyFromFile", {}),
        ("POST", f"{KEYS}/actions/actions/enable", "EnableKey", {"keyId": "actions"}),
        ("GET", f"{KEYS}/a/keyVersions", "ListKeyVersions", {"keyId": "a"}),
        ("POST", f"{KEYS}/a/keyVersions/import", "ImportKeyVersion", {"keyId": "a"}),
        ("GET", f"{KEYS}/a/keyVersions/b", "GetKeyVersion", {"keyId": "a", "keyVersionId": "b"}),
        ("GET", f"{KEYS}/import/keyVersions/b/", "GetKeyVersion", {"keyId": "import", "keyVersionId": "b"}),
        ("GET", f"{KEYS}/a%2Fb", "GetKey", {"keyId": "a/b"}),
        ("GET", f"{KEYS}/a%252Fb", "GetKey", {"keyId": "a%2Fb"}),
        ("GET", f"{KEYS}/%C3%A4+.", "GetKey", {"keyId": "ä+."}),
        ("GET", f"{KEYS}/{'x' * 255}", "GetKey", {"keyId": "x" * 255}),
        ("GET", "/n", "GetNamespace", {}),
        ("GET", "/n/", "GetNamespace", {}),
        ("GET", "/n/s/b/b/o/", "ListObjects", {"namespace": "s", "bucket": "b"}),
        ("GET", "/n/s/b/b/o/a", "GetObject", {"namespace": "s", "bucket": "b", "objectName": "a"}),
        ("GET", "/n/s/b/b/o/a/%20b//c/", "GetObject", {"namespace": "s", "bucket": "b", "objectName": "a/ b//c/"}),
        ("GET", "/n/s/b/b/o/a%2Fb", "GetObject", {"namespace": "s", "bucket": "b", "objectName": "a/b"}),
    ],
)
def test_a_path_is_one_operation(method: str, path: str, operation: str, varying: dict[str, str]) -> None:
    found, told_path = TABLE.match(method, path.encode())
    assert (found.operation, told_path) == (operation, varying)


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/", 404, "NotFound"),
        ("GET", "", 404, "NotFound"),
        ("GET", "/20180608", 404, "NotFound"),
        ("GET", "/20180608/", 404, "NotFound"),
        ("GET", "/20180608/Keys", 404, "NotFound"),
        ("GET", f"{KEYS}//a", 404, "NotFound"),
        ("GET", f"{KEYS}//", 404, "NotFound"),
        ("GET", f"{KEYS}/a/b", 404, "NotFound"),
        ("GET", f"{KEYS}/a/keyVersions//", 404, "NotFound"),
        ("GET", "/20180608/ekmsPrivateEndpoints", 404, "NotFound"),
        ("GET", "/20180608/hsmClusters/a", 404, "NotFound"),
        ("GET", "/n/s/b/b/o//", 404, "NotFound"),
        ("GET", f"{KEYS}/%", 404, "InvalidParameter"),
        ("GET", f"{KEYS}/%zz", 404, "InvalidParameter"),
        ("GET", f"{KEYS}/a%0", 404, "InvalidParameter"),
        ("GET", f"{KEYS}/%00", 404, "InvalidParameter"),
        ("GET", f"{KEYS}/a%00b", 404, "InvalidParameter"),
        ("GET", f"{KEYS}/%ff", 404, "InvalidParameter"),
        ("GET", f"{KEYS}/%ED%A0%80", 404, "InvalidParameter"),
        ("GET", f"{KEYS}/{'x' * 256}", 404, "InvalidParameter"),
        ("GET", f"/n/s/b/b/o/{'x' * 2049}", 404, "InvalidParameter"),
        ("GET", f"{KEYS}/import/actions/enable", 405, "MethodNotAllowed"),
        ("DELETE", f"{KEYS}/a", 405, "MethodNotAllowed"),
        ("PATCH", KEYS, 405, "MethodNotAllowed"),
        ("GET", f"{KEYS}/import", 405, "MethodNotAllowed"),
        ("HEAD", KEYS, 405, "MethodNotAllowed"),
    ],
)
def test_what_is_no_operation_is_said(method: str, path: str, status: int, code: str) -> None:
    with pytest.raises(Refusal) as refused:
        TABLE.match(method, path.encode())
    assert told(refused.value)[:2] == (status, code)


def test_a_wrong_method_is_told_the_right_ones() -> None:
    with pytest.raises(Refusal) as refused:
        TABLE.match("DELETE", KEYS.encode())
    assert refused.value.facts["allow"] == "GET, POST"


def test_two_operations_cannot_have_one_path() -> None:
    with pytest.raises(ValueError, match="two routes"):
        Routing([route("A", "GET", "/a/{b}"), route("B", "GET", "/a/{c}")])


def test_an_address_that_is_a_credential_is_not_remembered() -> None:
    public = msgspec.structs.replace(route("PutObject", "PUT", "/p/{secret}/o"), is_public=True)
    table = Routing([public, route("ListKeys", "GET", KEYS)])
    for method, path in (("PUT", "/p/s3cr3t/o"), ("GET", KEYS)):
        assert table.match(method, path.encode()) == table.match(method, path.encode())
    assert "s3cr3t" not in repr(table._known)
    assert KEYS in repr(table._known)


def place(plane: Plane | None, slot: int | None = None) -> Place:
    return Place(plane, "us-ashburn-1", None, "host", lambda *_: ("", ""), slot)


@pytest.mark.parametrize(
    ("path", "method", "where", "is_served"),
    [
        (KEYS, "GET", place(Plane.MANAGEMENT), True),
        (KEYS, "GET", place(Plane.CONTROL), False),
        (KEYS, "GET", place(Plane.CRYPTO), False),
        (KEYS, "GET", place(None), False),
        (KEYS, "GET", place(None, 0), True),
        ("/20180608/encrypt", "POST", place(Plane.MANAGEMENT), False),
        ("/20180608/encrypt", "POST", place(None, 0), True),
        ("/20180608/vaults/a", "GET", place(Plane.CONTROL), True),
        ("/20180608/vaults/a", "GET", place(Plane.MANAGEMENT), False),
        ("/20180608/vaults/a", "GET", place(None), True),
        ("/20180608/vaults/a", "GET", place(None, 3), True),
        ("/n", "GET", place(Plane.CONTROL), False),
    ],
)
def test_an_operation_is_at_the_hosts_of_its_plane(path: str, method: str, where: Place, is_served: bool) -> None:
    found, _ = TABLE.match(method, path.encode())
    if is_served:
        check_plane(found, where)
        return
    with pytest.raises(Refusal) as refused:
        check_plane(found, where)
    assert told(refused.value) == (404, "NotAuthorizedOrNotFound", HIDDEN)
