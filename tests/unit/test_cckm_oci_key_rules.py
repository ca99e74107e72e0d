"""Keys of OCI: what may be done in which state, when a record is looked at again, what lists and plans say of them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from claviger.cckm.calls import Query
from claviger.cckm.oci.keys import effects, records, requests, rows
from claviger.cckm.oci.keys.backups import place_for, place_of
from claviger.cckm.oci.keys.cloud import CloudKey
from claviger.cckm.oci.keys.listing import wanted_of
from claviger.cckm.oci.keys.rows import FIRST_LOOK_S, LONGEST_LOOK_S, MOST_LOOKS, KeyRow, look_again
from claviger.cckm.oci.keys.rules import (
    Operation,
    State,
    days_problem,
    decide,
    deletion_at,
    length_of,
    no_backup,
    shape_problems,
    tag_problems,
)
from claviger.cckm.oci.keys.trades import KEY_TRADES
from claviger.cckm.oci.keys.wire import CreateOciKey, ScheduleDeletion, UpdateOciKey
from claviger.cckm.oci.keys.work import TOKEN_S, Doubt, Work
from claviger.cckm.oci.vaults.records import OciVault
from claviger.core.errors import Conflict, Invalid, Unavailable

NOW = 1_800_000_000.0
DAY_S = 86_400.0
COMPARTMENT = "ocid1.compartment.oc1..aaaa"

ALLOWED = {
    Operation.UPDATE: {"CREATING": "ENABLED", "ENABLED": "ENABLED", "DISABLED": "DISABLED"},
    Operation.ENABLE: {"DISABLED": "ENABLED"},
    Operation.DISABLE: {"ENABLED": "DISABLED"},
    Operation.SCHEDULE_DELETION: {"ENABLED": "PENDING_DELETION", "DISABLED": "PENDING_DELETION"},
    Operation.CANCEL_DELETION: {"PENDING_DELETION": "ENABLED"},
    Operation.CHANGE_COMPARTMENT: {"ENABLED": "ENABLED", "DISABLED": "DISABLED"},
    Operation.ADD_VERSION: {"ENABLED": "ENABLED"},
    Operation.BACKUP: {"ENABLED": "ENABLED", "DISABLED": "DISABLED"},
    Operation.RESTORE: {"DELETED": "ENABLED"},
    Operation.DELETE_BACKUP: {"DELETED": "DELETED"},
    Operation.REMOVE: {"DELETED": "DELETED"},
}
FOR_DELETED = {Operation.RESTORE, Operation.DELETE_BACKUP, Operation.REMOVE}


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("operation", Operation)
def test_every_cell_of_the_table(operation: Operation, state: State) -> None:
    leads_to = ALLOWED[operation].get(state.value)
    if leads_to is not None:
        assert decide(operation, state.value) is State(leads_to)
        return
    refused: Any = Invalid if operation in FOR_DELETED else Conflict
    with pytest.raises(refused) as told:
        decide(operation, state.value)
    assert told.value.reason == ("StateForbids" if operation in FOR_DELETED else "WrongState")
    assert f"the key is {state.value}, and {operation.value} needs it to be" in str(told.value.facts["message"])
    if state.value.endswith(("ING", "_DELETION")) and state is not State.PENDING_DELETION:
        assert "OCI is still at it" in str(told.value.facts["message"])


def test_the_table_knows_every_operation() -> None:
    assert ALLOWED.keys() == set(Operation)


def test_who_disables_what_is_disabled_is_not_told_to_enable_it() -> None:
    with pytest.raises(Conflict) as told:
        decide(Operation.DISABLE, "DISABLED")
    assert str(told.value.facts["message"]).endswith("needs it to be ENABLED; there is nothing to do")
    with pytest.raises(Conflict) as told:
        decide(Operation.ADD_VERSION, "DISABLED")
    assert str(told.value.facts["message"]).endswith("; enable it first")


@pytest.mark.parametrize("state", ["ENABLED", "DISABLED", "PENDING_DELETION"])
def test_who_wants_a_key_back_is_not_told_to_delete_it(state: str) -> None:
    with pytest.raises(Invalid) as told:
        decide(Operation.RESTORE, state)
    assert "schedule" not in str(told.value.facts["message"])


def test_a_second_deletion_is_told_what_to_do_first() -> None:
    with pytest.raises(Conflict) as told:
        decide(Operation.SCHEDULE_DELETION, "PENDING_DELETION")
    assert "to change the date, cancel and schedule again" in str(told.value.facts["message"])


@pytest.mark.parametrize("operation", Operation)
def test_what_is_gone_counts_as_deleted(operation: Operation) -> None:
    if operation in FOR_DELETED:
        assert decide(operation, "ENABLED", is_gone=True) is State(ALLOWED[operation]["DELETED"])
    elif operation is Operation.DISABLE:
        assert decide(operation, "ENABLED", is_gone=True) is State.DISABLED


def test_a_state_that_nobody_knows_yet_is_left_to_oci() -> None:
    assert all(decide(operation, "HIBERNATING") is State.ENABLED for operation in Operation)
    assert look_again("HIBERNATING", 3, NOW) == (None, 0)


@pytest.mark.parametrize(
    ("days", "least", "most"),
    [(7, 7 * DAY_S + 60, 7 * DAY_S + 600), (8, 8 * DAY_S, 8 * DAY_S), (30, 30 * DAY_S - 600, 30 * DAY_S - 60)],
)
def test_days_become_a_date_that_oci_takes(days: int, least: float, most: float) -> None:
    assert least <= deletion_at(days, NOW) - NOW <= most


@pytest.mark.parametrize("days", [6, 31, 0, -7])
def test_other_days_are_refused(days: int) -> None:
    assert days_problem(days) == "must be 7 to 30"
    with pytest.raises(Invalid):
        requests.days_of(ScheduleDeletion(days=days))


def test_days_that_are_not_said_are_seven() -> None:
    assert [requests.days_of(ScheduleDeletion()), requests.days_of(ScheduleDeletion(days=30))] == [7, 30]
    assert [days_problem(days) for days in (None, 7, 30)] == [None, None, None]


@pytest.mark.parametrize(
    ("shape", "fields"),
    [
        (("AES", 32, ""), ()),
        (("AES", 33, ""), ("length",)),
        (("AES", 0, ""), ("length",)),
        (("AES", 32, "NIST_P256"), ("curve_id",)),
        (("RSA", 256, ""), ()),
        (("RSA", 2048, ""), ("length",)),
        (("ECDSA", 0, "NIST_P256"), ()),
        (("ECDSA", 66, "NIST_P521"), ()),
        (("ECDSA", 32, "NIST_P521"), ("length",)),
        (("ECDSA", 32, ""), ("curve_id",)),
        (("DES", 8, ""), ("algorithm",)),
    ],
)
def test_shapes(shape: tuple[str, int, str], fields: tuple[str, ...]) -> None:
    assert tuple(shape_problems(*shape)) == fields
    if not fields and shape[0] == "ECDSA":
        assert length_of(*shape) in (32, 66)


def test_tags_have_limits() -> None:
    assert tag_problems({"a": "b"}, {"Space": {"key": "value"}}) == {}
    assert set(tag_problems({"": "b"}, {"Space": {"k" * 101: "v"}})) == {"freeform_tags", "defined_tags"}
    assert set(tag_problems({str(n): "" for n in range(65)}, None)) == {"freeform_tags"}


@pytest.mark.parametrize(
    ("vault_type", "mode", "bucket", "why"),
    [
        ("VIRTUAL_PRIVATE", "HSM", "b", None),
        ("DEFAULT", "HSM", "b", "of type DEFAULT"),
        ("VIRTUAL_PRIVATE", "SOFTWARE", "b", "only HSM keys"),
        ("VIRTUAL_PRIVATE", "HSM", "", "no bucket"),
    ],
)
def test_what_can_be_backed_up(vault_type: str, mode: str, bucket: str, why: str | None) -> None:
    told = no_backup(vault_type, mode, bucket)
    assert (told is None) == (why is None)
    assert why is None or why in str(told)


def test_the_place_of_a_backup_is_kept_whole() -> None:
    place = place_for("an-id", "namespace", "bucket")
    assert place_of(str(place)) == place
    assert "an-id" in place.name


# ---------------------------------------------------------------------- looking again


def test_what_passes_is_looked_at_at_growing_intervals_and_not_for_ever() -> None:
    pauses, tries = [], 0
    while True:
        at, tries = look_again("CREATING", tries, NOW)
        if at is None:
            break
        pauses.append(at - NOW)
    assert pauses[0] == FIRST_LOOK_S
    assert pauses == sorted(pauses)
    assert pauses[-1] == LONGEST_LOOK_S
    assert len(pauses) == MOST_LOOKS


def test_what_waits_for_its_date_is_looked_at_then_and_until_oci_has_done_it() -> None:
    at, tries = look_again("PENDING_DELETION", 0, NOW, NOW + 5 * DAY_S)
    assert (at, tries) == (NOW + 5 * DAY_S + 1, 0)
    late = NOW + 5 * DAY_S + 1
    at, tries = look_again("PENDING_DELETION", 0, late, NOW + 5 * DAY_S)
    assert at is not None
    assert (at > late, tries) == (True, 1)
    assert look_again("PENDING_DELETION", 0, NOW, None) == (None, 0)


@pytest.mark.parametrize("state", ["ENABLED", "DISABLED", "DELETED"])
def test_what_has_settled_is_left_alone(state: str) -> None:
    assert look_again(state, 7, NOW) == (None, 0)


# ---------------------------------------------------------------------- what callers ask for


def said(**more: Any) -> CloudKey:
    """A key as OCI tells of it."""
    known: dict[str, Any] = {
        "ocid": "ocid1.key.oc1.iad.v.aaaa",
        "vault_ocid": "ocid1.vault.oc1.iad.v.aaaa",
        "compartment_ocid": COMPARTMENT,
        "name": "orders",
        "algorithm": "AES",
        "length": 32,
        "curve_id": "",
        "protection_mode": "HSM",
        "state": "ENABLED",
        "current_version_ocid": "ocid1.keyversion.oc1.iad.v.aaaa",
        "created_at": NOW,
        "deletes_at": None,
        "freeform_tags": {"a": "b"},
        "defined_tags": {},
    }
    return CloudKey(**{**known, **more})


def row(**more: Any) -> KeyRow:
    """Its record."""
    return msgspec.structs.replace(rows.fresh("key-id", 1, said(), "production", "native", "ada", NOW), num=1, **more)


def vault(**more: Any) -> OciVault:
    """A vault of a kind that can be backed up."""
    texts = {name: "" for name, kind in OciVault.__annotations__.items() if kind == "str"}
    numbers = {name: 0 for name, kind in OciVault.__annotations__.items() if kind in ("int", "float", "float | None")}
    chosen = {"id": "vault-id", "display_name": "safe", "vault_type": "VIRTUAL_PRIVATE", "bucket_name": "backups"}
    return OciVault(**{**texts, **numbers, **chosen, "bucket_namespace": "ns", "details": "{}", **more})


def test_a_key_to_be_made_is_told_to_oci_in_full() -> None:
    asked = CreateOciKey(
        vault="safe",
        name="orders",
        algorithm="ECDSA",
        curve_id="NIST_P384",
        protection_mode="HSM",
        compartment_id=COMPARTMENT,
        freeform_tags={"a": "b"},
    )
    requests.check_new(asked)
    work = requests.new(asked, vault(), "ada", "new-id")
    assert work.details == {
        "compartment_id": COMPARTMENT,
        "display_name": "orders",
        "key_shape": {"algorithm": "ECDSA", "length": 48, "curve_id": "NIST_P384"},
        "protection_mode": "HSM",
        "freeform_tags": {"a": "b"},
    }
    assert (work.key_id, work.operation) == ("new-id", "create")


def test_everything_that_is_wrong_with_a_new_key_is_told_at_once() -> None:
    asked = CreateOciKey(vault="safe", name=" ", algorithm="DES", protection_mode="PAPER", compartment_id="production")
    with pytest.raises(Invalid) as told:
        requests.check_new(asked)
    for field in ("name", "algorithm", "protection_mode", "compartment_id"):
        assert f"\n{field}: " in str(told.value.facts["message"])


def test_a_change_knows_what_was_there_before() -> None:
    work = requests.update(row(), vault(), "ada", UpdateOciKey(freeform_tags={}, display_name="new"))
    assert work.details == {"freeform_tags": {}, "display_name": "new"}
    assert work.before == {"freeform_tags": {"a": "b"}, "display_name": "orders"}


def test_a_key_is_not_moved_to_where_it_is() -> None:
    with pytest.raises(Invalid):
        requests.check_target(COMPARTMENT, row())
    requests.check_target("ocid1.tenancy.oc1..bbbb", row())


# ---------------------------------------------------------------------- what happened


class Shows:
    """An OCI that shows one key, or several of a name."""

    def __init__(self, *keys: CloudKey) -> None:
        self.keys = keys

    async def get(self, _: str) -> CloudKey:
        return self.keys[0]

    async def named(self, _: str, name: str) -> list[CloudKey]:
        return [key for key in self.keys if key.name == name]

    async def versions(self, _: str) -> list[Any]:
        return []


def work_for(operation: str, **more: Any) -> Work:
    return Work(
        operation=operation,
        vault_id="vault-id",
        domain_id="d",
        user_id="ada",
        name="orders",
        key_id="key-id",
        ocid="ocid1.key.oc1.iad.v.aaaa",
        begun_at=NOW,
        **more,
    )


HAPPENED = "happened"
NOT = "nothing happened"
OTHERWISE = "differs"
UNSURE = "CloudSettling"


@pytest.mark.parametrize(
    ("operation", "shown", "verdict"),
    [
        ("enable", {"state": "ENABLED"}, HAPPENED),
        ("enable", {"state": "ENABLING"}, HAPPENED),
        ("enable", {"state": "DISABLED"}, NOT),
        ("enable", {"state": "PENDING_DELETION"}, OTHERWISE),
        ("enable", {"state": "UPDATING"}, UNSURE),
        ("disable", {"state": "DISABLED"}, HAPPENED),
        ("disable", {"state": "ENABLED"}, NOT),
        ("disable", {"state": "DELETED"}, OTHERWISE),
        ("schedule-deletion", {"state": "PENDING_DELETION"}, HAPPENED),
        ("schedule-deletion", {"state": "SCHEDULING_DELETION"}, HAPPENED),
        ("schedule-deletion", {"state": "BACKUP_IN_PROGRESS"}, NOT),
        ("schedule-deletion", {"state": "DISABLED"}, NOT),
        ("schedule-deletion", {"state": "UPDATING"}, UNSURE),
        ("cancel-deletion", {"state": "CANCELLING_DELETION"}, HAPPENED),
        ("cancel-deletion", {"state": "DISABLED"}, HAPPENED),
        ("cancel-deletion", {"state": "PENDING_DELETION", "deletes_at": NOW + DAY_S}, NOT),
        ("cancel-deletion", {"state": "PENDING_DELETION", "deletes_at": NOW + 2 * DAY_S}, OTHERWISE),
        ("cancel-deletion", {"state": "DELETED"}, OTHERWISE),
        ("change-compartment", {"compartment_ocid": "there"}, HAPPENED),
        ("change-compartment", {"compartment_ocid": "here"}, NOT),
        ("change-compartment", {"compartment_ocid": "elsewhere"}, OTHERWISE),
        ("update", {"name": "new"}, HAPPENED),
        ("update", {"name": "orders"}, NOT),
        ("update", {"name": "other"}, OTHERWISE),
        ("restore", {"state": "RESTORING"}, HAPPENED),
        ("restore", {"state": "ENABLED"}, HAPPENED),
        ("restore", {"state": "DELETED"}, NOT),
    ],
)
async def test_what_the_cloud_shows_tells_what_happened(operation: str, shown: dict[str, Any], verdict: str) -> None:
    given: dict[str, dict[str, Any]] = {
        "change-compartment": {"compartment_ocid": "there", "before": {"compartment_id": "here"}},
        "update": {"details": {"display_name": "new"}, "before": {"display_name": "orders"}},
        "cancel-deletion": {"deletes_at": NOW + DAY_S},
    }
    more = given.get(operation, {})
    cloud: Any = Shows(said(**shown))
    asked = KEY_TRADES[operation].ask(cloud, work_for(operation, **more), Doubt(NOW))
    if verdict == UNSURE:
        with pytest.raises(Unavailable, match=UNSURE):
            await asked
        return
    outcome = await asked
    assert (NOT if outcome is None else OTHERWISE if outcome.differs else HAPPENED) == verdict


async def test_a_made_key_is_told_by_the_token_and_later_by_what_is_new() -> None:
    details = {"key_shape": {"algorithm": "AES", "length": 32}, "protection_mode": "HSM"}
    work = work_for("create", details=details, known_ocids=("known",), compartment_ocid=COMPARTMENT)
    ours, known, old = said(ocid="ours", created_at=NOW + 5), said(ocid="known"), said(ocid="old", created_at=NOW - 9e5)
    other = said(ocid="other", algorithm="RSA", length=256)
    cloud: Any = Shows(known, old, other, ours)
    trade = KEY_TRADES["create"]
    assert await trade.ask(cloud, work, Doubt(NOW)) is None
    outcome = await trade.ask(cloud, work, Doubt(NOW, by_reading=True))
    assert outcome is not None
    assert outcome.key is not None
    assert outcome.key.ocid == "ours"
    nothing: Any = Shows(known, old, other)
    assert await trade.ask(nothing, work, Doubt(NOW, by_reading=True)) is None


def test_what_may_be_sent_again() -> None:
    work = work_for("x")
    assert KEY_TRADES["create"].may_repeat(work, NOW + TOKEN_S - 1)
    assert not KEY_TRADES["create"].may_repeat(work, NOW + TOKEN_S + 1)
    assert KEY_TRADES["delete-backup"].may_repeat(work, NOW + 1e9)
    assert not KEY_TRADES["update"].may_repeat(work, NOW)
    assert set(KEY_TRADES) == {"create"} | {
        each.value for each in Operation if each not in (Operation.ADD_VERSION, Operation.BACKUP)
    }


# ---------------------------------------------------------------------- plans and lists


def test_a_plan_of_a_deletion_tells_until_when_it_can_be_undone() -> None:
    place = requests.backup_place(row(), vault())
    work = work_for("schedule-deletion", deletes_at=NOW + 7 * DAY_S, days=7, backup=place)
    effect = effects.of(Operation.SCHEDULE_DELETION, row(), vault(), work)
    assert (effect.undo, effect.until) == ("cancel-deletion", NOW + 7 * DAY_S)
    assert "a backup goes to the bucket backups first" in effect.words
    assert "only its backup" in effect.lost
    bare = vault(vault_type="DEFAULT")
    assert requests.backup_place(row(), bare) == ""
    work = msgspec.structs.replace(work, backup="")
    effect = effects.of(Operation.SCHEDULE_DELETION, row(), bare, work)
    assert "no backup is taken: the vault is of type DEFAULT" in effect.words
    assert "nothing brings it back" in effect.lost


@pytest.mark.parametrize("operation", [each for each in Operation if each.value in KEY_TRADES])
def test_every_operation_has_an_effect(operation: Operation) -> None:
    kept = row(backup="ns/backups/o", backup_at=NOW, previous_state="DISABLED")
    work = work_for(
        operation.value, compartment_name="staging", deletes_at=NOW, before={}, details={"display_name": "n"}
    )
    effect = effects.of(operation, kept, vault(), work)
    assert effect.what == f"oci-key.{operation.value}"
    assert "orders" in effect.words
    assert (effect.undo is None) == (operation in (Operation.DELETE_BACKUP, Operation.REMOVE))
    assert effect.final_in_cloud == (effect.undo is None)
    if operation is Operation.CANCEL_DELETION:
        assert "is DISABLED again" in effect.words


def test_filters_become_conditions() -> None:
    query = Query([("key_name", "a_*"), ("key_name", "b"), ("gone", "false"), ("vault_id", "v"), ("length", "x")])
    found = wanted_of(query)
    assert [each.sql.count("?") for each in found] == [len(each.args) for each in found]
    args = [arg for each in found for arg in each.args]
    assert "a\\_%" in args
    assert {"b", 0, "v"} <= set(args)
    assert records.NOTHING in found


@pytest.mark.parametrize("name", ["local_hyok_key_id", "local_key_store_id", "linked_state", "blocked", "state"])
def test_filters_of_external_keys_match_nothing(name: str) -> None:
    assert wanted_of(Query([(name, "false")])) == [records.NOTHING]


def test_a_flag_is_true_or_false() -> None:
    with pytest.raises(Invalid):
        wanted_of(Query([("gone", "perhaps")]))
