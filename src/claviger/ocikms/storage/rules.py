"""What buckets, objects and pre-authenticated requests may be called, how many there may be, and how lists are cut.

Object Storage is here for backups, which are small: an object is held in one piece, and a bucket has few of them. So
a list of objects is cut here, by one pure function, out of all that the bucket holds.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple, Protocol, TypeVar

from claviger.core.errors import Conflict, Invalid, NotFound
from claviger.ocikms.errors import wrong

MAX_BUCKETS = 100
"""In one region of one tenancy."""
MAX_OBJECTS = 1000
MAX_BUCKET_BYTES = 512 * 1024 * 1024
MAX_PREAUTHENTICATED = 1000
"""Both of one bucket."""
MAX_LISTED = 1000
MAX_OBJECT_NAME_BYTES = 1024
MAX_CONTENT_TYPE_LENGTH = 256
DEFAULT_CONTENT_TYPE = "application/octet-stream"

READS = frozenset({"ObjectRead", "ObjectReadWrite", "AnyObjectRead", "AnyObjectReadWrite"})
WRITES = frozenset({"ObjectWrite", "ObjectReadWrite", "AnyObjectWrite", "AnyObjectReadWrite"})
OF_ONE_OBJECT = frozenset({"ObjectRead", "ObjectWrite", "ObjectReadWrite"})

_BUCKET_NAME = re.compile(r"[A-Za-z0-9._-]{1,255}", re.ASCII)


class Named(Protocol):
    """Whatever has an object's name."""

    @property
    def name(self) -> str:
        """The name, slashes included."""
        ...


N = TypeVar("N", bound=Named)


def check_bucket_name(name: str) -> str:
    """Raises Invalid("BucketName")."""
    if _BUCKET_NAME.fullmatch(name) is None or name in (".", ".."):
        raise Invalid(
            "BucketName",
            message="A bucket's name has 1 to 255 letters, digits, dashes, underscores and periods.",
        )
    return name


def check_object_name(name: str) -> str:
    """Raises Invalid for a name that is empty, overlong, or has a character that no name has."""
    if not name or len(name.encode()) > MAX_OBJECT_NAME_BYTES or any(character in name for character in "\0\r\n"):
        raise wrong("objectName", f"must have 1 to {MAX_OBJECT_NAME_BYTES} bytes, and no line feed, return or NUL")
    return name


def check_content_type(given: str | None) -> str:
    """The type to keep. It comes back as a header: raises Invalid for what is no plain text."""
    if not given:
        return DEFAULT_CONTENT_TYPE
    if len(given) > MAX_CONTENT_TYPE_LENGTH or not (given.isascii() and given.isprintable()):
        raise wrong("content-type", f"must have {MAX_CONTENT_TYPE_LENGTH} printable characters at most")
    return given


def check_access(access_type: str, object_name: str | None) -> None:
    """Raises Invalid for a kind of access that is not known, or for one object without its name."""
    if access_type not in READS | WRITES:
        raise wrong("accessType", f"must be one of {', '.join(sorted(READS | WRITES))}")
    if object_name is not None:
        check_object_name(object_name)
    elif access_type in OF_ONE_OBJECT:
        raise wrong("objectName", f"may not be null with accessType {access_type}")


def covers(access_type: str, object_name: str | None, asked: str) -> bool:
    """Whether a pre-authenticated request is for the object that is asked for; those for any may have a prefix."""
    if access_type in OF_ONE_OBJECT:
        return asked == object_name
    return asked.startswith(object_name or "")


class Window(NamedTuple):
    """Which names a list asks for; an empty text is not asked for. `end` is not in it, `start` is."""

    prefix: str = ""
    start: str = ""
    start_after: str = ""
    end: str = ""

    def holds(self, name: str) -> bool:
        """Whether a name is in it."""
        is_begun = name >= self.start and (not self.start_after or name > self.start_after)
        return is_begun and name.startswith(self.prefix) and (not self.end or name < self.end)


def page_of_objects(
    objects: Sequence[N], window: Window, delimiter: str, limit: int
) -> tuple[list[N], list[str], str | None]:
    """One page of a list of objects, which come in the order of their names: objects, prefixes, where to go on.

    With a delimiter all names that go on behind it are one prefix, which counts as one entry.
    """
    found: list[N] = []
    prefixes: list[str] = []
    for each in objects:
        if not window.holds(each.name):
            continue
        head, mark, _ = each.name[len(window.prefix) :].partition(delimiter) if delimiter else (each.name, "", "")
        shared = window.prefix + head + mark if mark else None
        if shared is not None and prefixes and prefixes[-1] == shared:
            continue
        if len(found) + len(prefixes) == limit:
            return found, prefixes, each.name
        if shared is None:
            found.append(each)
        else:
            prefixes.append(shared)
    return found, prefixes, None


def namespace_absent() -> NotFound:
    """What a caller is told of a namespace that is not his tenancy's."""
    return NotFound(
        "NamespaceAbsent",
        message="You do not have authorization to perform this request, or the requested resource could not be found.",
    )


def bucket_absent(name: str, namespace: str) -> NotFound:
    """What a caller is told of a bucket that is not there or not his to see."""
    return NotFound(
        "BucketAbsent",
        message=f"Either the bucket named '{name[:256]}' does not exist in the namespace '{namespace[:256]}' "
        "or you are not authorized to access it",
    )


def object_absent(name: str, bucket: str) -> NotFound:
    """There is no such object."""
    return NotFound("ObjectAbsent", message=f"The object '{name[:1024]}' was not found in the bucket '{bucket[:256]}'")


def bucket_exists(name: str, namespace: str) -> Conflict:
    """The name is taken in this region, whoever may see the bucket."""
    return Conflict(
        "BucketExists",
        message=f"Either the bucket named '{name}' in the namespace '{namespace}' already exists "
        "or you are not authorized to create it",
    )


def bucket_not_empty(name: str) -> Conflict:
    """Only empty buckets can be deleted."""
    return Conflict("BucketNotEmpty", message=f"Bucket named '{name}' is not empty. Delete all object versions first.")


def limit_reached(what: str) -> Invalid:
    """There are as many as there may be."""
    return Invalid("LimitExceeded", message=f"The limit of this server is reached: {what}.")
