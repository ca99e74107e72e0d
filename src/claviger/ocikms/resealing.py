"""Takes what vaults of the embedded OCI have sealed from a data key that is being retired to the current one.

One part for the three kinds of sealed values (material of key versions, wrapping keys, contents of secrets), for they
share the data keys of their vault. Backups are not among them: they leave the server, and keep their own data key.
"""

from __future__ import annotations

from claviger.ocikms import materials, resealing_records
from claviger.ocikms.secrets import contents
from claviger.ocikms.wrapping import operations as wrapping
from claviger.sealing.keyring import Keyring
from claviger.store.contract import Tx


class OciResealer:
    """See `sealing.rotation.Resealer`."""

    scope_prefix = materials.SCOPE_PREFIX

    def reseal_batch(self, tx: Tx, scope: str, old_key_id: int, new_key_id: int, keyring: Keyring, limit: int) -> int:
        """Reseals up to `limit` values, kind after kind; how many. Both data keys must be loaded."""
        count = 0
        for num, version_id, sealed in resealing_records.versions_under(tx, old_key_id, limit):
            again = keyring.reseal(old_key_id, new_key_id, sealed, materials.binding(version_id))
            resealing_records.move_version(tx, num, new_key_id, again)
            count += 1
        for num, vault_id, sealed in resealing_records.wrapping_keys_under(tx, old_key_id, limit - count):
            again = keyring.reseal(old_key_id, new_key_id, sealed, wrapping.binding(vault_id))
            resealing_records.move_wrapping_key(tx, num, new_key_id, again)
            count += 1
        for num, secret_id, number, sealed in resealing_records.secret_versions_under(tx, old_key_id, limit - count):
            again = keyring.reseal(old_key_id, new_key_id, sealed, contents.binding(secret_id, number))
            resealing_records.move_secret_version(tx, num, new_key_id, again)
            count += 1
        return count
