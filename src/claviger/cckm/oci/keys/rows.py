"""A key's record in memory, and how it follows what OCI says."""

from __future__ import annotations

import msgspec

from claviger.cckm.oci.keys.forms import CloudKey
from claviger.cckm.oci.keys.rules import SETTLED, State, state_of

FIRST_LOOK_S = 1.0
LONGEST_LOOK_S = 60.0
AFTER_DATE_S = 1.0
"""So long after the date of its deletion a key is looked at."""
MOST_LOOKS = 200
"""So often a key in a passing state is looked at again, at growing intervals; then a synchronisation has to."""


class KeyDetails(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What OCI says of a key and nobody filters by."""

    freeform_tags: dict[str, str] = msgspec.field(default_factory=dict)
    defined_tags: dict[str, dict[str, str]] = msgspec.field(default_factory=dict)
    is_primary: bool = True
    replication_id: str = ""
    restored_from: str = ""


class KeyRow(msgspec.Struct, frozen=True, kw_only=True):
    """A key of a vault. Times are epoch seconds; `num` 0: not stored yet. `labels` and `details` are JSON.

    `previous_state` is the one that a cancelled deletion is expected to lead back to, as far as we have seen it.
    """

    num: int
    id: str
    vault_num: int
    ocid: str
    name: str
    name_key: str
    algorithm: str
    length: int
    curve_id: str
    protection_mode: str
    compartment_ocid: str
    compartment_name: str
    state: str
    previous_state: str
    current_version_ocid: str
    origin: str
    oci_created_at: float
    deletes_at: float | None
    auto_rotate: int
    job_config_id: str
    labels: str
    gone: int
    details: str
    backup: str | None
    backup_at: float | None
    refresh_at: float | None
    tries: int
    refreshed_at: float
    created_by: str
    modified_by: str
    deleted_by: str
    created_at: float
    updated_at: float

    @property
    def said(self) -> KeyDetails:
        """What else OCI said about it."""
        return _DETAILS.decode(self.details)

    @property
    def labels_map(self) -> dict[str, str]:
        """Its labels."""
        return _LABELS.decode(self.labels)


class KeyView(msgspec.Struct, frozen=True, kw_only=True):
    """A key's row with what its record shows of the vault that it is in."""

    row: KeyRow
    domain_id: str
    vault_id: str
    vault_ocid: str
    vault_name: str
    tenancy: str
    region: str


_DETAILS = msgspec.json.Decoder(KeyDetails)
_LABELS = msgspec.json.Decoder(dict[str, str])


def encoded(details: KeyDetails) -> str:
    """The JSON of a row's `details`."""
    return msgspec.json.encode(details).decode()


def encoded_labels(labels: dict[str, str]) -> str:
    """The JSON of a row's `labels`."""
    return msgspec.json.encode(labels).decode()


def look_again(state: str, tries: int, now: float, deletes_at: float | None = None) -> tuple[float | None, int]:
    """When to look again at something in a state, and how often that was; None where it stays as it is.

    Something that waits for its deletion is looked at when the date has come, and from then on until OCI has done it.
    """
    known = state_of(state)
    if known is State.PENDING_DELETION and deletes_at is not None:
        if deletes_at + AFTER_DATE_S > now:
            return deletes_at + AFTER_DATE_S, 0
    elif known is None or known in SETTLED:
        return None, 0
    if tries >= MOST_LOOKS:
        return None, tries
    return now + pause_s(tries), tries + 1


def pause_s(tries: int) -> float:
    """The pause before something is looked at again that was looked at so often."""
    return min(FIRST_LOOK_S * 1.5 ** min(tries, 20), LONGEST_LOOK_S)


def told(row: KeyRow, said: CloudKey, compartment_name: str | None, now: float, *, tries: int | None = None) -> KeyRow:
    """The row with what OCI says now. `tries` is how often it was looked at while it passed; None begins anew.

    `compartment_name` None: it is kept where the compartment is the same.
    """
    known = state_of(said.state)
    previous = said.state if known in (State.ENABLED, State.DISABLED) else row.previous_state
    refresh_at, count = look_again(said.state, tries or 0, now, said.deletes_at)
    same_place = said.compartment_ocid == row.compartment_ocid
    if compartment_name is None:
        compartment_name = row.compartment_name if same_place else ""
    return msgspec.structs.replace(
        row,
        name=said.name,
        name_key=said.name.lower(),
        algorithm=said.algorithm,
        length=said.length,
        curve_id=said.curve_id,
        protection_mode=said.protection_mode,
        compartment_ocid=said.compartment_ocid,
        compartment_name=compartment_name,
        state=said.state,
        previous_state=previous,
        current_version_ocid=said.current_version_ocid or row.current_version_ocid,
        oci_created_at=said.created_at,
        deletes_at=said.deletes_at,
        gone=0,
        details=encoded(
            KeyDetails(
                freeform_tags=said.freeform_tags,
                defined_tags=said.defined_tags,
                is_primary=said.is_primary,
                replication_id=said.replication_id,
                restored_from=said.restored_from,
            )
        ),
        refresh_at=refresh_at,
        tries=count,
        refreshed_at=now,
    )


def fresh(
    ident: str, vault_num: int, said: CloudKey, compartment_name: str, origin: str, user_id: str, now: float
) -> KeyRow:
    """The row of a key that has no record yet."""
    blank = KeyRow(
        num=0,
        id=ident,
        vault_num=vault_num,
        ocid=said.ocid,
        name=said.name,
        name_key=said.name.lower(),
        algorithm=said.algorithm,
        length=said.length,
        curve_id=said.curve_id,
        protection_mode=said.protection_mode,
        compartment_ocid=said.compartment_ocid,
        compartment_name=compartment_name,
        state=said.state,
        previous_state="",
        current_version_ocid=said.current_version_ocid,
        origin=origin,
        oci_created_at=said.created_at,
        deletes_at=said.deletes_at,
        auto_rotate=0,
        job_config_id="",
        labels="{}",
        gone=0,
        details="{}",
        backup=None,
        backup_at=None,
        refresh_at=None,
        tries=0,
        refreshed_at=now,
        created_by=user_id,
        modified_by=user_id,
        deleted_by="",
        created_at=now,
        updated_at=now,
    )
    return told(blank, said, compartment_name, now)
