"""Compartments, tags and buckets through the official SDK (CCKM contract, OCI §2.3-2.5, §11)."""

from __future__ import annotations

from typing import Any

from claviger.cckm.oci.asking import Found, defined_tags, of_each, page_of, tags, text, written
from claviger.cckm.oci.cloud import OciCloud

MOST_TAGS = 100


async def list_compartments(cloud: OciCloud, paging: dict[str, Any]) -> Found:
    """One page of the whole tree; the first one begins with the root compartment, which is the tenancy."""
    tenancy = cloud.tenancy_ocid

    def page(client: Any) -> Found:
        told = client.list_compartments(
            tenancy, compartment_id_in_subtree=True, access_level="ACCESSIBLE", lifecycle_state="ACTIVE", **paging
        )
        return page_of(told, shown)

    found = await cloud.ask(cloud.identity(), page, "others")
    if "page" not in paging:
        found.data.insert(0, await get_compartment(cloud, tenancy))
    return found


async def get_compartment(cloud: OciCloud, ocid: str) -> dict[str, Any]:
    """One compartment, or the tenancy as the root of them. Raises NotFound("CloudNotFound") among the others.

    Only a list of OCI's says what is accessible; what can be looked at is.
    """

    def look(client: Any) -> dict[str, Any]:
        told = client.get_compartment(ocid).data
        if told.id != ocid:
            raise ValueError("another compartment")
        return {"is_accessible": True, **shown(told)}

    return await cloud.ask(cloud.identity(), look, "others")


def shown(told: Any) -> dict[str, Any]:
    """A compartment of the SDK by the names of the wire; what OCI does not say is left out."""
    found = {
        "id": text(told.id),
        "compartment_id": told.compartment_id,
        "name": text(told.name),
        "description": told.description,
        "time_created": written(told.time_created),
        "lifecycle_state": told.lifecycle_state,
        "inactive_status": told.inactive_status,
        "is_accessible": told.is_accessible,
    }
    present = {name: value for name, value in found.items() if value is not None}
    return {**present, "freeform_tags": tags(told.freeform_tags), "defined_tags": defined_tags(told.defined_tags)}


async def list_defined_tags(cloud: OciCloud, paging: dict[str, Any]) -> Found:
    """One page of the tenancy's tag namespaces, each with its tags."""
    tenancy = cloud.tenancy_ocid
    at = cloud.identity()

    def page(client: Any) -> Found:
        told = client.list_tag_namespaces(tenancy, include_subcompartments=True, **paging)
        return page_of(told, _tag_namespace)

    async def tags_of(space: dict[str, Any]) -> list[dict[str, Any]]:
        ident = space["id"]
        return await cloud.ask(
            at, lambda client: [_tag(each) for each in client.list_tags(ident, limit=MOST_TAGS).data], "others"
        )

    found = await cloud.ask(at, page, "others")
    for space, own in zip(found.data, await of_each(found.data, tags_of), strict=True):
        space["tags"] = own
    return found


def _tag_namespace(told: Any) -> dict[str, Any]:
    return {
        "id": text(told.id),
        "compartment_id": told.compartment_id,
        "namespace_name": text(told.name),
        "name": told.name,
        "description": told.description,
        "is_retired": bool(told.is_retired),
        "time_created": written(told.time_created),
    }


def _tag(told: Any) -> dict[str, Any]:
    return {"name": text(told.name), "description": told.description, "is_retired": bool(told.is_retired)}


async def list_buckets(cloud: OciCloud, compartment_ocid: str, paging: dict[str, Any]) -> Found:
    """One page of the buckets of a compartment, in the connection's region."""
    at = cloud.storage()
    namespace = await cloud.ask(at, lambda client: text(client.get_namespace().data), "others")
    return await cloud.ask(
        at,
        lambda client: page_of(client.list_buckets(namespace, compartment_ocid, fields=["tags"], **paging), _bucket),
        "others",
    )


def _bucket(told: Any) -> dict[str, Any]:
    return {
        "namespace": text(told.namespace),
        "name": text(told.name),
        "compartment_id": told.compartment_id,
        "time_created": written(told.time_created),
        "freeform_tags": tags(told.freeform_tags),
        "defined_tags": defined_tags(told.defined_tags),
    }
