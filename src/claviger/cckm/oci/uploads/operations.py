"""The upload of a local key to OCI (BYOK): decide, wrap, commit the intent, have it done."""

from __future__ import annotations

import msgspec
from msgspec import UNSET

from claviger.audit.trail import telling
from claviger.cckm.calls import Caller
from claviger.cckm.local.keys.operations import LocalMaterial
from claviger.cckm.oci.keys import records, requests
from claviger.cckm.oci.keys.operations import OciKeys
from claviger.cckm.oci.keys.running import Durable
from claviger.cckm.oci.keys.wire import CreateOciKey
from claviger.cckm.oci.keys.work import Work
from claviger.cckm.oci.uploads import effects
from claviger.cckm.oci.uploads.acts import UPLOAD
from claviger.cckm.oci.uploads.sources import Sources
from claviger.cckm.oci.uploads.wire import UploadOciKey
from claviger.cckm.oci.vaults.records import OciVault
from claviger.cckm.oci.versions.rules import LOCAL, tier_problem, upload_problem
from claviger.cckm.planning.draft import foresee
from claviger.core.ids import new_uuid
from claviger.store.contract import Tx


class Uploads:
    """Uploads local keys."""

    def __init__(self, keys: OciKeys, durable: Durable, sources: Sources) -> None:
        self._keys = keys
        self._durable = durable
        self._sources = sources

    async def upload(self, caller: Caller, vault: OciVault, asked: UploadOciKey, *, handles_all: bool) -> str:
        """Makes a key in OCI of a local key's material; the record's id.

        `handles_all`: the caller may use local keys that others have made. Raises Invalid, NotFound for a local key,
        and what `Durable.run` does.
        """
        tier = "" if asked.source_key_tier is UNSET else asked.source_key_tier
        problems = requests.check_place(asked.name, asked.protection_mode, asked.compartment_id)
        requests.refuse({**problems, "source_key_tier": tier_problem(tier)})
        source = await self._sources.usable(caller, asked.source_key_identifier, handles_all=handles_all)
        requests.refuse({"source_key_identifier": upload_problem(source.algorithm)})
        wanted = _as_new(asked, source)
        requests.check_new(wanted)
        named = await self._keys.compartment_name(vault, asked.compartment_id)
        work = msgspec.structs.replace(
            requests.new(wanted, vault, caller.user_id, new_uuid()),
            operation=UPLOAD,
            compartment_name=named,
            source_key_id=source.id,
            source_key_name=source.name,
            source_key_tier=LOCAL,
        )
        material = await self._sources.wrapped(vault, source)

        def decided(tx: Tx) -> Work:
            final = msgspec.structs.replace(work, known_ocids=records.ocids_of_name(tx, vault.num, work.name))
            telling(source_key_id=source.id, source_key_name=source.name)
            foresee(lambda: effects.uploaded(vault, final))
            return final

        return await self._durable.run(vault, work.name, decided, material)


def _as_new(asked: UploadOciKey, source: LocalMaterial) -> CreateOciKey:
    """The key that is to be made, in the shape that its material has."""
    return CreateOciKey(
        vault=asked.vault,
        name=asked.name,
        algorithm=source.algorithm,
        length=source.length,
        protection_mode=asked.protection_mode,
        compartment_id=asked.compartment_id,
        freeform_tags=asked.freeform_tags,
        defined_tags=asked.defined_tags,
    )
