"""Local keys as the source of material in OCI: who may use one, and how it is wrapped for a vault.

Material leaves this server only wrapped to the vault's own key (OCI contract §7.2): AES keys directly, RSA keys by way
of a fresh AES key. Wrapping blocks, so it is done in a thread. What was wrapped is sealed with the intent, since OCI
knows a request again only where it is the same to the last byte; it goes away with the intent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from claviger.cckm.calls import Caller
from claviger.cckm.local.keys.operations import LocalKeys, LocalMaterial
from claviger.cckm.oci.keys.running import Durable, keys_of
from claviger.cckm.oci.keys.work import Material
from claviger.cckm.oci.vaults.records import OciVault
from claviger.cckm.planning.draft import current_draft
from claviger.core.errors import Invalid, NotFound
from claviger.core.sensitive import Sensitive
from claviger.crypto.key_wrapping import BY_AES, DIRECT, public_key, wrapped

WRAPPED_BY: Mapping[str, str] = {"AES": DIRECT, "RSA": BY_AES}


class Sources:
    """Finds local keys, and wraps them."""

    def __init__(self, keys: LocalKeys, durable: Durable) -> None:
        self._keys = keys
        self._durable = durable

    async def usable(self, caller: Caller, id_or_name: str, *, handles_all: bool) -> LocalMaterial:
        """A local key that the caller may use: who made it, or handles all of them. Raises NotFound."""
        found = await self._keys.material(caller.domain_id, id_or_name)
        if not handles_all and found.created_by != caller.user_id:
            raise NotFound("NotFound", message="there is no such local key")
        return found

    async def wrapped(self, vault: OciVault, source: LocalMaterial) -> Material:
        """A local key, of an algorithm that OCI takes, as the vault takes it; nothing where the call is only planned.

        Raises Invalid("CloudInvalid") for a wrapping key that is none, and what the cloud does.
        """
        if current_draft() is not None:
            return Material()
        ground = self._durable.ground
        cloud = await keys_of(ground.store, ground.clouds, vault)
        return await wrapped_for(await cloud.wrapping_key(), source)


async def wrapped_for(wrapping_pem: str, source: LocalMaterial) -> Material:
    """The same for a wrapping key in PEM."""
    algorithm = WRAPPED_BY[source.algorithm]
    return Material(await asyncio.to_thread(_wrapped, wrapping_pem, algorithm, source.secret), algorithm)


def _wrapped(wrapping_pem: str, algorithm: str, secret: Sensitive) -> Sensitive:
    try:
        public = public_key(wrapping_pem)
    except Invalid:
        raise Invalid("CloudInvalid", message="OCI has told a wrapping key of this vault that is no RSA key") from None
    return Sensitive(wrapped(secret.reveal(), algorithm, public))
