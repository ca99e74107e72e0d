"""What a handler of the embedded OCI gets and gives, and how a route is declared. No rule of any resource is here.

A `Route` names the operation as the OCI documentation does, its place, what the caller needs, and what the funnel
(`app.py`) has to do around the handler: read a body, honour a retry token, record it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from enum import Enum, IntEnum
from typing import Any, Literal, NamedTuple, Protocol

import msgspec

from claviger.audit.entry import Subject
from claviger.ocikms.errors import absent, missing, wrong

MAX_JSON_BYTES = 64 * 1024
MAX_FILE_BYTES = 16 * 1024 * 1024
MAX_PAGE = 1000
DEFAULT_PAGE = 100


class Plane(Enum):
    """The hosts of OCI that are served, each with its own paths (contract §1)."""

    CONTROL = "control"
    MANAGEMENT = "management"
    CRYPTO = "crypto"
    SECRETS = "secrets"
    BUNDLES = "bundles"
    IDENTITY = "identity"
    STORAGE = "storage"


class Verb(IntEnum):
    """What a caller may do in a compartment and below it; each includes those before it, as in OCI's policies."""

    INSPECT = 1
    READ = 2
    USE = 3
    MANAGE = 4


Kind = Literal["list", "read", "change"]
"""For the audit log: lists are not recorded, reads are, changes are with their own transaction."""

Body = Literal["none", "json", "file"]
"""`none` takes `{}` and nothing; `json` takes an object; `file` takes bytes."""


class Caller(msgspec.Struct, frozen=True):
    """Who signed the request."""

    tenancy_id: str
    tenancy_num: int
    user_id: str
    user_name: str
    fingerprint: str


NOBODY = Caller("", 0, "", "", "")
"""Who calls a route that is not signed."""


class Sight(Protocol):
    """What one caller may see, decided on a snapshot of identity that is as new as the request."""

    def may(self, verb: Verb, compartment_id: str) -> bool:
        """Whether the caller may do this in that compartment. False for one that is not there."""
        ...

    def has(self, compartment_id: str) -> bool:
        """Whether it is a compartment, not a deleted one, of the caller's tenancy, or the tenancy itself."""
        ...


class Place(msgspec.Struct, frozen=True):
    """The host that was asked: `prefix` is the vault's, at its two hosts. `shown` is as the client wrote it, with the
    port; `published` gives the management and crypto endpoints of a vault (prefix, region, slot) in that style of name.

    At an address, or a name that is none of OCI's, `plane` is None, the region is empty (the home region is meant), and
    `slot` is that of the vault whose own port was asked, which may be in any region.
    """

    plane: Plane | None
    region: str
    prefix: str | None
    shown: str
    published: Callable[[str, str, int | None], tuple[str, str]]
    slot: int | None = None


class Call(msgspec.Struct, kw_only=True):
    """One call that was signed well, at a route that exists."""

    route: Route
    place: Place
    caller: Caller
    sight: Sight
    path: Mapping[str, str] = {}
    query: Mapping[str, str] = {}
    body: bytes = b""
    if_match: str | None = None
    if_none_match: str | None = None
    retry_token: str | None = None
    content_md5: str | None = None
    content_type: str | None = None
    request_id: str = ""
    now: float = 0.0

    def required(self, name: str) -> str:
        """A query parameter. Raises Invalid where it is absent or empty."""
        value = self.query.get(name)
        if not value:
            raise missing(name)
        return value

    def chosen(self, name: str, choices: tuple[str, ...], default: str) -> str:
        """A query parameter that is one of a few words (any case). Raises Invalid for another one."""
        value = self.query.get(name)
        if not value:
            return default
        if value.upper() not in choices:
            raise wrong(name, f"must be one of {', '.join(choices)}")
        return value.upper()

    def require(self, verb: Verb, compartment_id: str, what: str) -> None:
        """Raises NotFound, as if there were no such `what`, unless the caller may do this in that compartment."""
        if not self.sight.may(verb, compartment_id):
            raise absent(what)


class Answer(msgspec.Struct, kw_only=True):
    """What a handler gives. `body` is a struct, a list of structs, bytes of a file, or None for an empty body."""

    body: object = None
    etag: str | None = None
    next_page: str | None = None
    limit: int | None = None
    headers: list[tuple[bytes, bytes]] = []
    subject: str = ""
    """The OCID that a change was about, and the compartment it is in: what a retry token is remembered with."""
    compartment_id: str = ""
    status: int = 200


class Told(NamedTuple):
    """What a quick way gives: the answer, and for its record what that is about and what else it tells."""

    answer: Answer
    subject: Subject
    details: Mapping[str, Any] = {}


Handler = Callable[[Call], Awaitable[Answer]]
Quick = Callable[[Call], Told | None]


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """One operation. `verb` is the least that its caller needs in the compartment; the handler asks for it.

    In `path`, `{name}` is one segment, decoded; `{name+}`, at the end, is all that is left, slashes included.
    """

    operation: str
    method: Literal["GET", "POST", "PUT", "DELETE", "HEAD"]
    path: str
    planes: tuple[Plane, ...]
    verb: Verb
    handler: Handler
    kind: Kind
    subject_kind: str
    """For the audit log: `key`, `vault`, `version`, `secret`, `compartment`, `bucket` ..."""
    body: Body = "none"
    quick: Quick | None = None
    """The same as `handler` without waiting, for the hottest reads; None where it would have to wait. What it raises
    is not told to anybody: the handler is asked, and raises it again.
    """
    takes_if_match: bool = False
    takes_retry_token: bool = False
    is_public: bool = False
    """Not signed: its address is the credential, and the handler checks it. `caller` is `NOBODY`, and sees nothing."""
    is_body_signed: bool = True
    """False for Object Storage's PutObject, whose body's hash, length and type clients do not sign (contract §13.2)."""
    provisions: bool = False
    """Which of the throttled classes it is in: provisioning or management (contract §14.4)."""
