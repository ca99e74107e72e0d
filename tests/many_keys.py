"""Keys of OCI and their versions by the hundred, drawn by chance, for tests of what is stored of them and listed."""

from __future__ import annotations

import random
from collections.abc import Sequence

import msgspec

from claviger.cckm.oci.keys import records as keys
from claviger.cckm.oci.keys.rows import KeyDetails, KeyRow, encoded
from claviger.cckm.oci.keys.rules import ALGORITHMS, State
from claviger.cckm.oci.vaults import records as vaults
from claviger.cckm.oci.vaults.records import OciVault
from claviger.cckm.oci.versions import records as versions
from claviger.cckm.oci.versions.rows import VersionRow
from claviger.store.contract import Store
from tests.many_secrets import DAY_S, KINDS, REGIONS, START, uuid_of

STATES = (State.ENABLED, State.DISABLED, State.SCHEDULING_DELETION, State.PENDING_DELETION, State.DELETED)


async def make_oci_vault(
    store: Store, domain_id: str, chance: random.Random, name: str, *, removed: bool = False
) -> OciVault:
    """A vault of a domain, whatever connection it is reached by."""
    row = OciVault(
        num=0,
        id=uuid_of(chance),
        domain_id=domain_id,
        removed=int(removed),
        connection_id="connection",
        connection_name="connection",
        tenancy_ocid="ocid1.tenancy.oc1..demo",
        tenancy_name="acme",
        region=chance.choice(REGIONS),
        ocid=f"ocid1.vault.oc1.iad.{uuid_of(chance)}",
        compartment_ocid="ocid1.compartment.oc1..demo",
        compartment_name="production",
        display_name=name,
        vault_type="DEFAULT",
        state="ACTIVE",
        management_endpoint="https://x-management.kms.us-ashburn-1.oraclecloud.com",
        bucket_name="",
        bucket_namespace="",
        details="{}",
        refreshed_at=None,
        read_began_at=None,
        created_by="somebody",
        created_at=0.0,
        updated_at=0.0,
    )
    return await store.write(lambda tx: vaults.add(tx, row))


def draw_key(chance: random.Random, among: Sequence[OciVault], state: State | None = None) -> KeyRow:
    """A key in one of them, in a state of chance's choice where none is given."""
    algorithm = chance.choice(list(ALGORITHMS))
    length, curve = chance.choice(list(ALGORITHMS[algorithm].items()))
    known = state or chance.choice(STATES)
    at = START - chance.randrange(100) * DAY_S + chance.randrange(50)
    name = f"{chance.choice(KINDS)}-key-{chance.randrange(40)}"
    has_backup = chance.random() < 0.5
    is_dated = known in (State.PENDING_DELETION, State.DELETED, State.SCHEDULING_DELETION) and chance.random() < 0.9
    details = KeyDetails(
        freeform_tags={"env": chance.choice(("prod", "dev"))} if chance.random() < 0.6 else {},
        defined_tags={"Operations": {"CostCenter": str(chance.randrange(4))}} if chance.random() < 0.4 else {},
    )
    return KeyRow(
        num=0,
        id=uuid_of(chance),
        vault_num=chance.choice(among).num,
        ocid=f"ocid1.key.oc1.iad.{uuid_of(chance)}",
        name=name,
        name_key=name.lower(),
        algorithm=algorithm,
        length=length,
        curve_id=curve,
        protection_mode=chance.choice(("HSM", "SOFTWARE")),
        compartment_ocid="ocid1.compartment.oc1..demo",
        compartment_name="production",
        state=known.value,
        previous_state=State.ENABLED.value,
        current_version_ocid=f"ocid1.keyversion.oc1.iad.{uuid_of(chance)}",
        origin=chance.choice(("native", "cckm", "unknown")),
        oci_created_at=float(at),
        deletes_at=START + chance.randrange(-1, 30) * DAY_S + 7.25 if is_dated else None,
        auto_rotate=int(chance.random() < 0.3),
        job_config_id="",
        labels="{}",
        gone=int(chance.random() < 0.1),
        details=encoded(details),
        backup="namespace/bucket/object" if has_backup else None,
        backup_at=float(at) if has_backup else None,
        refresh_at=None,
        tries=0,
        refreshed_at=float(at),
        created_by="",
        modified_by="",
        deleted_by="",
        created_at=START + chance.randrange(1000) / 4,
        updated_at=START + chance.randrange(1000) / 4,
    )


def draw_version(chance: random.Random, key: KeyRow, state: State | None = None) -> VersionRow:
    """A version of a key, in a state of chance's choice where none is given."""
    known = state or chance.choice(STATES)
    is_dated = known not in (State.ENABLED, State.DISABLED) and chance.random() < 0.9
    return VersionRow(
        num=0,
        id=uuid_of(chance),
        key_num=key.num,
        ocid=f"ocid1.keyversion.oc1.iad.{uuid_of(chance)}",
        state=known.value,
        origin="INTERNAL",
        key_origin="native",
        source_key_id="",
        source_key_name="",
        source_key_tier="",
        oci_created_at=key.oci_created_at,
        deletes_at=START + chance.randrange(-1, 30) * DAY_S + 7.25 if is_dated else None,
        gone=int(chance.random() < 0.1),
        details="{}",
        refresh_at=None,
        tries=0,
        refreshed_at=0.0,
        deleted_by="",
        created_at=0.0,
        updated_at=float(START),
    )


async def add_keys(store: Store, rows: Sequence[KeyRow]) -> list[KeyRow]:
    """Stores new keys; they as they are then."""
    return await store.write(lambda tx: [keys.put(tx, row) for row in rows])


async def add_versions(store: Store, rows: Sequence[VersionRow]) -> list[VersionRow]:
    """Stores new versions; they as they are then."""
    return await store.write(lambda tx: [versions.put(tx, row) for row in rows])


def changed(row: KeyRow, **more: object) -> KeyRow:
    """The key with something else about it."""
    return msgspec.structs.replace(row, **more)
