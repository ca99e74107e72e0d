"""Compartments, tags and buckets through the official SDK (CCKM contract, OCI §2.3-2.5, §11)."""

from __future__ import annotations

from typing import Any

from claviger.cckm.oci.asking import Found, defined_tags, of_each, tags, written
from claviger.cckm.oci.cloud import OciCloud

MOST_TAGS = 100


async def list_compartments(cloud: OciCloud, paging: dict[str, Any]) -> Found:
    """One page of the whole tree; the first one begins with the root compartment, which is the tenancy."""
    tenancy = cloud.tenancy_ocid

    def page(client: Any) -> Any:
        return client.list_compartments(
            tenancy, compartment_id_in_subtree=True, access_level="ACCESSIBLE", lifecycle_state="ACTIVE", **paging
        )

    told = await cloud.ask(cloud.identity(), page, "others")
    found = [shown(each) for each in told.data]
    if "page" not in paging:
        found.insert(0, await get_compartment(cloud, tenancy))
    return Found(found, told.headers.get("opc-next-page") or "")


async def get_compartment(cloud: OciCloud, ocid: str) -> dict[str, Any]:
    """One compartment, or the tenancy as the root of them. Raises NotFound("CloudNotFound") among the others."""
    return shown(await cloud.ask(cloud.identity(), lambda client: client.get_compartment(ocid).data, "others"))


def shown(told: Any) -> dict[str, Any]:
    """A compartment of the SDK by the names of the wire; what OCI does not say is left out."""
    found = {
        "id": told.id,
        "compartment_id": told.compartment_id,
        "name": told.name,
        "description": told.description,
        "time_created": written(told.time_created),
        "lifecycle_state": told.lifecycle_state,
        "inactive_status": told.inactive_status,
        "is_accessible": told.is_accessible,
    }
    present = {name: value for name, value in found.items() if value is not None}
    return {**present, "freeform_tags": tags(told.freeform_tags), "defined_tags": defined_tags(told.defined_tags)}


async def list_defined_tags(cloud: OciCloud, paging: dict[str, Any]) -> Found:
    """One page of the tenancy's tag namespaces, each with its tags' names."""
    tenancy = cloud.tenancy_ocid
    at = cloud.identity()
    told = await cloud.ask(
        at,
        lambda client: client.list_tag_namespaces(tenancy, include_subcompartments=True, **paging),
        "others",
    )

    async def keys_of(space: Any) -> Any:
        return await cloud.ask(at, lambda client: client.list_tags(space.id, limit=MOST_TAGS).data, "others")

    keys = await of_each(told.data, keys_of)
    found = [
        {
            "id": space.id,
            "compartment_id": space.compartment_id,
            "namespace_name": space.name,
            "name": space.name,
            "description": space.description,
            "is_retired": bool(space.is_retired),
            "time_created": written(space.time_created),
            "tags": [
                {"name": key.name, "description": key.description, "is_retired": bool(key.is_retired)} for key in own
            ],
        }
        for space, own in zip(told.data, keys, strict=True)
    ]
    return Found(found, told.headers.get("opc-next-page") or "")


async def list_buckets(cloud: OciCloud, compartment_ocid: str, paging: dict[str, Any]) -> Found:
    """One page of the buckets of a compartment, in the connection's region."""
    at = cloud.storage()
    namespace = str(await cloud.ask(at, lambda client: client.get_namespace().data, "others"))
    told = await cloud.ask(
        at, lambda client: client.list_buckets(namespace, compartment_ocid, fields=["tags"], **paging), "others"
    )
    found = [
        {
            "namespace": each.namespace,
            "name": each.name,
            "compartment_id": each.compartment_id,
            "time_created": written(each.time_created),
            "freeform_tags": tags(each.freeform_tags),
            "defined_tags": defined_tags(each.defined_tags),
        }
        for each in told.data
    ]
    return Found(found, told.headers.get("opc-next-page") or "")
