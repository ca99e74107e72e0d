"""Where a backup is written to and read from: an object of a bucket, or the address of one (OCI contract §6.1).

Both are this server's own. Nothing is ever fetched from elsewhere: an address is taken apart, and its secret part is
looked up here. To write, the caller needs to manage the bucket, to restore, to read it; an address is enough by itself.
"""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

import msgspec

from claviger.core.errors import Invalid, Unauthenticated
from claviger.ocikms.backups.wire import BackupLocation
from claviger.ocikms.calls import Call, Plane, Verb
from claviger.ocikms.errors import missing, related_absent, wrong
from claviger.ocikms.hosts import OciHosts
from claviger.ocikms.storage import contents, preauthenticated, records, rules
from claviger.ocikms.storage.records import BucketRow
from claviger.store.contract import Store, Tx

BUCKET = "BUCKET"
ADDRESS = "PRE_AUTHENTICATED_REQUEST_URI"
MAX_URI_LENGTH = 4096
CONTENT_TYPE = "application/octet-stream"
_OWN_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})


class Target(msgspec.Struct, frozen=True):
    """An object. With a `secret` it is reached by its address; the region is the address's then, if it says one."""

    namespace: str
    bucket: str
    name: str
    region: str
    secret: str = ""

    @property
    def asked(self) -> tuple[str, str, str]:
        """Namespace, bucket and object."""
        return self.namespace, self.bucket, self.name

    def __repr__(self) -> str:
        return f"<target {self.bucket}/{self.name}>"


class _Address(msgspec.Struct, frozen=True):
    """The address of a pre-authenticated request, taken apart; whose it is, is not looked at yet."""

    scheme: str
    netloc: str
    name: str | None
    secret: str
    namespace: str
    bucket: str
    object: str

    def __repr__(self) -> str:
        return f"<address of {self.bucket}/{self.object}>"


class Locations:
    """Reads and writes backups in Object Storage."""

    def __init__(self, store: Store, hosts: OciHosts) -> None:
        self._store = store
        self._hosts = hosts

    def target(self, call: Call, location: BackupLocation | None) -> Target:
        """The object that is meant. Raises Invalid for a location that says none."""
        if location is None:
            raise missing("backupLocation")
        if location.destination == ADDRESS:
            return self._addressed(call, location.uri)
        if location.destination != BUCKET:
            raise wrong("backupLocation.destination", f"must be {BUCKET} or {ADDRESS}")
        names = {
            "namespace": location.namespace,
            "bucketName": location.bucket_name,
            "objectName": location.object_name,
        }
        for name, value in names.items():
            if not value:
                raise missing(f"backupLocation.{name}")
        rules.check_object_name(location.object_name or "")
        return Target(
            location.namespace or "", location.bucket_name or "", location.object_name or "", call.place.region
        )

    def _addressed(self, call: Call, uri: str | None) -> Target:
        if not uri:
            raise missing("backupLocation.uri")
        address = _read_address(uri)
        rules.check_object_name(address.object)
        host = self._hosts.place(address.netloc, address.scheme)
        is_ours = host is not None and (
            host.plane is Plane.STORAGE
            or (host.plane is None and (address.netloc == call.place.shown.lower() or address.name in _OWN_NAMES))
        )
        if host is None or not is_ours:
            raise wrong("backupLocation.uri", "is not an address of this server")
        return Target(address.namespace, address.bucket, address.object, host.region, address.secret)

    def put(self, tx: Tx, call: Call, target: Target, content: bytes, content_md5: str) -> None:
        """Writes an object within a transaction. Raises Invalid where that is not allowed, or there is no room."""
        bucket = self._addressed_in(tx, call, target) if target.secret else self._named_in(tx, call, target)
        contents.put(tx, bucket, target.name, content, content_md5=content_md5, content_type=CONTENT_TYPE, now=call.now)

    def _addressed_in(self, tx: Tx, call: Call, target: Target) -> BucketRow:
        try:
            return preauthenticated.opened_in(tx, target.secret, target.asked, target.region, writes=True, now=call.now)
        except Unauthenticated:
            raise _closed() from None

    def _named_in(self, tx: Tx, call: Call, target: Target) -> BucketRow:
        tenancy_num = call.caller.tenancy_num
        bucket = records.bucket_in(tx, tenancy_num, target.region, target.bucket)
        if records.namespace_in(tx, tenancy_num) != target.namespace or not _may(call, Verb.MANAGE, bucket):
            raise related_absent("The bucket")
        return _there(bucket)

    async def read(self, call: Call, target: Target) -> bytes:
        """The content of an object. Raises Invalid where there is none, or none for this caller."""
        bucket: BucketRow | None
        if target.secret:
            try:
                bucket = await preauthenticated.opened(
                    self._store, target.secret, target.asked, target.region, writes=False, now=call.now
                )
            except Unauthenticated:
                raise _closed() from None
        else:
            tenancy_num = call.caller.tenancy_num
            bucket = await records.bucket(self._store, tenancy_num, target.region, target.bucket)
            own = await records.namespace(self._store, tenancy_num)
            if own != target.namespace or not _may(call, Verb.READ, bucket):
                raise related_absent("The bucket")
        found = await records.with_content(self._store, _there(bucket).num, target.name)
        if found is None:
            raise related_absent("The object")
        return found[1]


def _may(call: Call, verb: Verb, bucket: BucketRow | None) -> bool:
    return bucket is not None and call.sight.may(verb, bucket.compartment_id)


def _there(bucket: BucketRow | None) -> BucketRow:
    if bucket is None:
        raise related_absent("The bucket")
    return bucket


def _read_address(uri: str) -> _Address:
    """An address of the shape that this server gives out. Raises Invalid for any other text."""
    if len(uri) > MAX_URI_LENGTH:
        raise _unusable()
    try:
        found = urlsplit(uri)
        name = found.hostname
        _, p, secret, n, namespace, b, bucket, o, place = found.path.split("/", 8)
        namespace, bucket, place = (unquote(part, errors="strict") for part in (namespace, bucket, place))
    except ValueError:  # no address, not of this shape, or not of this encoding
        raise _unusable() from None
    is_shaped = found.scheme in ("http", "https") and (p, n, b, o) == ("p", "n", "b", "o")
    has_more = bool(found.query or found.fragment) or "@" in found.netloc
    if not is_shaped or has_more or "\0" in uri + namespace + bucket + place:
        raise _unusable()
    return _Address(found.scheme, found.netloc.lower(), name, secret, namespace, bucket, place)


def _unusable() -> Invalid:
    return wrong("backupLocation.uri", "is not the address of a pre-authenticated request for an object")


def _closed() -> Invalid:
    return related_absent("The pre-authenticated request")
