"""What it does to have a key rotated by a job, for plans."""

from __future__ import annotations

from claviger.cckm.oci.keys.rows import KeyRow
from claviger.cckm.oci.keys.showing import KIND
from claviger.cckm.oci.rotation.rules import NATIVE
from claviger.cckm.oci.vaults.records import OciVault
from claviger.cckm.planning.draft import Effect


def enabled(row: KeyRow, vault: OciVault, config_name: str, source: str) -> Effect:
    """A job rotates the key from now on."""
    material = "material that OCI makes" if source == NATIVE else "a fresh local key, which is made here and uploaded"
    return _effect(
        "enable-auto-rotation",
        row,
        vault,
        f"the key {row.name} in {vault.name} is rotated by the job {config_name} from now on, to {material}",
        "disable-auto-rotation" if not row.auto_rotate else "enable-auto-rotation with the job before",
    )


def disabled(row: KeyRow, vault: OciVault) -> Effect:
    """No job rotates the key any more."""
    words = f"the key {row.name} in {vault.name} is not rotated by a job any more"
    return _effect("disable-auto-rotation", row, vault, words, "enable-auto-rotation")


def _effect(what: str, row: KeyRow, vault: OciVault, words: str, undo: str) -> Effect:
    return Effect(
        what=f"oci-key.{what}",
        words=words,
        kind=KIND,
        ident=row.id,
        name=row.name,
        container=vault.name,
        undo=undo,
        facts={"before": row.labels_map},
    )
