"""What is leaving: the list against a model in plain Python, and undoing through a real server and its own Azure."""

from __future__ import annotations

import random
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any

import msgspec
import pytest
from azure.core.exceptions import ResourceNotFoundError

from claviger.cckm.azure.secrets import records
from claviger.cckm.azure.secrets.rows import SecretRow
from claviger.cckm.azure.secrets.rules import Status
from claviger.cckm.azure.vaults.records import VaultRow
from claviger.cckm.calls import ROOT_DOMAIN, Query
from claviger.cckm.leaving.operations import Leavings
from claviger.core.clock import ManualClock, SystemClock
from claviger.core.errors import Invalid
from claviger.store.contract import Store
from claviger.store.opening import open_store
from claviger.switches.client import Switchboard
from tests.desk import SECRETS, Desk, Managed, Operator
from tests.many_secrets import DAY_S, START, draw_row, make_domain, make_vault, uuid_of
from tests.vaults import spare_name

LEAVING = "/claviger/leaving"
OTHER = "9c1f0d5e-0000-4000-8000-00000000000d"
CLOCK = ManualClock(START + 5.0)
USERS = {"11111111-0000-4000-8000-000000000001": "ada", "11111111-0000-4000-8000-000000000002": "Bob"}
UNKNOWN = "11111111-0000-4000-8000-000000000003"
ROWS = 260

# ---------------------------------------------------------------------- the list, of many rows


class Bin:
    """A store with much that was deleted, and the same rows in memory."""

    def __init__(self, store: Store, vaults: Sequence[VaultRow], rows: Sequence[SecretRow]) -> None:
        self.store = store
        self.vaults = {vault.num: vault for vault in vaults}
        self.rows = list(rows)

    def leaving(self, kind: str, domain_id: str) -> list[SecretRow]:
        """One row for each that is leaving, in order."""
        soft = kind == "soft-deleted"
        groups: dict[Any, SecretRow] = {}
        for row in self.rows:
            if self.vaults[row.vault_num].domain_id != domain_id:
                continue
            if soft and (row.status is not Status.SOFT_DELETED or row.gone):
                continue
            if not soft and (row.status is not Status.DELETED or row.backup is None):
                continue
            key = (row.vault_num, row.name_key, None if soft else row.backup)
            if key not in groups or self.rank(row) > self.rank(groups[key]):
                groups[key] = row
        never = float("inf")
        if soft:
            return sorted(groups.values(), key=lambda row: (row.told.purge_at or never, row.num))
        return sorted(groups.values(), key=lambda row: (-row.updated_at, -row.num))

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
    yield Bin(store, vaults, made)
    await store.close()


def draw_asked(chance: random.Random, found: Bin) -> tuple[list[tuple[str, str]], Any]:
    """A filter and what it means."""
    row = chance.choice(found.rows)
    vault = found.vaults[row.vault_num]
    at = START + chance.randrange(0, 90) * DAY_S
    ident, username = chance.choice(list(USERS.items()))
    return chance.choice(
        [
            ([], lambda _: True),
            ([("key_vault", vault.azure_name)], lambda row: found.vaults[row.vault_num].azure_name == vault.azure_name),
            ([("key_vault", vault.id)], lambda row: row.vault_num == vault.num),
            ([("secret_name", row.name.upper())], lambda each: each.name_key == row.name_key),
            ([("secret_name", "db-*")], lambda each: each.name_key.startswith("db-")),
            ([("becomes_final_before", str(at))], lambda row: bool(row.told.purge_at) and row.told.purge_at < at),
            ([("becomes_final_after", str(at))], lambda row: bool(row.told.purge_at) and row.told.purge_at >= at),
            ([("by", ident)], lambda row: row.deleted_by == ident),
            ([("by", username.upper())], lambda row: row.deleted_by == ident),
            ([("by", UNKNOWN), ("by", "nobody")], lambda row: row.deleted_by == UNKNOWN),
        ]
    )


@pytest.mark.parametrize("kind", ["soft-deleted", "restorable"])
async def test_the_list_is_what_the_model_says(bin_: Bin, kind: str) -> None:
    chance = random.Random(kind)
    leavings = Leavings(bin_.store, CLOCK)
    met = 0
    for _ in range(120):
        pairs, holds = draw_asked(chance, bin_)
        domain_id = OTHER if chance.random() < 0.2 else ROOT_DOMAIN
        ids = [vault.id for vault in bin_.vaults.values()]
        seen = frozenset(chance.sample(ids, chance.randrange(4))) if chance.random() < 0.3 else None
        may = frozenset(chance.sample(ids, 2))
        skip, limit = chance.choice((0, 0, 4, 40, 55)), chance.choice((-1, 5, 100))
        page = await leavings.page(
            domain_id,
            Query([*pairs, ("kind", kind), ("skip", str(skip)), ("limit", str(limit))]),
            seen,
            lambda action, may=may: may,
        )
        expected = [
            row
            for row in bin_.leaving(kind, domain_id)
            if holds(row) and (seen is None or bin_.vaults[row.vault_num].id in seen)
        ]
        assert page.total == len(expected), pairs
        wanted = expected[skip:] if limit == -1 else expected[skip : skip + limit]
        assert [each.id for each in page.resources] == [row.id for row in wanted], pairs
        for shown, row in zip(page.resources, wanted, strict=True):
            told = msgspec.to_builtins(shown)
            vault = bin_.vaults[row.vault_num]
            assert told["status"] == row.status.value
            assert told.get("deleted_by") == (row.deleted_by or None)
            assert told.get("deleted_by_username") == USERS.get(row.deleted_by)
            assert told["has_backup"] is (row.backup is not None)
            assert told["undo"]["allowed"] is (vault.id in may)
            assert told["name_taken"] is (kind == "restorable" and bin_.is_taken(row))
            left = None if row.told.purge_at is None else max(0, int(row.told.purge_at - CLOCK.now()) // DAY_S)
            assert told.get("days_left") == left
            met += 1
    assert met > 100


async def test_words_that_are_refused(bin_: Bin) -> None:
    refused: Sequence[tuple[str, str]] = (
        ("kind", "purged"),
        ("becomes_final_before", "soon"),
        ("becomes_final_after", "-5"),
        ("limit", "-2"),
    )
    for pair in refused:
        with pytest.raises(Invalid) as problem:
            await Leavings(bin_.store, CLOCK).page(ROOT_DOMAIN, Query([pair]), None, lambda action: None)
        assert problem.value.reason == "Validation", pair
    nothing = await Leavings(bin_.store, CLOCK).page(ROOT_DOMAIN, Query([]), frozenset(), lambda action: None)
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
