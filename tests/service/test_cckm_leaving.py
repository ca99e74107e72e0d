"""What is leaving: the list against a model in plain Python, and undoing through a real server and its own Azure."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

import msgspec
import pytest
from azure.core.exceptions import ResourceNotFoundError

from claviger.cckm.azure.secrets import records
from claviger.cckm.azure.secrets.rows import SecretRow
from claviger.cckm.azure.secrets.rules import Status
from claviger.cckm.azure.vaults.records import VaultRow
from claviger.cckm.calls import ROOT_DOMAIN, Query
from claviger.cckm.leaving.merging import Ranked
from claviger.cckm.leaving.operations import Leavings
from claviger.cckm.leaving.remembered import Remembered
from claviger.cckm.leaving.wire import Leaving
from claviger.cckm.oci.keys import records as keys
from claviger.cckm.oci.keys.rows import KeyRow
from claviger.cckm.oci.vaults.records import OciVault
from claviger.cckm.oci.versions import records as versions
from claviger.cckm.oci.versions.rows import VersionRow
from claviger.core.clock import ManualClock, SystemClock
from claviger.core.errors import Invalid
from claviger.store.contract import Store
from claviger.store.opening import open_store
from claviger.switches.client import Switchboard
from tests.desk import SECRETS, Desk, Managed, Operator
from tests.many_keys import add_keys, add_versions, draw_key, draw_version, make_oci_vault
from tests.many_secrets import DAY_S, START, draw_row, make_domain, make_vault, uuid_of
from tests.vaults import spare_name

LEAVING = "/claviger/leaving"
OTHER = "9c1f0d5e-0000-4000-8000-00000000000d"
CLOCK = ManualClock(START + 5.0)
USERS = {"11111111-0000-4000-8000-000000000001": "ada", "11111111-0000-4000-8000-000000000002": "Bob"}
UNKNOWN = "11111111-0000-4000-8000-000000000003"
ROWS = 260
OBJECT_KINDS = ("azure-secret", "oci-key", "oci-key-version")
ALL: Mapping[str, frozenset[str] | None] = {"azure": None, "oci": None}
NOTHING: Mapping[str, frozenset[str] | None] = {"azure": frozenset(), "oci": frozenset()}

# ---------------------------------------------------------------------- the list, of many rows


NEVER = float("inf")


class Entry(msgspec.Struct, frozen=True):
    """Something that is leaving, as the model has it. `rank` is what the list goes by, then `source` and `place`."""

    rank: float
    source: int
    place: int
    row: Any
    object_kind: str
    vault: Any
    name: str
    final_at: float | None


class Bin:
    """A store with much that was deleted, and the same rows in memory."""

    def __init__(self, store: Store, vaults: Sequence[VaultRow], rows: Sequence[SecretRow]) -> None:
        self.store = store
        self.vaults = {vault.num: vault for vault in vaults}
        self.rows = list(rows)
        self.oci_vaults: dict[int, OciVault] = {}
        self.keys: dict[int, KeyRow] = {}
        self.versions: list[VersionRow] = []

    def leaving(self, kind: str, domain_id: str) -> list[Entry]:
        """All that is leaving, in order."""
        soft = kind == "soft-deleted"
        found = [*self.secrets(soft), *self.leaving_keys(soft), *(self.leaving_versions() if soft else [])]
        found = [entry for entry in found if entry.vault.domain_id == domain_id]
        return sorted(found, key=lambda entry: (entry.rank, entry.source, entry.place))

    def secrets(self, soft: bool) -> list[Entry]:
        """One row for each secret that is leaving."""
        groups: dict[Any, SecretRow] = {}
        for row in self.rows:
            if soft and (row.status is not Status.SOFT_DELETED or row.gone):
                continue
            if not soft and (row.backup is None or not (row.status is Status.DELETED or row.gone)):
                continue
            key = (row.vault_num, row.name_key, None if soft else row.backup)
            if key not in groups or self.rank(row) > self.rank(groups[key]):
                groups[key] = row
        return [
            Entry(
                (row.told.purge_at or NEVER) if soft else -row.updated_at,
                0,
                row.num if soft else -row.num,
                row,
                "azure-secret",
                self.vaults[row.vault_num],
                row.name_key,
                row.told.purge_at,
            )
            for row in groups.values()
        ]

    def leaving_keys(self, soft: bool) -> list[Entry]:
        """The keys."""
        return [
            self.entry(1, "oci-key", row, row, soft)
            for row in self.keys.values()
            if not self.oci_vaults[row.vault_num].removed
            and (
                (row.state in ("SCHEDULING_DELETION", "PENDING_DELETION") and not row.gone)
                if soft
                else (row.backup is not None and (row.state == "DELETED" or row.gone))
            )
        ]

    def leaving_versions(self) -> list[Entry]:
        """The versions that leave before their keys."""
        found = []
        for row in self.versions:
            key = self.keys[row.key_num]
            is_there = not (row.gone or key.gone or key.state == "DELETED" or self.oci_vaults[key.vault_num].removed)
            if is_there and row.state in ("SCHEDULING_DELETION", "PENDING_DELETION"):
                found.append(self.entry(2, "oci-key-version", row, key, True))
        return found

    def entry(self, source: int, object_kind: str, row: Any, key: KeyRow, soft: bool) -> Entry:
        rank = (row.deletes_at or NEVER) if soft else -row.updated_at
        place = row.num if soft else -row.num
        return Entry(
            rank, source, place, row, object_kind, self.oci_vaults[key.vault_num], key.name_key, row.deletes_at
        )

    @staticmethod
    def rank(row: SecretRow) -> tuple[int, int]:
        return row.told.created_at, row.num

    def is_taken(self, row: SecretRow) -> bool:
        return any(
            (each.vault_num, each.name_key) == (row.vault_num, row.name_key)
            and each.status is not Status.DELETED
            and not each.gone
            for each in self.rows
        )


def with_dates(chance: random.Random, row: SecretRow) -> SecretRow:
    """A deleted row with what Azure and our records say of its deletion."""
    if row.status is Status.AVAILABLE:
        return row
    purge_at = START + chance.randrange(-1, 90) * DAY_S + 7
    told = msgspec.structs.replace(
        row.told,
        deleted_at=START - chance.randrange(1000) if chance.random() < 0.9 else None,
        purge_at=purge_at if row.status is Status.SOFT_DELETED and chance.random() < 0.9 else None,
    )
    return msgspec.structs.replace(row, told=told, deleted_by=chance.choice(("", UNKNOWN, *USERS)))


@pytest.fixture
async def bin_(database_url: str) -> AsyncIterator[Bin]:
    chance = random.Random(31)
    store = await open_store(database_url, SystemClock())
    await make_domain(store, ROOT_DOMAIN, "root")
    await make_domain(store, OTHER, "other")
    for ident, username in USERS.items():
        await store.write(
            lambda tx, ident=ident, username=username: tx.execute(
                "INSERT INTO cckm_users (id, domain_id, username, username_key, name, email, password_hash, "
                "password_change_required, password_changed_at, token_epoch, failed_count, locked_until, details, "
                "created_at, updated_at) VALUES (?, ?, ?, ?, '', '', '', 0, 0, 0, 0, 0, '{}', 0, 0)",
                ident,
                ROOT_DOMAIN,
                username,
                username.lower(),
            )
        )
    vaults = [await make_vault(store, ROOT_DOMAIN, chance, f"vault-{number}") for number in range(4)]
    vaults.append(await make_vault(store, OTHER, chance, "vault-0"))
    made: list[SecretRow] = []
    for domain_id, theirs in ((ROOT_DOMAIN, vaults[:-1]), (OTHER, vaults[-1:])):
        drawn = [draw_row(chance, theirs) for _ in range(ROWS)]
        # As in life: what of a name lies in the bin is not live, and its latest version lies there too.
        status_of: dict[Any, Status] = {}
        rows = []
        for row in drawn:
            status = row.status
            if status is not Status.DELETED:
                status = status_of.setdefault((row.vault_num, row.name_key), status)
            placed = msgspec.structs.replace(row, status=status, soft_deleted=status is Status.SOFT_DELETED)
            rows.append(with_dates(chance, placed))
        made += await store.write(lambda tx, rows=rows, to=domain_id: records.add_many(tx, to, rows))
    filled = Bin(store, vaults, made)
    await fill_with_keys(store, chance, filled)
    yield filled
    await store.close()


async def fill_with_keys(store: Store, chance: random.Random, found: Bin) -> None:
    """Keys and versions in vaults of OCI, of which one was removed."""
    for name, domain_id, removed in (
        ("hsm", ROOT_DOMAIN, 0),
        ("shop", ROOT_DOMAIN, 0),
        ("x", ROOT_DOMAIN, 1),
        ("hsm", OTHER, 0),
    ):
        vault = await make_oci_vault(store, domain_id, chance, name, removed=bool(removed))
        found.oci_vaults[vault.num] = vault
    drawn = [draw_key(chance, list(found.oci_vaults.values())) for _ in range(120)]
    by = [msgspec.structs.replace(row, deleted_by=chance.choice(("", UNKNOWN, *USERS))) for row in drawn]
    found.keys = {row.num: row for row in await add_keys(store, by)}
    named = [draw_version(chance, row) for row in found.keys.values() for _ in range(2)]
    by_others = [msgspec.structs.replace(row, deleted_by=chance.choice(("", *USERS))) for row in named]
    found.versions = await add_versions(store, by_others)


def draw_asked(chance: random.Random, found: Bin) -> tuple[list[tuple[str, str]], Callable[[Entry], bool]]:
    """A filter and what it means."""
    row = chance.choice(found.rows)
    vault = found.vaults[row.vault_num]
    at = START + chance.randrange(0, 90) * DAY_S
    ident, username = chance.choice(list(USERS.items()))
    hsm = chance.choice([each for each in found.oci_vaults.values() if each.display_name == "hsm"])
    key = chance.choice(list(found.keys.values()))
    kinds = chance.sample(OBJECT_KINDS, chance.randrange(1, 3))

    def is_secret(entry: Entry) -> bool:
        return entry.object_kind == "azure-secret"

    return chance.choice(
        [
            ([], lambda _: True),
            ([("object_kind", kind) for kind in kinds], lambda each: each.object_kind in kinds),
            (
                [("key_vault", vault.azure_name)],
                lambda each: is_secret(each) and each.vault.azure_name == vault.azure_name,
            ),
            ([("key_vault", vault.id)], lambda each: is_secret(each) and each.vault.id == vault.id),
            ([("vault", "hsm")], lambda each: not is_secret(each) and each.vault.display_name == "hsm"),
            ([("vault", hsm.ocid)], lambda each: each.vault.id == hsm.id),
            (
                [("vault", hsm.id), ("key_vault", vault.id)],
                lambda each: each.vault.id in (hsm.id, vault.id),
            ),
            ([("secret_name", row.name.upper())], lambda each: is_secret(each) and each.name == row.name_key),
            ([("secret_name", "db-*")], lambda each: is_secret(each) and each.name.startswith("db-")),
            ([("key_name", key.name.upper())], lambda each: not is_secret(each) and each.name == key.name_key),
            ([("key_name", "db*"), ("secret_name", "db*")], lambda each: each.name.startswith("db")),
            ([("becomes_final_before", str(at))], lambda each: each.final_at is not None and each.final_at < at),
            ([("becomes_final_after", str(at))], lambda each: each.final_at is not None and each.final_at >= at),
            ([("by", ident)], lambda each: each.row.deleted_by == ident),
            ([("by", username.upper())], lambda each: each.row.deleted_by == ident),
            ([("by", UNKNOWN), ("by", "nobody")], lambda each: each.row.deleted_by == UNKNOWN),
        ]
    )


async def test_what_is_remembered_is_forgotten_when_something_of_the_kind_changes(bin_: Bin) -> None:
    leavings = Leavings(bin_.store, CLOCK)

    async def totals() -> list[int]:
        asked = [[("object_kind", kind)] for kind in OBJECT_KINDS[1:]]
        asked += [[("kind", "restorable"), ("object_kind", kind)] for kind in OBJECT_KINDS[:2]]
        return [(await leavings.page(ROOT_DOMAIN, Query(each), ALL, lambda _: None)).total for each in asked]

    def first(rows: Sequence[Any], soft: bool, kind: str) -> Any:
        return next(
            each.row
            for each in bin_.leaving("soft-deleted" if soft else "restorable", ROOT_DOMAIN)
            if each.object_kind == kind and each.row in rows
        )

    before = await totals()
    version = first(bin_.versions, True, "oci-key-version")
    kept = msgspec.structs.replace(version, state="ENABLED", deletes_at=None)
    await bin_.store.write(lambda tx: versions.put(tx, kept))
    assert await totals() == [before[0], before[1] - 1, *before[2:]]
    key = first(list(bin_.keys.values()), False, "oci-key")
    await bin_.store.write(lambda tx: keys.put(tx, msgspec.structs.replace(key, backup=None)))
    secret = first(bin_.rows, False, "azure-secret")
    others = [row for row in bin_.rows if (row.vault_num, row.name_key) == (secret.vault_num, secret.name_key)]
    for row in others:
        await bin_.store.write(lambda tx, row=row: records.change(tx, msgspec.structs.replace(row, backup=None)))
    after = await totals()
    assert after[3] == before[3] - 1
    assert after[2] < before[2]


async def test_a_list_that_is_read_while_something_changes_is_not_remembered_as_what_is_so_then() -> None:
    """Somebody is told of the old revision, and before he goes on, somebody else has a list of the new one."""
    told, held = ["old", "held", "new", "new", "new"], asyncio.Event()

    async def revision() -> str:
        word = told.pop(0)
        if word == "held":
            await held.wait()
            return "old"
        return word

    async def rows(*nums: int) -> list[Ranked]:
        return [Ranked(0.0, num) for num in nums]

    remembered = Remembered(revision)
    late = asyncio.create_task(remembered.whole("all", lambda: rows(1)))
    await asyncio.sleep(0)
    assert len(await remembered.whole("all", lambda: rows(1, 2))) == 2
    held.set()
    assert len(await late) == 1
    assert len(await remembered.whole("all", rows)) == 2


@pytest.mark.parametrize("kind", ["soft-deleted", "restorable"])
async def test_the_list_is_what_the_model_says(bin_: Bin, kind: str) -> None:
    chance = random.Random(kind)
    leavings = Leavings(bin_.store, CLOCK)
    met: Counter[str] = Counter()
    ids = [*(each.id for each in bin_.vaults.values()), *(each.id for each in bin_.oci_vaults.values())]
    for _ in range(200):
        pairs, holds = draw_asked(chance, bin_)
        domain_id = OTHER if chance.random() < 0.2 else ROOT_DOMAIN
        seen = {
            cloud: frozenset(chance.sample(ids, chance.randrange(6))) if chance.random() < 0.3 else None
            for cloud in ("azure", "oci")
        }
        may = frozenset(chance.sample(ids, 4))
        skip, limit = chance.choice((0, 0, 4, 40, 55)), chance.choice((-1, 5, 100))
        page = await leavings.page(
            domain_id,
            Query([*pairs, ("kind", kind), ("skip", str(skip)), ("limit", str(limit))]),
            seen,
            lambda action, may=may: may,
        )
        expected = [
            entry
            for entry in bin_.leaving(kind, domain_id)
            if holds(entry) and is_seen(entry, seen["azure" if entry.object_kind == "azure-secret" else "oci"])
        ]
        assert page.total == len(expected), pairs
        wanted = expected[skip:] if limit == -1 else expected[skip : skip + limit]
        assert [each.id for each in page.resources] == [entry.row.id for entry in wanted], pairs
        for shown, entry in zip(page.resources, wanted, strict=True):
            check_shown(bin_, kind, shown, entry, may)
            met[entry.object_kind] += 1
    assert all(met[each] > 50 for each in OBJECT_KINDS if (kind, each) != ("restorable", "oci-key-version")), met


def is_seen(entry: Entry, seen: frozenset[str] | None) -> bool:
    return seen is None or entry.vault.id in seen


def check_shown(bin_: Bin, kind: str, shown: Leaving, entry: Entry, may: frozenset[str]) -> None:
    """That an entry of the list says what its row does."""
    told = msgspec.to_builtins(shown)
    row = entry.row
    assert (told["kind"], told["object_kind"]) == (kind, entry.object_kind)
    assert told.get("deleted_by") == (row.deleted_by or None)
    assert told.get("deleted_by_username") == USERS.get(row.deleted_by)
    assert told["undo"]["allowed"] is (entry.vault.id in may)
    assert told["gone"] is bool(row.gone)
    is_dated = entry.final_at is not None and kind == "soft-deleted"
    left = max(0, int((entry.final_at or 0) - CLOCK.now()) // DAY_S) if is_dated else None
    assert told.get("days_left") == left
    if isinstance(row, SecretRow):
        assert told["status"] == row.status.value
        assert told["has_backup"] is (row.backup is not None)
        assert told["name_taken"] is (kind == "restorable" and bin_.is_taken(row))
        return
    assert (told["status"], told["vault_name"]) == (row.state, entry.vault.display_name)
    assert told["key_name"].lower() == entry.name
    key = row if isinstance(row, KeyRow) else bin_.keys[row.key_num]
    assert told["cckm_key_id"] == key.id
    path = f"/api/v1/cckm/oci/keys/{key.id}" + ("" if key is row else f"/versions/{row.id}")
    operation = "restore" if kind == "restorable" else "cancel-deletion"
    assert told["undo"]["path"] == f"{path}/{operation}"


async def test_words_that_are_refused(bin_: Bin) -> None:
    refused: Sequence[tuple[str, str]] = (
        ("kind", "purged"),
        ("becomes_final_before", "soon"),
        ("becomes_final_after", "-5"),
        ("limit", "-2"),
        ("object_kind", "oci-vault"),
    )
    for pair in refused:
        with pytest.raises(Invalid) as problem:
            await Leavings(bin_.store, CLOCK).page(ROOT_DOMAIN, Query([pair]), ALL, lambda action: None)
        assert problem.value.reason == "Validation", pair
    nothing = await Leavings(bin_.store, CLOCK).page(ROOT_DOMAIN, Query([]), NOTHING, lambda action: None)
    assert (nothing.total, nothing.resources) == (0, [])


# ---------------------------------------------------------------------- undoing, through a server

RICH: dict[str, Any] = {
    "contentType": "password",
    "tags": {"team": "billing", "Cost-Center": "7 b"},
    "attributes": {"nbf": 1_600_000_000, "exp": 2_000_000_000},
}


def listed(desk: Desk, name: str, kind: str = "soft-deleted") -> list[Any]:
    query = {"kind": kind, "secret_name": name, "limit": -1}
    return list(desk.admin.accept("GET", LEAVING, query=query)["resources"])


def in_azure(vault: Managed, name: str) -> dict[str, Any]:
    """What Azure says of a secret, but for when it changed last."""
    told = dict(vault.azure.get(name))
    told["attributes"] = {key: value for key, value in told["attributes"].items() if key != "updated"}
    return told


def facts(record: Any) -> dict[str, Any]:
    """What of a record a deletion and its undoing must not change."""
    shown = {
        key: record[key]
        for key in (
            *("id", "uri", "account", "createdAt", "key_vault", "key_vault_id", "region", "secret_name", "version"),
            *("created_by", "cloud_name", "tenant", "key_material_origin", "status", "gone", "deleted"),
            *("secret_soft_deleted_in_azure", "azure_created_at", "azure_param"),
        )
    }
    shown["azure_param"] = {**shown["azure_param"], "attributes": dict(shown["azure_param"]["attributes"])}
    shown["azure_param"]["attributes"].pop("updated")
    return shown


@pytest.mark.parametrize("enabled", [True, False])
def test_undoing_brings_everything_back(desk: Desk, desk_vault: Managed, enabled: bool) -> None:
    """Recovered, and restored from the backup: values of all versions, tags, dates, types, the record, its rights."""
    name, admin = spare_name(), desk.admin
    older = admin.create(name, desk_vault, "older", tags={"first": "1"}, contentType="text")
    attributes = {**RICH["attributes"], "enabled": enabled}
    made = admin.create(name, desk_vault, "newest", **{**RICH, "attributes": attributes})
    if not enabled:
        admin.patch(older, attributes={"enabled": False})
    user, user_id = desk.user()
    desk.permit(desk_vault, user_id, "secretview")
    before = [facts(admin.read(each)) for each in (older, made)]
    azure = in_azure(desk_vault, name) if enabled else None
    for actions, kind in ((["soft-delete"], "soft-deleted"), (["soft-delete", "hard-delete"], "restorable")):
        for action in actions:
            admin.act(made, action)
        [entry] = listed(desk, name, kind)
        assert entry["undo"]["method"] == "POST"
        assert entry["id"] == made["id"]
        undone = admin.accept("POST", f"{LEAVING}/{entry['id']}/undo")
        assert undone == admin.read(made)
        assert [facts(admin.read(each)) for each in (older, made)] == before
        assert listed(desk, name, kind) == []
        assert user.read(made)["status"] == "AVAILABLE"
        if enabled:
            sdk = desk_vault.sdk()
            assert in_azure(desk_vault, name) == azure
            assert sdk.get_secret(name).value == "newest"
            assert sdk.get_secret(name, older["version"]).value == "older"


def test_an_entry_says_what_is_known(desk: Desk, desk_vault: Managed) -> None:
    name, admin = spare_name(), desk.admin
    made = admin.create(name, desk_vault, "v", **RICH)
    admin.act(made, "soft-delete")
    [entry] = listed(desk, name)
    deleted = desk_vault.azure.deleted(name)
    assert entry["status"] == "SOFT-DELETED"
    assert (entry["secret_name"], entry["version"], entry["key_vault_id"]) == (name, made["version"], desk_vault.id)
    days = (deleted["scheduledPurgeDate"] - time.time()) / DAY_S
    assert entry["days_left"] == pytest.approx(days, abs=1)
    assert (entry["has_backup"], entry["name_taken"], entry["cloud"]) == (True, False, "azure")
    assert (entry["deleted_by"], entry["deleted_by_username"]) == (made["created_by"], "admin")
    assert entry["undo"] == {
        "operation": "recover",
        "method": "POST",
        "path": f"/api/v1{SECRETS}/{made['id']}/recover",
        "permission": "secretrecover",
        "allowed": True,
    }
    assert admin.accept("POST", entry["undo"]["path"].removeprefix("/api/v1"))["status"] == "AVAILABLE"
    admin.act(made, "soft-delete")
    admin.act(made, "hard-delete")
    [entry] = listed(desk, name, "restorable")
    assert "becomes_final_at" not in entry
    assert (entry["status"], entry["undo"]["operation"], entry["deleted_by_username"]) == (
        "DELETED",
        "restore",
        "admin",
    )
    assert entry["undo"]["path"] == f"/api/v1{SECRETS}/{made['id']}/restore"
    admin.create(name, desk_vault, "another")
    assert [each["name_taken"] for each in listed(desk, name, "restorable")] == [True]
    admin.refuse("POST", f"{LEAVING}/{made['id']}/undo", status=409)


def test_who_is_not_known_is_not_named(desk: Desk, desk_vault: Managed, board: Switchboard) -> None:
    """A secret that was deleted once more, in Azure, is met here: by whom that was done, nobody can say."""
    name, admin = spare_name(), desk.admin
    made = admin.create(name, desk_vault, "v")
    admin.act(made, "soft-delete")
    desk_vault.azure.recover(name)
    board.clock_advance(5)
    desk_vault.azure.delete(name)
    admin.refuse_act(made, "hard-delete", 409)
    [entry] = listed(desk, name)
    assert (entry["id"], entry["status"]) == (made["id"], "SOFT-DELETED")
    assert "deleted_by" not in entry
    assert "deleted_by_username" not in entry
    admin.accept("POST", f"{LEAVING}/{made['id']}/undo")
    assert desk_vault.azure.get(name)["value"] == "v"
    admin.act(made, "soft-delete")
    assert [each["deleted_by_username"] for each in listed(desk, name)] == ["admin"]


def forbid(desk: Desk, vault: Managed, user_id: str, *actions: str) -> None:
    entry = {"user_id": user_id, "actions": list(actions), "permit": False}
    desk.admin.accept("POST", f"/cckm/azure/vaults/{vault.id}/update-acls", {"acls": [entry]})


def test_rights(desk: Desk, desk_vault: Managed) -> None:
    """Who sees what is leaving is who sees the vault; who may undo it, who may recover or restore."""
    vault, hidden = desk.vault(), desk.vault()
    user, user_id = desk.user()
    made = desk.admin.create(spare_name(), vault)
    secret = desk.admin.create(spare_name(), hidden)
    for each in (made, secret):
        desk.admin.act(each, "soft-delete")
    assert user.accept("GET", LEAVING)["total"] == 0
    unseen = user.refuse("POST", f"{LEAVING}/{made['id']}/undo", status=404)
    assert unseen == user.refuse("POST", f"{LEAVING}/no-such-secret/undo", status=404)
    desk.permit(vault, user_id, "secretview", "secretrestore")
    [entry] = user.accept("GET", LEAVING)["resources"]
    assert (entry["id"], entry["undo"]["allowed"]) == (made["id"], False)
    user.refuse("POST", f"{LEAVING}/{made['id']}/undo", status=403, part="secretrecover")
    desk.admin.act(made, "hard-delete")
    [entry] = user.accept("GET", LEAVING, query={"kind": "restorable"})["resources"]
    assert (entry["id"], entry["undo"]["allowed"]) == (made["id"], True)
    assert user.accept("POST", f"{LEAVING}/{made['id']}/undo")["status"] == "AVAILABLE"
    assert user.accept("GET", LEAVING, query={"kind": "restorable"})["total"] == 0
    user.refuse("POST", f"{LEAVING}/{made['id']}/undo", status=403)
    forbid(desk, vault, user_id, "secretrestore")
    desk.permit(vault, user_id, "secretrecover")
    user.refuse("POST", f"{LEAVING}/{made['id']}/undo", status=400, part="needs it to be")
    desk.admin.act(made, "soft-delete")
    desk.admin.act(made, "hard-delete")
    user.refuse("POST", f"{LEAVING}/{made['id']}/undo", status=403, part="secretrestore")


def test_a_restore_elsewhere_brings_the_same(desk: Desk, desk_vault: Managed) -> None:
    name, admin, other = spare_name(), desk.admin, desk.vault()
    made = admin.create(name, desk_vault, "v", **RICH)
    admin.act(made, "soft-delete")
    admin.act(made, "hard-delete")
    there = admin.accept("POST", f"{LEAVING}/{made['id']}/undo", {"key_vault": other.id})
    assert there["key_vault_id"] == other.id
    one, two = facts(made)["azure_param"], facts(there)["azure_param"]
    assert {**one, "id": ""} == {**two, "id": ""}
    assert other.sdk().get_secret(name).value == "v"
    with pytest.raises(ResourceNotFoundError):
        desk_vault.sdk().get_secret(name)


def test_a_search_through_the_server(desk: Desk) -> None:
    vault, hidden = desk.vault(), desk.vault()
    user, user_id = desk.user()
    name, value = spare_name(), f"value-{uuid_of(random.Random())}"
    made = desk.admin.create(name, vault, value, tags={"team": "Billing Ops"})
    desk.admin.create(name, hidden, value)

    def found(operator: Operator, query: str) -> list[str]:
        page = operator.accept("GET", "/claviger/search", query={"q": query})
        assert (page["total"], page["total_is_exact"]) == (len(page["resources"]), True)
        return [each["id"] for each in page["resources"]]

    page = desk.admin.accept("GET", "/claviger/search", query={"q": f"{name} tag:team"})
    assert page["resources"] == [desk.admin.read(made)]
    assert found(desk.admin, value) == []
    assert found(desk.admin, f'"billing ops" vault:{vault.name}') == [made["id"]]
    assert len(found(desk.admin, f"name:{name}")) == 2
    assert found(user, name) == []
    desk.permit(vault, user_id, "secretview")
    assert found(user, name) == [made["id"]]
    desk.admin.act(made, "soft-delete")
    assert found(user, f"{name} status:soft-deleted final<91d") == [made["id"]]
    desk.admin.refuse("GET", "/claviger/search", query={"q": "colour:blue"}, status=400, part="q: colour:blue")
