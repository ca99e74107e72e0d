"""What can be backed up and comes back how, and files that are none: the pure part of backups of the embedded OCI."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from claviger.core.errors import Invalid
from claviger.ocikms.backups import rules, wire
from claviger.ocikms.backups.sealed_file import KEY, MAGIC, VAULT, head_of

NOW = 1_800_000_000.0


@pytest.mark.parametrize("vault_type", ["DEFAULT", "EXTERNAL"])
def test_only_private_vaults(vault_type: str) -> None:
    with pytest.raises(Invalid):
        rules.check_vault(vault_type)
    rules.check_vault("VIRTUAL_PRIVATE")


@pytest.mark.parametrize("mode", ["SOFTWARE", "EXTERNAL"])
def test_only_hsm_keys(mode: str) -> None:
    with pytest.raises(Invalid):
        rules.check_key(mode)
    rules.check_key("HSM")


def test_a_backup_holds_so_many_versions() -> None:
    rules.check_count(rules.MAX_VERSIONS)
    with pytest.raises(Invalid):
        rules.check_count(rules.MAX_VERSIONS + 1)


@pytest.mark.parametrize(
    ("state", "deletes_at", "returns"),
    [
        ("ENABLED", None, "ENABLED"),
        ("DELETED", NOW - 1, "DELETED"),
        ("PENDING_DELETION", NOW + 1, "PENDING_DELETION"),
        ("PENDING_DELETION", NOW, "DELETED"),
        ("PENDING_DELETION", NOW - 1, "DELETED"),
    ],
)
def test_the_dates_of_versions_go_on(state: str, deletes_at: float | None, returns: str) -> None:
    assert rules.version_state(state, deletes_at, NOW) == returns


def test_heads_differ_by_kind() -> None:
    assert head_of(KEY, "m") == MAGIC + b"K\x01m"
    assert head_of(VAULT, "m") == MAGIC + b"V\x01m"


@given(st.binary(max_size=200))
def test_what_was_not_packed_is_not_unpacked(raw: bytes) -> None:
    assert wire.unpack(raw) is None or wire.pack(wire.unpack(raw))  # never an error


def test_a_packed_version_does_not_show_its_material() -> None:
    version = wire.PackedVersion("id", "ENABLED", None, "INTERNAL", 0, None, 1, NOW, b"hidden")
    assert "hidden" not in repr(version)
    assert "hidden" not in repr([version])


def test_later_readers_take_what_is_packed_now() -> None:
    class Later(wire.PackedVersion, array_like=True):
        added: str | None = None

    version = wire.PackedVersion("id", "ENABLED", None, "INTERNAL", 0, None, 1, NOW, b"x")
    assert msgspec.msgpack.decode(wire.pack(version), type=Later).added is None
    later = msgspec.convert([*msgspec.structs.astuple(version), "new"], Later)
    assert msgspec.msgpack.decode(wire.pack(later), type=wire.PackedVersion) == version
