"""`claviger app` and `claviger tenant`: who may sign in, with which secrets and certificates, and where they live."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

import click
import msgspec

from claviger.bootstrap import House
from claviger.cli.output import moment, show_fields, show_rows
from claviger.cli.session import data_option, in_house, json_option
from claviger.core.sensitive import Sensitive
from claviger.keyvault.directory import operations
from claviger.keyvault.directory.operations import NewApplication
from claviger.keyvault.directory.records import Application, ApplicationCertificate, Credential, Kind, Tenant
from claviger.keyvault.directory.signature import MAX_CERTIFICATE_FILE

MAX_SECRET_FILE = 4_096


@click.group("app")
def app_commands() -> None:
    """Applications: programs that sign in with a client id and a client secret or a certificate."""


@app_commands.command("create")
@click.argument("name")
@click.option("--tenant", help="The tenant, by id, domain or name; needed where there are several.")
@click.option("--identity", is_flag=True, help="A managed identity: its secret is an identity header.")
@click.option("--days", type=int, help="Days for which the secret is good (default: for ever).")
@click.option("--client-id", metavar="UUID", help="The client id that programs have already (default: a new one).")
@click.option(
    "--secret-file",
    metavar="FILE",
    type=click.File("rb"),
    help="A file with the secret that programs have already, `-` for standard input (default: a new one).",
)
@data_option
@json_option
def create(
    name: str,
    tenant: str | None,
    identity: bool,
    days: int | None,
    client_id: str | None,
    secret_file: BinaryIO | None,
    data: Path | None,
    as_json: bool,
) -> None:
    """Makes an application and shows its secret, this once; a secret that was given is not shown."""
    given = None if secret_file is None else Sensitive(_last_line_end_off(secret_file.read(MAX_SECRET_FILE)))

    async def work(house: House) -> NewApplication:
        kind: Kind = "managed-identity" if identity else "application"
        return await operations.create_application(
            house.store,
            house.clock,
            name=name,
            tenant=tenant,
            kind=kind,
            days=days,
            client_id=client_id,
            secret=given,
        )

    made = in_house(data, work, "Create an application")
    secret = made.secret.reveal_text() if given is None else None
    show_fields({**_shown(made.application), "client_secret": secret}, as_json)


@app_commands.command("list")
@data_option
@json_option
def list_all(data: Path | None, as_json: bool) -> None:
    """Lists applications."""

    async def work(house: House) -> list[Application]:
        return await operations.list_applications(house.store)

    rows = [_shown(each) for each in in_house(data, work)]
    show_rows(rows, ["name", "client_id", "object_id", "kind", "created_at"], as_json)


@app_commands.command("delete")
@click.argument("application")
@data_option
@json_option
def delete(application: str, data: Path | None, as_json: bool) -> None:
    """Removes an application, named by name or id, with its secrets and all its rights."""

    async def work(house: House) -> Application:
        return await operations.delete_application(house.store, application)

    show_fields({"deleted": True, **_shown(in_house(data, work, "Delete an application"))}, as_json)


@app_commands.group("secret")
def secret_commands() -> None:
    """Client secrets: several may be good at once, so that programs can change over."""


@secret_commands.command("add")
@click.argument("application")
@click.option("--days", type=int, help="Days for which the secret is good (default: for ever).")
@data_option
@json_option
def add_secret(application: str, days: int | None, data: Path | None, as_json: bool) -> None:
    """Gives an application one more secret and shows it, this once."""

    async def work(house: House) -> dict[str, object]:
        found, secret = await operations.add_credential(house.store, house.clock, application, days=days)
        return {**_shown(found), "client_secret": secret.reveal_text()}

    show_fields(in_house(data, work, "Give an application a secret"), as_json)


@secret_commands.command("list")
@click.argument("application")
@data_option
@json_option
def list_secrets(application: str, data: Path | None, as_json: bool) -> None:
    """Lists the secrets of an application: when they were made and until when they are good."""

    async def work(house: House) -> list[Credential]:
        return await operations.list_credentials(house.store, application)

    rows = [
        {"id": each.id, "created_at": moment(each.created_at), "expires_at": moment(each.expires_at)}
        for each in in_house(data, work)
    ]
    show_rows(rows, ["id", "created_at", "expires_at"], as_json)


@secret_commands.command("remove")
@click.argument("application")
@click.argument("secret_id", type=int)
@data_option
@json_option
def remove_secret(application: str, secret_id: int, data: Path | None, as_json: bool) -> None:
    """Takes a secret away; tokens had with it live on until they expire."""

    async def work(house: House) -> None:
        await operations.remove_credential(house.store, application, secret_id)

    in_house(data, work, "Remove an application's secret")
    show_fields({"removed": secret_id}, as_json)


@app_commands.group("certificate")
def certificate_commands() -> None:
    """Certificates to sign in with instead of a client secret: the program keeps the private key."""


@certificate_commands.command("add")
@click.argument("application")
@click.argument("file", type=click.File("rb"))
@data_option
@json_option
def add_certificate(application: str, file: BinaryIO, data: Path | None, as_json: bool) -> None:
    """Lets an application sign in with the certificate in FILE, PEM or DER; a private key in it is not read."""
    given = file.read(MAX_CERTIFICATE_FILE)

    async def work(house: House) -> ApplicationCertificate:
        return await operations.add_certificate(house.store, house.clock, application, given)

    show_fields(_shown_certificate(in_house(data, work, "Give an application a certificate")), as_json)


@certificate_commands.command("list")
@click.argument("application")
@data_option
@json_option
def list_certificates(application: str, data: Path | None, as_json: bool) -> None:
    """Lists the certificates of an application: their thumbprints and dates."""

    async def work(house: House) -> list[ApplicationCertificate]:
        return await operations.list_certificates(house.store, application)

    rows = [_shown_certificate(each) for each in in_house(data, work)]
    show_rows(rows, ["thumbprint", "not_before", "not_after", "created_at"], as_json)


@certificate_commands.command("remove")
@click.argument("application")
@click.argument("thumbprint")
@data_option
@json_option
def remove_certificate(application: str, thumbprint: str, data: Path | None, as_json: bool) -> None:
    """Takes the certificate of a THUMBPRINT (SHA-1 or SHA-256) away; tokens had with it live on until they expire."""

    async def work(house: House) -> ApplicationCertificate:
        return await operations.remove_certificate(house.store, application, thumbprint)

    removed = in_house(data, work, "Remove an application's certificate")
    show_fields({"removed": True, **_shown_certificate(removed)}, as_json)


@click.group("tenant")
def tenant_commands() -> None:
    """Tenants: directories of applications, each with its own vaults."""


@tenant_commands.command("create")
@click.argument("name")
@click.option("--domain", required=True, help="The tenant's domain, for example example.org.")
@click.option("--id", "tenant_id", help="A UUID of your own; an existing one gets this name and domain.")
@data_option
@json_option
def create_tenant(name: str, domain: str, tenant_id: str | None, data: Path | None, as_json: bool) -> None:
    """Makes a tenant."""

    async def work(house: House) -> Tenant:
        return await operations.set_tenant(house.store, house.clock, name=name, domain=domain, tenant_id=tenant_id)

    show_fields(_shown_tenant(in_house(data, work, "Create a tenant")), as_json)


@tenant_commands.command("list")
@data_option
@json_option
def list_tenants(data: Path | None, as_json: bool) -> None:
    """Lists tenants."""

    async def work(house: House) -> list[Tenant]:
        return await operations.list_tenants(house.store)

    show_rows([_shown_tenant(each) for each in in_house(data, work)], ["id", "name", "domain", "created_at"], as_json)


def _last_line_end_off(text: bytes) -> bytes:
    """Editors and `echo` end a file with a line end that is no part of the secret."""
    return text.removesuffix(b"\n").removesuffix(b"\r")


def _shown(application: Application) -> dict[str, object]:
    return {
        "name": application.name,
        "client_id": application.app_id,
        "object_id": application.object_id,
        "tenant_id": application.tenant_id,
        "kind": application.kind,
        "created_at": moment(application.created_at),
    }


def _shown_certificate(certificate: ApplicationCertificate) -> dict[str, object]:
    return {
        "thumbprint": certificate.sha1.hex().upper(),
        "thumbprint_sha256": certificate.sha256.hex().upper(),
        "not_before": moment(certificate.not_before),
        "not_after": moment(certificate.not_after),
        "created_at": moment(certificate.created_at),
    }


def _shown_tenant(tenant: Tenant) -> dict[str, object]:
    return {**msgspec.to_builtins(tenant), "created_at": moment(tenant.created_at)}
