"""What compartments are called: as they are recorded, or else as OCI says."""

from __future__ import annotations

from collections.abc import Iterable

from claviger.cckm.oci.asking import of_each
from claviger.cckm.oci.cloud import OciCloud
from claviger.cckm.oci.compartments import records
from claviger.cckm.oci.compartments.cloud import get_compartment
from claviger.core.errors import Forbidden, NotFound
from claviger.store.contract import Store


async def names_of(store: Store, domain_id: str, way: OciCloud, ocids: Iterable[str]) -> dict[str, str]:
    """The names of a domain's compartments and of these; one that OCI hides has an empty one.

    Raises the cloud's other refusals.
    """
    known = await records.names(store, domain_id)
    unknown = sorted(set(ocids) - known.keys())

    async def name_of(ocid: str) -> str:
        try:
            return str((await get_compartment(way, ocid)).get("name") or "")
        except (NotFound, Forbidden):
            return ""

    return known | dict(zip(unknown, await of_each(unknown, name_of), strict=True))
