"""The routes of Object Storage. Those under `/p/` are public: their address is the credential."""

from __future__ import annotations

from typing import Literal

from claviger.ocikms.calls import Body, Handler, Kind, Plane, Route, Verb
from claviger.ocikms.storage.addresses import Addresses
from claviger.ocikms.storage.operations import Storage

_PLANES = (Plane.STORAGE,)
_BUCKET = "/n/{namespaceName}/b/{bucketName}"
_OBJECT = f"{_BUCKET}/o/{{objectName+}}"
_ADDRESS = f"/p/{{secret}}{_OBJECT}"


class StorageRoutes:
    """Object Storage as HTTP."""

    def __init__(self, storage: Storage, addresses: Addresses) -> None:
        self._storage = storage
        self._addresses = addresses

    def routes(self) -> list[Route]:
        """All of them."""
        return [*self._of_buckets(), *self._of_objects(), *self._of_addresses()]

    def _of_buckets(self) -> list[Route]:
        storage = self._storage
        return [
            _read("GetNamespace", "/n", Verb.INSPECT, storage.get_namespace, "list", "bucket"),
            _read("ListBuckets", "/n/{namespaceName}/b", Verb.INSPECT, storage.list_buckets, "list", "bucket"),
            _read("GetBucket", _BUCKET, Verb.READ, storage.get_bucket, "list", "bucket"),
            _change("CreateBucket", "POST", "/n/{namespaceName}/b", storage.create_bucket, "bucket", "json"),
            _change("DeleteBucket", "DELETE", _BUCKET, storage.delete_bucket, "bucket"),
            _read("HeadBucket", _BUCKET, Verb.READ, storage.head_bucket, "list", "bucket", "HEAD"),
        ]

    def _of_objects(self) -> list[Route]:
        storage = self._storage
        return [
            _read("ListObjects", f"{_BUCKET}/o", Verb.INSPECT, storage.list_objects, "list", "object"),
            _read("GetObject", _OBJECT, Verb.READ, storage.get_object, "read", "object"),
            _change("DeleteObject", "DELETE", _OBJECT, storage.delete_object, "object"),
            _read("HeadObject", _OBJECT, Verb.READ, storage.head_object, "list", "object", "HEAD"),
            Route(
                operation="PutObject",
                method="PUT",
                path=_OBJECT,
                planes=_PLANES,
                verb=Verb.MANAGE,
                handler=storage.put_object,
                kind="change",
                subject_kind="object",
                body="file",
                takes_if_match=True,
                is_body_signed=False,
            ),
        ]

    def _of_addresses(self) -> list[Route]:
        storage, addresses = self._storage, self._addresses
        subject = "preauthenticated-request"
        one = f"{_BUCKET}/p/{{parId}}"
        return [
            _change("CreatePreauthenticatedRequest", "POST", f"{_BUCKET}/p", addresses.create, subject, "json"),
            _read("ListPreauthenticatedRequests", f"{_BUCKET}/p", Verb.MANAGE, addresses.list, "list", subject),
            _read("GetPreauthenticatedRequest", one, Verb.MANAGE, addresses.get, "list", subject),
            _change("DeletePreauthenticatedRequest", "DELETE", one, addresses.delete, subject),
            _by_address("GET", storage.get_by_address, "read"),
            _by_address("HEAD", storage.head_by_address, "list"),
            _by_address("PUT", storage.put_by_address, "change"),
        ]


Read = Literal["GET", "HEAD"]


def _read(
    operation: str, path: str, verb: Verb, handler: Handler, kind: Kind, subject_kind: str, method: Read = "GET"
) -> Route:
    return Route(
        operation=operation,
        method=method,
        path=path,
        planes=_PLANES,
        verb=verb,
        handler=handler,
        kind=kind,
        subject_kind=subject_kind,
    )


def _change(
    operation: str,
    method: Literal["POST", "DELETE"],
    path: str,
    handler: Handler,
    subject_kind: str,
    body: Body = "none",
) -> Route:
    return Route(
        operation=operation,
        method=method,
        path=path,
        planes=_PLANES,
        verb=Verb.MANAGE,
        handler=handler,
        kind="change",
        subject_kind=subject_kind,
        body=body,
        takes_if_match=True,
    )


def _by_address(method: Literal["GET", "HEAD", "PUT"], handler: Handler, kind: Kind) -> Route:
    return Route(
        operation=f"{method.capitalize()}Object",
        method=method,
        path=_ADDRESS,
        planes=_PLANES,
        verb=Verb.INSPECT,
        handler=handler,
        kind=kind,
        subject_kind="object",
        body="file" if method == "PUT" else "none",
        takes_if_match=True,
        is_public=True,
        is_body_signed=False,
    )
