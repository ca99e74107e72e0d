"""The wrapping key as it is shown, and wrapped material as it is sent (OCI contract §6.1, §6.2)."""

from __future__ import annotations

import msgspec


class WrappedImportKey(msgspec.Struct, rename="camel"):
    """Material in base64, wrapped to the vault's wrapping key by `RSA_OAEP_SHA256` or `RSA_OAEP_AES_SHA256`."""

    key_material: str
    wrapping_algorithm: str

    def __repr__(self) -> str:
        return "<WrappedImportKey>"


class WrappingKey(msgspec.Struct, rename="camel"):
    """All fields are always there."""

    id: str
    compartment_id: str
    vault_id: str
    lifecycle_state: str
    public_key: str
    time_created: str
