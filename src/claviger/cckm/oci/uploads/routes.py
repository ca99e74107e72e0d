"""The endpoint of uploads (CCKM contract, OCI §5.4)."""

from __future__ import annotations

from claviger.cckm.calls import Answer, Call, Route, in_container
from claviger.cckm.oci.keys.operations import OciKeys
from claviger.cckm.oci.keys.routes import TAG, hidden
from claviger.cckm.oci.keys.wire import OciKeyRecord
from claviger.cckm.oci.uploads.operations import Uploads
from claviger.cckm.oci.uploads.wire import UploadOciKey
from claviger.cckm.oci.vaults.rules import VIEW
from claviger.cckm.oci.versions.routes import handles_all

_LARGEST_BODY = 256 * 1024


class UploadRoutes:
    """Answers calls."""

    def __init__(self, keys: OciKeys, uploads: Uploads) -> None:
        self._keys = keys
        self._uploads = uploads

    def routes(self) -> list[Route]:
        """All of them."""
        return [
            Route(
                method="POST",
                path="/cckm/oci/upload-key",
                handler=self.upload,
                permission=in_container("keyupload", VIEW),
                tag=TAG,
                summary="Upload a local key to OCI",
                description="An AES or RSA key, wrapped to the vault's own, becomes the first version of a new key. "
                "Members of CCKM Admins and Key Admins upload any local key, others those that they have made. The "
                "answer shows CREATING; the record moves on by itself.",
                takes=UploadOciKey,
                gives=OciKeyRecord,
                status=201,
                body_limit=_LARGEST_BODY,
                cloud=True,
                errors=(409,),
                example={
                    "vault": "3e954908-285b-4b91-bd59-620819392b03",
                    "name": "payments",
                    "protection_mode": "HSM",
                    "compartment_id": "ocid1.compartment.oc1..aaaa",
                    "source_key_identifier": "payments-2026",
                },
            )
        ]

    async def upload(self, call: Call) -> Answer:
        """POST /upload-key."""
        asked = call.body(UploadOciKey)
        with hidden("there is no such vault under management"):
            vault = await self._keys.vault(call.caller.domain_id, asked.vault)
            call.require(vault.id)
        ident = await self._uploads.upload(call.caller, vault, asked, handles_all=handles_all(call))
        return Answer(await self._keys.shown(call.caller.domain_id, ident), status=201)
