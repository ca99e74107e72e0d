"""`claviger oci`: the tenancies of the embedded OCI, their regions, compartments and tag namespaces.

Users, their keys and rights are in `oci_people`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from claviger.bootstrap import House
from claviger.cli.oci_buckets import bucket_commands
from claviger.cli.oci_people import api_key_commands, config_command, grant_commands, tenancy_option, user_commands
from claviger.cli.output import moment, show_fields, show_rows
from claviger.cli.session import data_option, in_house, json_option
from claviger.ocikms.identity import administration
from claviger.ocikms.identity.administration import Defined, Placed, Settled
from claviger.ocikms.identity.records import Tenancy
from claviger.ocikms.identity.regions import DEFAULT
from claviger.ocikms.identity.tag_records import TagNamespace

_COMPARTMENT = "COMPARTMENT is an OCID, or a path of names such as staging/team-a."


def described(command: Callable[..., Any]) -> Callable[..., Any]:
    """The option of whatever has a description."""
    return click.option("--description", default="", help="What it is for (default: its name).")(command)


@click.group("oci")
def oci_commands() -> None:
    """The embedded OCI: tenancies, compartments, users, their API keys and rights."""


@oci_commands.group("tenancy")
def tenancy_commands() -> None:
    """Tenancies: each has compartments, users and vaults of its own."""


@tenancy_commands.command("create")
@click.argument("name")
@click.option("--home-region", default=DEFAULT, show_default=True, help="The region where its identity is kept.")
@click.option("--region", "regions", multiple=True, help="One more region to subscribe to; may be repeated.")
@described
@click.option("--id", "ident", metavar="OCID", help="The OCID that programs know already (default: a new one).")
@click.option("--namespace", help="Its name in Object Storage (default: a new one).")
@data_option
@json_option
def create_tenancy(
    name: str,
    home_region: str,
    regions: tuple[str, ...],
    description: str,
    ident: str | None,
    namespace: str | None,
    data: Path | None,
    as_json: bool,
) -> None:
    """Makes a tenancy, without users."""

    async def work(house: House) -> Settled:
        return await administration.create_tenancy(
            house.store,
            house.clock,
            name=name,
            home_region=home_region,
            regions=regions,
            description=description,
            ident=ident,
            namespace=namespace,
        )

    show_fields(_settled(in_house(data, work, "Create an OCI tenancy")), as_json)


@tenancy_commands.command("list")
@data_option
@json_option
def list_tenancies(data: Path | None, as_json: bool) -> None:
    """Lists tenancies."""

    async def work(house: House) -> list[Settled]:
        return await administration.list_tenancies(house.store)

    rows = [_settled(each) for each in in_house(data, work)]
    show_rows(rows, ["name", "id", "regions", "created_at"], as_json)


@tenancy_commands.command("show")
@click.argument("tenancy", required=False)
@data_option
@json_option
def show_tenancy(tenancy: str | None, data: Path | None, as_json: bool) -> None:
    """Shows the TENANCY of a name or OCID; the only one where none is named."""

    async def work(house: House) -> Settled:
        return await administration.show_tenancy(house.store, tenancy)

    show_fields(_settled(in_house(data, work)), as_json)


@tenancy_commands.command("subscribe")
@click.argument("tenancy")
@click.argument("region")
@data_option
@json_option
def subscribe(tenancy: str, region: str, data: Path | None, as_json: bool) -> None:
    """Gives a TENANCY a REGION more, for good."""

    async def work(house: House) -> Settled:
        return await administration.subscribe(house.store, house.clock, tenancy, region)

    show_fields(_settled(in_house(data, work, "Subscribe an OCI tenancy to a region")), as_json)


@tenancy_commands.command("delete")
@click.argument("tenancy")
@data_option
@json_option
def delete_tenancy(tenancy: str, data: Path | None, as_json: bool) -> None:
    """Removes a TENANCY with its compartments, users, tags and buckets; refused while it has a vault."""

    async def work(house: House) -> Tenancy:
        return await administration.delete_tenancy(house.store, tenancy)

    found = in_house(data, work, "Delete an OCI tenancy")
    show_fields({"deleted": True, "name": found.name, "id": found.id}, as_json)


@oci_commands.group("compartment")
def compartment_commands() -> None:
    """Compartments: folders of a tenancy, in which its vaults, keys and secrets lie."""


@compartment_commands.command("create")
@click.argument("path")
@tenancy_option
@described
@click.option("--id", "ident", metavar="OCID", help="The OCID that programs know already (default: a new one).")
@data_option
@json_option
def create_compartment(
    path: str, tenancy: str | None, description: str, ident: str | None, data: Path | None, as_json: bool
) -> None:
    """Makes the last compartment of a PATH such as staging/team-a; those before it are there already."""
    parent, _, name = path.rpartition("/")

    async def work(house: House) -> Placed:
        return await administration.create_compartment(
            house.store,
            house.clock,
            name=name,
            parent=parent or "/",
            tenancy=tenancy,
            description=description,
            ident=ident,
        )

    show_fields(_placed(in_house(data, work, "Create an OCI compartment")), as_json)


@compartment_commands.command("list")
@tenancy_option
@data_option
@json_option
def list_compartments(tenancy: str | None, data: Path | None, as_json: bool) -> None:
    """Lists the compartments of a tenancy, by path."""

    async def work(house: House) -> list[Placed]:
        return await administration.list_compartments(house.store, tenancy)

    rows = [_placed(each) for each in in_house(data, work)]
    show_rows(rows, ["path", "id", "description", "created_at"], as_json)


@compartment_commands.command("show", epilog=_COMPARTMENT)
@click.argument("compartment")
@tenancy_option
@data_option
@json_option
def show_compartment(compartment: str, tenancy: str | None, data: Path | None, as_json: bool) -> None:
    """Shows a COMPARTMENT."""

    async def work(house: House) -> Placed:
        return await administration.show_compartment(house.store, compartment, tenancy)

    show_fields(_placed(in_house(data, work)), as_json)


@compartment_commands.command("delete", epilog=_COMPARTMENT)
@click.argument("compartment")
@tenancy_option
@data_option
@json_option
def delete_compartment(compartment: str, tenancy: str | None, data: Path | None, as_json: bool) -> None:
    """Deletes a COMPARTMENT that is empty, with the rights in it."""

    async def work(house: House) -> Placed:
        return await administration.delete_compartment(house.store, compartment, tenancy)

    show_fields({"deleted": True, **_placed(in_house(data, work, "Delete an OCI compartment"))}, as_json)


@oci_commands.group("tag-namespace")
def tag_namespace_commands() -> None:
    """Tag namespaces: defined tags, for clients that look for them."""


@tag_namespace_commands.command("create")
@click.argument("name")
@click.option("--tag", "tags", multiple=True, help="A tag that it defines; may be repeated.")
@click.option("--compartment", default="/", help="The compartment that it is in (default: the tenancy).")
@tenancy_option
@described
@data_option
@json_option
def create_tag_namespace(
    name: str,
    tags: tuple[str, ...],
    compartment: str,
    tenancy: str | None,
    description: str,
    data: Path | None,
    as_json: bool,
) -> None:
    """Makes a tag namespace."""

    async def work(house: House) -> Defined:
        return await administration.create_tag_namespace(
            house.store,
            house.clock,
            name=name,
            tags=tags,
            compartment=compartment,
            tenancy=tenancy,
            description=description,
        )

    show_fields(_defined(in_house(data, work, "Create an OCI tag namespace")), as_json)


@tag_namespace_commands.command("add-tag")
@click.argument("namespace")
@click.argument("tag")
@tenancy_option
@data_option
@json_option
def add_tag(namespace: str, tag: str, tenancy: str | None, data: Path | None, as_json: bool) -> None:
    """Defines one more TAG in a NAMESPACE."""

    async def work(house: House) -> Defined:
        return await administration.define_tag(house.store, house.clock, namespace=namespace, name=tag, tenancy=tenancy)

    show_fields(_defined(in_house(data, work, "Define an OCI tag")), as_json)


@tag_namespace_commands.command("list")
@tenancy_option
@data_option
@json_option
def list_tag_namespaces(tenancy: str | None, data: Path | None, as_json: bool) -> None:
    """Lists the tag namespaces of a tenancy with their tags."""

    async def work(house: House) -> list[Defined]:
        return await administration.list_tag_namespaces(house.store, tenancy)

    rows = [_defined(each) for each in in_house(data, work)]
    show_rows(rows, ["name", "tags", "id", "created_at"], as_json)


@tag_namespace_commands.command("delete")
@click.argument("namespace")
@tenancy_option
@data_option
@json_option
def delete_tag_namespace(namespace: str, tenancy: str | None, data: Path | None, as_json: bool) -> None:
    """Removes a tag NAMESPACE with its tags; what things are tagged with stays on them."""

    async def work(house: House) -> TagNamespace:
        return await administration.delete_tag_namespace(house.store, namespace, tenancy)

    found = in_house(data, work, "Delete an OCI tag namespace")
    show_fields({"deleted": True, "name": found.name, "id": found.id}, as_json)


for group in (user_commands, api_key_commands, grant_commands, bucket_commands, config_command):
    oci_commands.add_command(group)


def _settled(settled: Settled) -> dict[str, object]:
    tenancy = settled.tenancy
    return {
        "name": tenancy.name,
        "id": tenancy.id,
        "description": tenancy.description,
        "home_region": tenancy.home_region,
        "regions": settled.regions,
        "namespace": tenancy.namespace,
        "created_at": moment(int(tenancy.created_at)),
    }


def _placed(placed: Placed) -> dict[str, object]:
    compartment = placed.compartment
    return {
        "path": placed.path,
        "id": compartment.id,
        "tenancy": placed.tenancy.name,
        "parent_id": compartment.parent_id,
        "description": compartment.description,
        "created_at": moment(int(compartment.created_at)),
    }


def _defined(defined: Defined) -> dict[str, object]:
    namespace = defined.namespace
    return {
        "name": namespace.name,
        "id": namespace.id,
        "compartment_id": namespace.compartment_id,
        "description": namespace.description,
        "tags": [tag.name for tag in defined.tags],
        "created_at": moment(int(namespace.created_at)),
    }
