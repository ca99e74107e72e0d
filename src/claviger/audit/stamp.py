"""Records of the same kind, made quickly: what all reads of one caller in one place share is encoded once.

A `Stamp` is made of a whole `Entry`, whose own rules it keeps; of the records that are made by it only the time, the
object's name, its version and the id of the request differ. An `ObjectStamp` leaves all of the object open.
A `Stamped` or `StampedObject` is one of them on its way: it is encoded where the log is written, not where the
call is answered.
"""

from __future__ import annotations

from hashlib import sha256

import msgspec

from claviger.audit.entry import Actor, Entry, Origin, Subject, encoded
from claviger.audit.records import Leaf, Shared, object_key, shared_by

_AT = 1234567890.0625
_MARKS = (
    (b'"at":1234567890.0625', b'"at":%b'),
    (b"@version@", b"%b"),
    (b"@id@", b"%b"),
    (b"@name@", b"%b"),
    (b"@request@", b"%b"),
)
_encode = msgspec.json.Encoder().encode


class Stamp:
    """For grants of one action to one caller in one container; the object's id is `prefix` and its name in lower case.

    Names and versions must consist of letters, digits and `-`, ids of requests of those: nothing of them is escaped.
    """

    def __init__(
        self,
        *,
        action: str,
        actor: Actor,
        domain_id: str,
        origin: Origin,
        service: str,
        status: int,
        kind: str,
        container: str,
    ) -> None:
        self._prefix = f"{container}/secrets/"
        sample = Entry(
            action=action,
            actor=actor,
            at=_AT,
            details={"version": "@version@"},
            domain_id=domain_id,
            object=Subject(container=container, id=f"{self._prefix}@id@", kind=kind, name="@name@"),
            origin=origin,
            outcome="granted",
            request_id="@request@",
            service=service,
            status=status,
        )
        self._shared: Shared = shared_by(sample)
        form = encoded(sample).replace(b"%", b"%%")
        for mark, place in _MARKS:  # in the order in which they stand in the canonical form
            if form.count(mark) != 1:
                raise ValueError("a stamp's fixed parts must not look like its marks")
            form = form.replace(mark, place)
        self._form = form

    def leaf(self, at: float, name: str, version: str, request_id: bytes) -> Leaf:
        """The record, as the log keeps it."""
        key = name.lower()
        body = self._form % (_encode(at), version.encode(), key.encode(), name.encode(), request_id)
        return Leaf(at, self._shared, object_key(self._prefix + key), sha256(b"\x00" + body).digest(), body)


class Stamped(msgspec.Struct, frozen=True, gc=False):
    """One record on its way."""

    stamp: Stamp
    at: float
    name: str
    version: str
    request_id: bytes

    def leaf(self) -> Leaf:
        """The record, as the log keeps it."""
        return self.stamp.leaf(self.at, self.name, self.version, self.request_id)


_OBJECT_MARKS = (
    (b'"at":1234567890.0625', b'"at":%b'),
    (b'"@container@"', b"%b"),
    (b'"@id@"', b"%b"),
    (b'"@kind@"', b"%b"),
    (b'"@name@"', b"%b"),
    (b'"@request@"', b"%b"),
)


class ObjectStamp:
    """For grants of one action to one caller, whatever the object."""

    def __init__(self, *, action: str, actor: Actor, domain_id: str, origin: Origin, service: str, status: int) -> None:
        sample = Entry(
            action=action,
            actor=actor,
            at=_AT,
            domain_id=domain_id,
            object=Subject(container="@container@", id="@id@", kind="@kind@", name="@name@"),
            origin=origin,
            outcome="granted",
            request_id="@request@",
            service=service,
            status=status,
        )
        self._shared: Shared = shared_by(sample)
        form = encoded(sample).replace(b"%", b"%%")
        for mark, place in _OBJECT_MARKS:
            if form.count(mark) != 1:
                raise ValueError("a stamp's fixed parts must not look like its marks")
            form = form.replace(mark, place)
        self._form = form

    def leaf(self, at: float, subject: Subject, request_id: str) -> Leaf:
        """The record, as the log keeps it."""
        container, ident, kind, name = subject.container, subject.id, subject.kind, subject.name
        told = _encode(at), _encode(container), _encode(ident), _encode(kind), _encode(name), _encode(request_id)
        body = self._form % told
        return Leaf(at, self._shared, object_key(subject.id), sha256(b"\x00" + body).digest(), body)


class StampedObject(msgspec.Struct, frozen=True, gc=False):
    """One record by an `ObjectStamp` on its way."""

    stamp: ObjectStamp
    at: float
    subject: Subject
    request_id: str

    def leaf(self) -> Leaf:
        """The record, as the log keeps it."""
        return self.stamp.leaf(self.at, self.subject, self.request_id)


Quick = Stamped | StampedObject
"""What the log takes as it is."""
