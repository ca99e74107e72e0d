"""Synchronisation of OCI without a cloud: what is compared, what becomes of the records, what counts as drift."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from claviger.cckm.oci.keys import rows
from claviger.cckm.oci.keys.forms import CloudKey, CloudVersion
from claviger.cckm.oci.keys.rows import KeyRow
from claviger.cckm.oci.synchronization.cloud import Keys, pages
from claviger.cckm.oci.synchronization.comparing import Settled, Sighting, Stamp, end, followed, is_over, merged, settle
from claviger.cckm.oci.versions import rows as version_rows
from claviger.cckm.oci.versions.rows import VersionRow
from claviger.core.errors import NotFound, Throttled, Unavailable

NOW = 1_800_000_000.0
STAMP = Stamp(vault_num=7, by="somebody", now=NOW)
DUE = NOW - 10


def key(**more: Any) -> CloudKey:
    known: dict[str, Any] = {
        "ocid": "ocid1.key.1",
        "vault_ocid": "ocid1.vault.1",
        "compartment_ocid": "ocid1.compartment.1",
        "name": "orders",
        "algorithm": "AES",
        "length": 32,
        "curve_id": "",
        "protection_mode": "HSM",
        "state": "ENABLED",
        "current_version_ocid": "v1",
        "created_at": 1000.0,
        "deletes_at": None,
        "freeform_tags": {"a": "b", "c": "d"},
        "defined_tags": {},
    }
    return CloudKey(**{**known, **more})


def version(ocid: str = "v1", **more: Any) -> CloudVersion:
    known: dict[str, Any] = {
        "ocid": ocid,
        "key_ocid": "ocid1.key.1",
        "vault_ocid": "ocid1.vault.1",
        "compartment_ocid": "ocid1.compartment.1",
        "state": "ENABLED",
        "origin": "INTERNAL",
        "created_at": 1000.0,
        "deletes_at": None,
    }
    return CloudVersion(**{**known, **more})


def row(said: CloudKey, **more: Any) -> KeyRow:
    made = rows.fresh("id-1", 7, said, "production", "native", "somebody", NOW - 100)
    return msgspec.structs.replace(made, num=1, **more)


def version_row(said: CloudVersion, num: int = 1, **more: Any) -> VersionRow:
    made = version_rows.fresh(f"version-{num}", 1, said, None, NOW - 100)
    return msgspec.structs.replace(made, num=num, **more)


def settled(
    said: CloudKey, versions: list[CloudVersion], known: KeyRow | None, *its: VersionRow, lost: tuple[str, ...] = ()
) -> Settled:
    ids = [f"new-{number}" for number in range(1 + len(versions))]
    return settle(Sighting(NOW - 5, said, versions, list(lost), "production"), known, its, STAMP, ids)


def test_nothing_becomes_of_what_is_as_it_is_known() -> None:
    said, its = key(), version()
    assert settled(said, [its], row(said), version_row(its)).key is None
    swapped = msgspec.structs.replace(said, freeform_tags={"c": "d", "a": "b"})
    assert settled(swapped, [its], row(said), version_row(its)).key is None
    looked_at = row(said, refreshed_at=5.0, refresh_at=6.0, tries=3)
    assert settled(said, [its], looked_at, version_row(its, refreshed_at=5.0)).key is None
    replica = version_row(version(public_key="PEM", is_primary=False))  # which lists do not tell of
    assert settled(said, [its], row(said), replica).key is None


FACTS: dict[str, Any] = {
    "name": "other",
    "compartment_ocid": "ocid1.compartment.2",
    "state": "DISABLED",
    "current_version_ocid": "v2",
    "deletes_at": NOW + 1000,
    "freeform_tags": {"a": "x"},
    "defined_tags": {"n": {"k": "v"}},
    "protection_mode": "SOFTWARE",
    "is_primary": False,
    "replication_id": "r",
    "restored_from": "k",
}


@pytest.mark.parametrize("field", FACTS)
def test_every_fact_of_a_key_is_compared(field: str) -> None:
    said, its = key(), version()
    other = msgspec.structs.replace(said, **{field: FACTS[field]})
    done = settled(other, [its], row(said), version_row(its))
    assert done.key is not None
    assert (done.key.num, done.key.updated_at, done.key.refreshed_at) == (1, NOW, NOW)
    again = settle(
        Sighting(NOW, other, [its], [], "production"), done.key, [version_row(its)], STAMP, ["new-0", "new-1"]
    )
    assert again.key is None


@pytest.mark.parametrize(
    "changed", [{"state": "DISABLED"}, {"deletes_at": 5.0}, {"origin": "EXTERNAL"}, {"public_key": "PEM"}]
)
def test_every_fact_of_a_version_is_compared(changed: Mapping[str, Any]) -> None:
    said, its = key(), version()
    done = settled(said, [msgspec.structs.replace(its, **changed)], row(said), version_row(its))
    assert done.key is not None
    assert [each.num for each in done.changed] == [1]


def test_a_key_that_was_never_known_gets_records() -> None:
    done = settled(key(current_version_ocid="v2"), [version("v2", origin="EXTERNAL"), version("v1")], None)
    assert done.key is not None
    assert (done.is_new, done.key.id, done.key.origin, done.key.created_by) == (True, "new-0", "unknown", "somebody")
    assert [(each.ocid, each.id, each.key_origin) for each in done.added] == [
        ("v2", "new-1", "unknown"),
        ("v1", "new-2", "native"),
    ]
    assert settled(key(state="DELETED"), [version()], None).key is None


def test_what_somebody_has_changed_is_drift() -> None:
    said, its = key(), version()
    changed = key(state="DISABLED", name="other", current_version_ocid="v2")
    done = settled(changed, [version("v2"), its], row(said), version_row(its))
    assert done.fields == {
        "lifecycle_state": ("ENABLED", "DISABLED"),
        "display_name": ("orders", "other"),
        "current_key_version": ("v1", "v2"),
        "versions": (1, 2),
    }


@pytest.mark.parametrize("state", ["ENABLING", "CREATING", "CANCELLING_DELETION", "UPDATING"])
def test_what_settles_by_itself_is_no_drift(state: str) -> None:
    said, its = key(state=state, deletes_at=NOW + 5), version(state="CREATING")
    done = settled(key(), [version()], row(said), version_row(its))
    assert done.key is not None
    assert (done.key.state, done.fields) == ("ENABLED", {})


def test_a_deletion_whose_time_has_come_is_no_drift() -> None:
    said = key(state="PENDING_DELETION", deletes_at=DUE)
    done = settled(key(state="DELETED", deletes_at=DUE), [version(state="DELETED")], row(said), version_row(version()))
    assert done.key is not None
    assert (done.key.state, done.key.refresh_at) == ("DELETED", None)
    assert [each.state for each in done.changed] == ["DELETED"]
    assert done.fields == {}
    assert is_over("PENDING_DELETION", DUE, NOW)
    assert not is_over("PENDING_DELETION", NOW + 1, NOW)
    assert not is_over("ENABLED", DUE, NOW)


def test_versions_go_with_their_key_and_lost_ones_are_gone() -> None:
    said, its, other = key(), version(), version("v0", created_at=900.0)
    done = settled(said, [its], row(said), version_row(its), version_row(other, 2), lost=("v0",))
    assert [(each.num, each.gone, each.state) for each in done.changed] == [(2, 1, "ENABLED")]
    assert done.fields == {"versions": (2, 1)}
    due = msgspec.structs.replace(other, state="PENDING_DELETION", deletes_at=DUE)
    done = settled(said, [its], row(said), version_row(its), version_row(due, 2), lost=("v0",))
    assert [(each.gone, each.state) for each in done.changed] == [(1, "DELETED")]
    assert settled(said, [its], row(said), version_row(its), version_row(other, 2)).key is None  # nobody says so
    over = settled(key(state="DELETED"), [], row(said), version_row(its))
    assert [(each.gone, each.state) for each in over.changed] == [(0, "DELETED")]


def test_how_a_key_ends() -> None:
    said, its = key(), version()
    gone, versions = end(row(said), [version_row(its)], STAMP, is_final=False)
    assert (gone.gone, gone.state, gone.refresh_at) == (1, "ENABLED", None)
    assert [(each.gone, each.state) for each in versions] == [(1, "ENABLED")]
    gone, versions = end(row(said), [version_row(its), version_row(its, 2, state="DELETED")], STAMP, is_final=True)
    assert (gone.gone, gone.state) == (1, "DELETED")
    assert [(each.num, each.state) for each in versions] == [(1, "DELETED")]
    back = settled(said, [its], gone, *versions)
    assert back.key is not None
    assert (back.key.gone, back.key.state) == (0, "ENABLED")


def test_drift_is_what_differs_from_before_it_began() -> None:
    done = Settled(None, fields={"a": (2, 3)}, facts={"a": 3, "b": 1})
    assert merged({}, done) == {"a": (2, 3)}
    assert merged({"a": (1, 2)}, done) == {"a": (1, 3)}
    assert merged({"a": (3, 2)}, done) == {}
    assert merged({"b": (1, 2)}, Settled(None, facts={"b": 1})) == {}
    assert merged({"b": (1, 2)}, Settled(None, facts={"b": 4})) == {"b": (1, 4)}
    states = {"version_states": ({"v1": "ENABLED"}, {"v1": "PENDING_DELETION"})}
    more = Settled(None, fields={"version_states": ({"v2": "ENABLED"}, {"v2": "DISABLED"})})
    both = ({"v1": "ENABLED", "v2": "ENABLED"}, {"v1": "PENDING_DELETION", "v2": "DISABLED"})
    assert merged(states, more) == {"version_states": both}
    back = Settled(None, fields={"version_states": ({"v1": "PENDING_DELETION"}, {"v1": "ENABLED"})})
    assert merged(states, back) == {}
    assert merged(states, Settled(None)) == states


def test_drift_says_what_has_come_of_a_key_since() -> None:
    its = [version_row(version("v1", state="PENDING_DELETION"))]
    before = {
        "lifecycle_state": ("ENABLED", "DISABLING"),
        "display_name": ("orders", "other"),
        "version_states": ({"v1": "ENABLED"}, {"v1": "SCHEDULING_DELETION"}),
    }
    assert followed(before, row(key(state="DISABLED")), its) == {
        "lifecycle_state": ("ENABLED", "DISABLED"),
        "version_states": ({"v1": "ENABLED"}, {"v1": "PENDING_DELETION"}),
    }
    assert followed(before, row(key()), [version_row(version("v1"))]) == {}


class Tenancy:
    """Answers pages by a script of marks."""

    def __init__(self, *marks: str) -> None:
        self.marks = list(marks)
        self.asked: list[Any] = []

    async def once(self, at: Any, work: Any, kind: str, calls: int = 1) -> Any:
        return work(self)

    def page(self, client: Any, more: Mapping[str, Any]) -> tuple[list[str], str]:
        self.asked.append(more.get("page"))
        return [f"item-{len(self.asked)}"], self.marks.pop(0)


async def test_lists_are_read_to_their_end_and_not_in_circles() -> None:
    async def read(tenancy: Tenancy) -> list[str]:
        told: AsyncIterator[list[str]] = pages(tenancy, SimpleNamespace(), tenancy.page, "others")  # type: ignore[arg-type]
        return [item async for page in told for item in page]

    whole = Tenancy("a", "b", "")
    assert await read(whole) == ["item-1", "item-2", "item-3"]
    assert whole.asked == [None, "a", "b"]
    with pytest.raises(Unavailable):
        await read(Tenancy("a", "a", "a", ""))


class Cloud:
    """Keys of OCI as the SDK tells them; a script says what goes wrong at which call."""

    def __init__(self, wrong: Mapping[int, Exception], *, forgotten: tuple[str, ...] = ()) -> None:
        self.cloud = self
        self.calls: list[str] = []
        self._wrong = wrong
        self._forgotten = forgotten

    def paces(self, at: Any) -> bool:
        return False

    async def ask(self, call: Any, weight: int = 1) -> Any:
        while True:
            try:
                return await call()
            except Throttled:
                continue

    async def once(self, at: Any, work: Any, kind: str, calls: int = 1) -> Any:
        return work(self)

    def _called(self, what: str) -> None:
        self.calls.append(what)
        if (wrong := self._wrong.get(len(self.calls))) is not None:
            raise wrong

    def get_key(self, ocid: str) -> Any:
        self._called(f"key {ocid}")
        if ocid in self._forgotten:
            raise NotFound("CloudNotFound")
        state = "DELETED" if ocid.startswith("old") else "ENABLED"
        fields = dict.fromkeys(KEY_FIELDS) | {"id": ocid, "lifecycle_state": state}
        return SimpleNamespace(data=SimpleNamespace(**fields))

    def list_key_versions(self, ocid: str, limit: int, page: str = "") -> Any:
        self._called(f"versions {ocid} {page}".strip())
        if ocid.startswith("old"):
            raise NotFound("CloudNotFound")
        fields = dict.fromkeys(VERSION_FIELDS) | {"id": f"{ocid}-{page or 1}"}
        mark = "2" if ocid.startswith("long") and not page else ""
        return SimpleNamespace(data=[SimpleNamespace(**fields)], headers={"opc-next-page": mark})


KEY_FIELDS = [
    "key_shape",
    "replica_details",
    "vault_id",
    "compartment_id",
    "display_name",
    "protection_mode",
    "current_key_version",
    "time_created",
    "time_of_deletion",
    "freeform_tags",
    "defined_tags",
    "is_primary",
    "restored_from_key_id",
]
VERSION_FIELDS = [
    "key_id",
    "vault_id",
    "compartment_id",
    "lifecycle_state",
    "origin",
    "time_created",
    "time_of_deletion",
]


async def several(cloud: Cloud, *ocids: str) -> dict[str, Any]:
    keys = Keys(cloud, SimpleNamespace())  # type: ignore[arg-type]  # as much of both as is asked for
    found = await keys.several(ocids)
    assert [whole[0].ocid for whole in found if whole] == [
        ocid for ocid, whole in zip(ocids, found, strict=True) if whole
    ]
    return {
        ocid: None if whole is None else [each.ocid for each in whole[1]]
        for ocid, whole in zip(ocids, found, strict=True)
    }


async def test_several_keys_are_read_in_one_turn() -> None:
    assert await several(Cloud({}), "a", "long", "b") == {"a": ["a-1"], "long": ["long-1", "long-2"], "b": ["b-1"]}


@pytest.mark.parametrize("at", range(1, 7))
async def test_what_was_read_stays_where_a_call_fails(at: int) -> None:
    cloud = Cloud({at: Throttled("CloudThrottled")})
    assert await several(cloud, "a", "long", "b") == {"a": ["a-1"], "long": ["long-1", "long-2"], "b": ["b-1"]}
    assert len(cloud.calls) <= 9
    with pytest.raises(Unavailable):
        await several(Cloud({at: Unavailable("CloudUndecided")}), "a", "long", "b")


async def test_a_key_that_is_not_shown_is_left_out_and_a_deleted_one_may_have_no_versions() -> None:
    found = await several(Cloud({}, forgotten=("x",)), "long", "x", "old", "b")
    assert found == {"long": ["long-1", "long-2"], "x": None, "old": [], "b": ["b-1"]}
