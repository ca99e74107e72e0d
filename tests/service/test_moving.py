"""Whole vaults out and in again, on both databases: nothing lost, nothing half done unnoticed, nothing taken twice."""

from __future__ import annotations

import asyncio
import io
import random
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from claviger.core.errors import Conflict, Damaged, Invalid, Misconfigured, NotFound
from claviger.core.sensitive import Sensitive
from claviger.keyvault.moving import records
from claviger.keyvault.moving.archive import (
    ArchiveWriter,
    ByServer,
)
from claviger.keyvault.moving.document import Document, Outline, decoded, json_of, no_references
from claviger.keyvault.moving.document_writer import DocumentWriter
from claviger.keyvault.moving.reading import PART_VERSIONS
from claviger.keyvault.moving.wire import (
    ArchivedEnd,
    ArchivedRole,
    ArchivedSecret,
    ArchivedVault,
    ArchivedVersion,
    Entry,
    VaultSettings,
)
from claviger.keyvault.secrets.wire import SetSecret
from claviger.keyvault.vaults import operations as vaults
from tests.moving import DAY_S, START, Ground, Listed, fast, ground_on


@pytest.fixture
async def ground(database_url: str, tmp_path: Path) -> AsyncIterator[Ground]:
    async with ground_on(database_url, tmp_path / "data") as ground:
        yield ground


@pytest.fixture
async def sqlite_ground(sqlite_url: str, tmp_path: Path) -> AsyncIterator[Ground]:
    """For what is decided before any database is asked."""
    async with ground_on(sqlite_url, tmp_path / "data") as ground:
        yield ground


@pytest.fixture
async def elsewhere(sqlite_url: str, tmp_path: Path) -> AsyncIterator[Ground]:
    """Another server, with keys of its own."""
    async with ground_on(sqlite_url.replace("database", "elsewhere"), tmp_path / "elsewhere-data") as ground:
        yield ground


def version(number: int, value: bytes = b"value") -> ArchivedVersion:
    return ArchivedVersion(f"{number:032x}", value, True, None, None, 5, 6, None, None)


async def listed(ground: Ground, *secrets: tuple[ArchivedSecret, list[ArchivedVersion]]) -> Listed:
    vault = (await ground.entries(await ground.shown("demo")))[0]
    flat: list[Entry] = [vault]
    for secret, versions in secrets:
        flat += [secret, *versions]
    return Listed(*flat, ArchivedEnd(len(secrets), sum(len(versions) for _, versions in secrets)))


async def test_a_sealed_archive_brings_everything_back(ground: Ground, elsewhere: Ground):
    source = await ground.filled()
    archive = await ground.archive(source, fast())
    done = await elsewhere.take(await elsewhere.opened(archive), "source")
    assert (done.created, done.new, done.versions, done.same, done.skipped) == (True, 3, 4, 0, 0)
    target = await elsewhere.shown("source")
    assert await elsewhere.contents(target) == await ground.contents(source)
    settled = {name: getattr(source, name) for name in ("retention_days", "sku", "rbac", "location", "resource_group")}
    assert settled == {name: getattr(target, name) for name in settled}
    shown = await elsewhere.secrets.get(target, "plain2", None)
    assert shown.value == Sensitive("")
    recovered = await elsewhere.secrets.recover(target, "gone")
    assert (await elsewhere.secrets.get(target, "gone", recovered.version.version)).value == Sensitive("lost?")
    assert await records.unfinished_imports(elsewhere.store) == []


async def test_a_plain_document_brings_everything_back(ground: Ground, elsewhere: Ground):
    source = await ground.filled()
    file = io.BytesIO()
    writer = DocumentWriter(file)
    for entry in await ground.entries(source):
        writer.add(entry)
    document = Document(decoded(json_of(file.getvalue()), Outline, "$"), now=0, resolve=no_references)
    assert (await elsewhere.take(document, "source")).versions == 4
    assert await elsewhere.contents(await elsewhere.shown("source")) == await ground.contents(source)


async def test_an_archive_for_this_server_opens_nowhere_else(ground: Ground, elsewhere: Ground):
    source = await ground.filled()
    archive = await ground.archive(source, ByServer(ground.store, ground.keyring, ground.clock))
    with pytest.raises(Misconfigured, match="ForeignArchive"):
        await elsewhere.opened(archive)
    await ground.services.house.rotation.rotate_root_key()
    await ground.services.house.rotation.rotate_data_keys()
    await ground.take(await ground.opened(archive))
    assert await ground.contents(await ground.shown("target")) == await ground.contents(source)


async def test_importing_again_changes_nothing(ground: Ground):
    source = await ground.filled()
    archive = await ground.archive(source, fast())
    await ground.take(await ground.opened(archive))
    target = await ground.shown("target")
    before = await ground.contents(target)
    again = await ground.take(await ground.opened(archive))
    assert (again.created, again.new, again.same, again.versions) == (False, 0, 3, 0)
    await ground.secrets.set(target, "Plain", SetSecret("newer than the archive"))
    await ground.secrets.recover(target, "gone")
    assert (await ground.take(await ground.opened(archive))).same == 3
    assert before != await ground.contents(target)
    assert (await ground.secrets.get(target, "plain", None)).value == Sensitive("newer than the archive")


async def test_a_history_that_went_on_is_continued(ground: Ground):
    source = await ground.filled()
    await ground.take(await ground.opened(await ground.archive(source, fast())))
    newest = await ground.secrets.set(source, "plain", SetSecret("third"))
    await ground.secrets.set(source, "added", SetSecret("new"))
    done = await ground.take(await ground.opened(await ground.archive(source, fast())))
    assert (done.new, done.grown, done.same, done.versions) == (1, 1, 2, 2)
    target = await ground.shown("target")
    assert await ground.contents(target) == await ground.contents(source)
    assert (await ground.secrets.get(target, "plain", None)).version.version == newest.version.version


@pytest.mark.parametrize("clash", ["other versions", "other value", "other state"])
async def test_a_conflict_refuses_everything_or_is_skipped(ground: Ground, clash: str):
    secret = ArchivedSecret("b-clash")
    around = [(ArchivedSecret("a"), [version(1)]), (ArchivedSecret("c"), [version(1)])]
    await ground.take(await listed(ground, (secret, [version(1), version(2)])))
    clashing = {
        "other versions": (secret, [version(1), version(3)]),
        "other value": (secret, [version(1), version(2, b"else")]),
        "other state": (
            ArchivedSecret("b-clash", int(START), int(START) + DAY_S),
            [version(1), version(2), version(3)],
        ),
    }[clash]
    source = await listed(ground, around[0], clashing, around[1])
    target = await ground.shown("target")
    before = await ground.contents(target)
    with pytest.raises(Conflict) as refused:
        await ground.take(source)
    assert refused.value.reason == "ImportConflict"
    assert refused.value.facts["secrets"] == "b-clash"
    assert await ground.contents(target) == before
    assert await records.unfinished_imports(ground.store) == []
    done = await ground.take(source, on_conflict="skip")
    assert (done.new, done.skipped, done.skipped_names) == (2, 1, ["b-clash"])
    kept = await ground.secrets.get(target, "b-clash", None)
    assert (kept.version.version, kept.value) == (version(2).version, Sensitive("value"))


async def test_many_conflicts_are_told_in_short(ground: Ground):
    many = [(ArchivedSecret(f"s{number:02}"), [version(1)]) for number in range(25)]
    await ground.take(await listed(ground, *many))
    with pytest.raises(Conflict) as refused:
        await ground.take(await listed(ground, *[(secret, [version(2)]) for secret, _ in many]))
    assert str(refused.value.facts["secrets"]).endswith("s09 and 15 more")


async def test_an_archive_damaged_anywhere_changes_nothing(ground: Ground):
    source = await ground.vault()
    chance = random.Random(7)
    for number in range(12):
        await ground.secrets.set(source, f"s{number}", SetSecret(chance.randbytes(12_000).hex()))
    archive = await ground.archive(source, fast())
    assert len(archive) > 4 * 65_552
    places = [0, 30, 50, 100, 150, 66_000, 131_500, len(archive) - 1]
    for damaged in (
        *(archive[:at] + bytes([archive[at] ^ 1]) + archive[at + 1 :] for at in places),
        *(archive[:at] for at in (10, 40, 110, 116, 65_668, 131_220, len(archive) - 1)),
        archive + b"x",
        archive[:106] + archive[106 + 65_552 :],
    ):
        with pytest.raises((Damaged, Invalid, Misconfigured)) as refused:
            await ground.take(await ground.opened(damaged))
        assert "fix" in refused.value.facts
    assert await ground.names() == ["demo", "source"]
    with pytest.raises(Misconfigured, match="WrongPassphrase"):
        await ground.opened(archive, Sensitive("correct horse batterx"))
    await ground.take(await ground.opened(archive))


VAULT = ArchivedVault(1, "target", None, 0, VaultSettings())
A, B, ONE, END = ArchivedSecret("a"), ArchivedSecret("b"), version(1), ArchivedEnd(1, 1)
BROKEN: dict[str, list[Entry]] = {
    "empty": [],
    "no vault": [A, ONE, END],
    "no end": [VAULT, A, ONE],
    "wrong counts": [VAULT, A, ONE, ArchivedEnd(1, 2)],
    "more behind the end": [VAULT, A, ONE, END, A],
    "a version of nothing": [VAULT, ONE, ArchivedEnd(0, 1)],
    "a secret without versions": [VAULT, A, ArchivedEnd(1, 0)],
    "names out of order": [VAULT, B, ONE, A, ONE, ArchivedEnd(2, 2)],
    "a name twice": [VAULT, A, ONE, ArchivedSecret("A"), ONE, ArchivedEnd(2, 2)],
    "a version twice": [VAULT, A, ONE, ONE, ArchivedEnd(1, 2)],
    "two vaults": [VAULT, VAULT, ArchivedEnd(0, 0)],
    "rights before secrets": [VAULT, ArchivedRole("x", "y"), A, ONE, END],
    "a newer format": [msgspec.structs.replace(VAULT, format=2), A, ONE, END],
    "a bad name": [VAULT, ArchivedSecret("a/b"), ONE, END],
    "a bad version": [VAULT, A, msgspec.structs.replace(ONE, version="A" * 32), END],
    "a long value": [VAULT, A, version(1, b"x" * 25_601), END],
    "a value that is no text": [VAULT, A, version(1, b"\xff"), END],
    "bad tags": [VAULT, A, msgspec.structs.replace(ONE, tags='{"a": 1}'), END],
    "a time before time": [VAULT, A, msgspec.structs.replace(ONE, created_at=-1), END],
    "half a deletion": [VAULT, ArchivedSecret("a", 5, None), ONE, END],
    "purged before deleted": [VAULT, ArchivedSecret("a", 5, 4), ONE, END],
    "a bad vault name": [msgspec.structs.replace(VAULT, name="x"), A, ONE, END],
    "bad settings": [
        msgspec.structs.replace(VAULT, settings=msgspec.structs.replace(VAULT.settings, tags="[]")),
        A,
        ONE,
        END,
    ],
    "deleted secrets where nothing is kept": [
        msgspec.structs.replace(VAULT, settings=msgspec.structs.replace(VAULT.settings, soft_delete=False)),
        ArchivedSecret("a", int(START), int(START) + DAY_S),
        ONE,
        END,
    ],
}


@pytest.mark.parametrize("case", BROKEN)
async def test_what_no_vault_can_hold_is_refused_and_nothing_changes(sqlite_ground: Ground, case: str):
    ground = sqlite_ground
    named = None if case == "a bad vault name" else "target"
    with pytest.raises((Invalid, Damaged, Conflict)):
        await ground.take(Listed(*BROKEN[case]), named)
    assert await ground.names() == ["demo"]


async def test_the_same_entries_unbroken_are_taken(ground: Ground):
    assert (await ground.take(Listed(VAULT, A, ONE, END))).versions == 1


async def test_secrets_past_their_purge_date_stay_away(ground: Ground):
    source = await ground.filled()
    archive = await ground.archive(source, fast())
    ground.clock.advance(30 * DAY_S)
    assert [entry.name for entry in await ground.contents(source) if isinstance(entry, ArchivedSecret)] == [
        "Plain",
        "plain2",
    ]
    done = await ground.take(await ground.opened(archive))
    assert (done.new, done.lapsed, done.versions) == (2, 1, 3)


async def test_a_name_whose_retention_has_ended_is_free(ground: Ground):
    target = await ground.vault("target")
    await ground.secrets.set(target, "a", SetSecret("old"))
    await ground.secrets.delete(target, "a")
    ground.clock.advance(91 * DAY_S)
    assert (await ground.take(Listed(VAULT, A, ONE, END))).new == 1
    assert (await ground.secrets.get(target, "a", None)).value == Sensitive("value")


async def test_long_histories_go_in_many_batches(ground: Ground):
    count = 2 * PART_VERSIONS + 77
    history = [version(number, b"v%d" % number) for number in range(count)]
    source = await listed(ground, (ArchivedSecret("long"), history), (ArchivedSecret("short"), history[:1]))
    assert (await ground.take(source)).versions == count + 1
    target = await ground.shown("target")
    assert (await ground.secrets.get(target, "long", None)).value == Sensitive(f"v{count - 1}")
    exported = [entry for entry in await ground.contents(target) if isinstance(entry, ArchivedVersion)]
    assert exported == [*history, history[0]]
    assert (await ground.take(source)).same == 2


@pytest.mark.parametrize("after", [0, 1, 2])
async def test_an_import_cut_short_says_so_and_goes_on_where_it_stopped(
    ground: Ground, monkeypatch: pytest.MonkeyPatch, after: int
):
    history = [version(number) for number in range(PART_VERSIONS + 10)]
    source = await listed(
        ground,
        (ArchivedSecret("a", int(START), int(START) + DAY_S), history),
        (ArchivedSecret("b"), history),
        (ArchivedSecret("c"), history[:3]),
    )
    writes, real = 0, ground.imports.store

    async def failing(*arguments: Any) -> int:
        nonlocal writes
        if writes == after:
            raise Conflict("StoreBroken")
        writes += 1
        return await real(*arguments)

    monkeypatch.setattr(ground.imports, "store", failing)
    with pytest.raises(Conflict) as refused:
        await ground.take(source)
    assert refused.value.reason == "ImportUnfinished"
    assert [name for name, _ in await records.unfinished_imports(ground.store)] == ["target"]
    monkeypatch.undo()
    done = await ground.take(source)
    assert done.new + done.grown + done.same == 3
    assert await records.unfinished_imports(ground.store) == []
    target = await ground.shown("target")
    found = [entry for entry in await ground.contents(target) if isinstance(entry, ArchivedVersion)]
    assert found == [*history, *history, *history[:3]]
    assert (await ground.secrets.get_deleted(target, "a")).purge_at == int(START) + DAY_S


async def test_a_secret_set_between_the_passes_is_never_overwritten(ground: Ground):
    target = await ground.vault("target")

    class Slow(Listed):
        """Somebody else sets the secret between the first pass and the second."""

        passes = 0

        def entries(self) -> Iterator[Entry]:
            self.passes += 1
            return super().entries()

    source = Slow(VAULT, A, ONE, END)
    real = ground.imports.store

    async def overtaken(*arguments: Any) -> int:
        await ground.secrets.set(target, "a", SetSecret("mine"))
        return await real(*arguments)

    ground.imports.store = overtaken  # type: ignore[method-assign,assignment]
    with pytest.raises(Conflict, match="ChangedMeanwhile"):
        await ground.take(source)
    assert source.passes == 2
    assert (await ground.secrets.get(target, "a", None)).value == Sensitive("mine")


async def test_two_imports_at_once_end_as_one(ground: Ground):
    source = await ground.filled()
    archive = await ground.archive(source, fast())
    await ground.vault("target", retention_days=30)
    await asyncio.gather(*[ground.take(await ground.opened(archive)) for _ in range(3)], return_exceptions=True)
    await ground.take(await ground.opened(archive))
    assert await ground.contents(await ground.shown("target")) == await ground.contents(source)


async def test_rights_come_only_where_they_are_asked_for(ground: Ground):
    source = await ground.filled()
    await vaults.assign_role(
        ground.store, ground.clock, role="Key Vault Secrets User", principal="demo", vault="source", secret="Plain"
    )
    await vaults.assign_role(ground.store, ground.clock, role="Reader", principal="demo", vault="source")
    archive = await ground.archive(source, fast(), rights=True)
    await ground.take(await ground.opened(archive))
    assert await vaults.list_roles(ground.store, vault="target") == []
    assert (await ground.take(await ground.opened(archive), rights=True)).rights == 2
    given = await vaults.list_roles(ground.store, vault="target")
    path = (await ground.shown("target")).path.lower()
    assert {each.scope for each in given} == {path, f"{path}/secrets/plain"}
    await ground.take(await ground.opened(archive), rights=True)
    assert len(await vaults.list_roles(ground.store, vault="target")) == 2


async def test_access_policies_move_with_their_vault(ground: Ground):
    source = await ground.vault(rbac=False)
    await vaults.set_access_policy(ground.store, vault="source", principal="demo", permissions=["get", "list"])
    archive = await ground.archive(source, fast(), rights=True)
    assert (await ground.take(await ground.opened(archive), rights=True)).rights == 1
    (policy,) = await vaults.list_access_policies(ground.store, "target")
    assert policy.permissions == {"secrets": ["get", "list"]}


async def test_a_right_for_nobody_known_is_refused_before_anything_is_made(ground: Ground):
    source = Listed(VAULT, A, ONE, ArchivedRole("Reader", "nobody"), END)
    with pytest.raises(NotFound, match="ApplicationUnknown"):
        await ground.take(source, rights=True)
    assert await ground.names() == ["demo"]
    assert (await ground.take(source)).rights == 0


async def test_the_name_of_a_deleted_vault_is_taken(ground: Ground):
    from claviger.keyvault.vaults.records import find_vault, replace_vault

    await ground.vault("target")

    def delete(tx: Any) -> None:
        vault = find_vault(tx, "target")
        assert vault is not None
        replace_vault(tx, msgspec.structs.replace(vault, deleted_at=1, purge_at=int(START) + DAY_S))

    await ground.store.write(delete)
    with pytest.raises(Conflict, match="VaultTaken"):
        await ground.take(Listed(VAULT, A, ONE, END))


async def test_an_unknown_tenant_of_a_vault_falls_back_to_the_only_one(ground: Ground):
    foreign = msgspec.structs.replace(VAULT, tenant_id="00000000-0000-4000-8000-000000000000")
    await ground.take(Listed(foreign, A, ONE, END))
    assert (await ground.shown("target")).tenant_id == (await ground.shown("demo")).tenant_id
    with pytest.raises(NotFound, match="TenantUnknown"):
        await ground.take(Listed(foreign, A, ONE, END), "another", tenant="nowhere.example")


async def test_a_large_vault_streams_through_little_memory(ground: Ground):
    class Many(Listed):
        def entries(self) -> Iterator[Entry]:
            yield VAULT
            for number in range(1_000):
                yield ArchivedSecret(f"s{number:04}")
                yield version(number, b"%05d" % number * 5_000)
            yield ArchivedEnd(1_000, 1_000)

    class Nowhere(io.RawIOBase):
        def write(self, content: Any) -> int:
            return len(content)

    tracemalloc.start()
    try:
        await ground.take(Many())
        writer = await ArchiveWriter.begun(Nowhere(), fast())
        async for entry in ground.exports.entries(await ground.shown("target"), rights=False):
            writer.add(entry)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 8 << 20, f"{peak} bytes, and 25 MB of values went through each way"
