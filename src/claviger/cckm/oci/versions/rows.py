"""A version's record in memory, and how it follows what OCI says."""

from __future__ import annotations

import msgspec

from claviger.cckm.oci.keys.forms import CloudVersion
from claviger.cckm.oci.keys.rows import look_again
from claviger.cckm.oci.keys.rules import NATIVE, UNKNOWN, State


class VersionDetails(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What OCI says of a version and nobody filters by."""

    compartment_ocid: str = ""
    public_key: str = ""
    is_primary: bool = True
    replication_id: str = ""
    restored_from: str = ""


class VersionRow(msgspec.Struct, frozen=True, kw_only=True):
    """A version of a key. `origin` is OCI's word, `key_origin` ours. Times are epoch seconds; `num` 0: not stored."""

    num: int
    id: str
    key_num: int
    ocid: str
    state: str
    origin: str
    key_origin: str
    source_key_id: str
    source_key_name: str
    source_key_tier: str
    oci_created_at: float
    deletes_at: float | None
    gone: int
    details: str
    refresh_at: float | None
    tries: int
    refreshed_at: float
    deleted_by: str
    created_at: float
    updated_at: float

    @property
    def said(self) -> VersionDetails:
        """What else OCI said about it."""
        return _DETAILS.decode(self.details)


_DETAILS = msgspec.json.Decoder(VersionDetails)
INTERNAL = "INTERNAL"


def origin_of(said: CloudVersion) -> str:
    """Where the material of a version is from that was not made here."""
    return NATIVE if said.origin in ("", INTERNAL) else UNKNOWN


def told(row: VersionRow, said: CloudVersion, now: float, *, tries: int | None = None) -> VersionRow:
    """The row with what OCI says now; a list leaves the state and the public key out, which then stay."""
    state = said.state or row.state
    refresh_at, count = look_again(state, tries or 0, now, said.deletes_at)
    before = row.said
    details = VersionDetails(
        compartment_ocid=said.compartment_ocid or before.compartment_ocid,
        public_key=said.public_key or before.public_key,
        is_primary=said.is_primary,
        replication_id=said.replication_id or before.replication_id,
        restored_from=said.restored_from or before.restored_from,
    )
    return msgspec.structs.replace(
        row,
        state=state,
        origin=said.origin or row.origin,
        oci_created_at=said.created_at,
        deletes_at=said.deletes_at,
        gone=0,
        details=msgspec.json.encode(details).decode(),
        refresh_at=refresh_at,
        tries=count,
        refreshed_at=now,
    )


def seen(row: VersionRow, said: CloudVersion | None, now: float) -> VersionRow:
    """The row after it was looked at by itself: as OCI says; None: it is not there, and its date has passed."""
    if said is None:
        deleted = State.DELETED.value
        return msgspec.structs.replace(
            row, state=deleted, gone=1, refresh_at=None, tries=0, refreshed_at=now, updated_at=now
        )
    after = told(row, said, now, tries=row.tries)
    is_news = (after.state, after.deletes_at, after.gone) != (row.state, row.deletes_at, row.gone)
    return msgspec.structs.replace(after, updated_at=now) if is_news else after


def fresh(ident: str, key_num: int, said: CloudVersion, key_origin: str | None, now: float) -> VersionRow:
    """The row of a version that has no record yet. `key_origin` None: nobody here has made it."""
    blank = VersionRow(
        num=0,
        id=ident,
        key_num=key_num,
        ocid=said.ocid,
        state=said.state,
        origin=said.origin,
        key_origin=key_origin or origin_of(said),
        source_key_id="",
        source_key_name="",
        source_key_tier="",
        oci_created_at=said.created_at,
        deletes_at=said.deletes_at,
        gone=0,
        details="{}",
        refresh_at=None,
        tries=0,
        refreshed_at=now,
        deleted_by="",
        created_at=now,
        updated_at=now,
    )
    return told(blank, said, now)
