"""`claviger oci bucket`: the buckets of the embedded OCI, which backups of vaults and keys are kept in."""

from __future__ import annotations

from pathlib import Path

import click

from claviger.bootstrap import House
from claviger.cli.oci_people import tenancy_option
from claviger.cli.output import moment, show_fields, show_rows
from claviger.cli.session import data_option, in_house, json_option
from claviger.ocikms.identity.rules import ROOT_PATH
from claviger.ocikms.storage import administration
from claviger.ocikms.storage.administration import PlacedBucket


@click.group("bucket")
def bucket_commands() -> None:
    """Buckets of Object Storage: where backups of vaults and keys are kept."""


@bucket_commands.command("create")
@click.argument("name")
@click.option(
    "--compartment", default=ROOT_PATH, help="Where: an OCID, or a path such as staging/team-a (default: the root)."
)
@click.option("--region", help="In which region (default: the home region).")
@tenancy_option
@data_option
@json_option
def create_bucket(
    name: str, compartment: str, region: str | None, tenancy: str | None, data: Path | None, as_json: bool
) -> None:
    """Makes a bucket."""

    async def work(house: House) -> PlacedBucket:
        return await administration.create_bucket(
            house.store, house.clock, name, compartment=compartment, tenancy=tenancy, region=region
        )

    show_fields(_placed(in_house(data, work, "Create an OCI bucket")), as_json)


@bucket_commands.command("list")
@click.option("--tenancy", help="Only those of this tenancy.")
@data_option
@json_option
def list_buckets(tenancy: str | None, data: Path | None, as_json: bool) -> None:
    """Lists buckets."""

    async def work(house: House) -> list[PlacedBucket]:
        return await administration.list_buckets(house.store, tenancy)

    rows = [_placed(each) for each in in_house(data, work)]
    show_rows(rows, ["name", "tenancy", "region", "namespace", "created_at"], as_json)


def _placed(placed: PlacedBucket) -> dict[str, object]:
    bucket = placed.bucket
    return {
        "name": bucket.name,
        "tenancy": placed.tenancy,
        "region": bucket.region,
        "namespace": placed.namespace,
        "compartment_id": bucket.compartment_id,
        "id": bucket.id,
        "created_at": moment(int(bucket.created_at)),
    }
