"""Bodies of backups and restores as on the wire, and what a backup holds as it is packed (docs/formats.md).

Of what is packed, the order of the fields is the format: append only, with a default.
"""

from __future__ import annotations

import msgspec


class BackupLocation(msgspec.Struct, rename="camel"):
    """Where a backup is, or is to be: a bucket's object, or a pre-authenticated request."""

    destination: str
    namespace: str | None = None
    bucket_name: str | None = None
    object_name: str | None = None
    uri: str | None = None


class BackupVaultDetails(msgspec.Struct, rename="camel"):
    """The body of BackupVault."""

    backup_location: BackupLocation | None = None
    is_include_keys: bool | None = None


class BackupDetails(msgspec.Struct, rename="camel"):
    """The body of BackupKey, and of both restores from Object Storage."""

    backup_location: BackupLocation | None = None


class PackedVersion(msgspec.Struct, array_like=True):
    """A version of a key. `material` is None where it was destroyed before."""

    id: str
    state: str
    deletes_at: float | None
    origin: str
    is_auto_rotated: int
    public_key: str | None
    revision: int
    created_at: float
    material: bytes | None

    def __repr__(self) -> str:
        return f"<packed version {self.id}>"


class PackedKey(msgspec.Struct, array_like=True):
    """A key with its versions, oldest first."""

    id: str
    compartment_id: str
    display_name: str
    algorithm: str
    length: int
    curve_id: str | None
    protection_mode: str
    current_version_id: str
    is_auto_rotated: int
    rotation_interval_days: int | None
    rotation_start_at: float | None
    last_rotation_at: float | None
    last_rotation_status: str | None
    last_rotation_message: str | None
    freeform_tags: str
    defined_tags: str
    revision: int
    created_at: float
    versions: list[PackedVersion]


class PackedVault(msgspec.Struct, array_like=True):
    """The settings of a vault. Its wrapping key is not among them: a restored vault makes a new one."""

    id: str
    prefix: str
    display_name: str
    vault_type: str
    freeform_tags: str
    defined_tags: str
    wrapping_key_id: str
    revision: int
    created_at: float


class Packed(msgspec.Struct, array_like=True):
    """What a backup holds: of a vault, the keys that were asked for with it; of a key, that one, and its vault."""

    made_at: float
    tenancy_id: str
    vault: PackedVault
    keys: list[PackedKey]

    @property
    def version_count(self) -> int:
        """How many versions of keys there are."""
        return sum(len(key.versions) for key in self.keys)


pack = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(Packed)


def unpack(packed: bytes) -> Packed | None:
    """What was packed; None where it is something else."""
    try:
        return _decoder.decode(packed)
    except msgspec.MsgspecError:
        return None
