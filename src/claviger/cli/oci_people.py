"""`claviger oci user|api-key|grant|config`: who signs requests to the embedded OCI, with what, and may do what."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

import click

from claviger.bootstrap import House
from claviger.cli.oci_profile import KEY_LABEL
from claviger.cli.output import moment, show_fields, show_rows
from claviger.cli.private_files import new_private_file
from claviger.cli.session import data_option, in_house, json_option
from claviger.core.errors import NotFound
from claviger.core.sensitive import Sensitive
from claviger.crypto.api_keys import MAX_PEM_LENGTH, fingerprint_of, public_half
from claviger.ocikms.identity import people
from claviger.ocikms.identity.people import Granted, NewKey, Person
from claviger.ocikms.identity.records import ApiKey
from claviger.ocikms.identity.rules import VERBS, check_region

STANDARD_OUTPUT = "-"
_VERBS = f"VERB is one of {', '.join(VERBS)}, each with those before it."
_USER = "USER is a name or an OCID."

tenancy_option = click.option("--tenancy", help="The tenancy, by name or OCID; needed where there are several.")


@click.group("user")
def user_commands() -> None:
    """Users: who signs requests."""


@user_commands.command("create")
@click.argument("name")
@tenancy_option
@click.option("--description", default="", help="What the user is for (default: the name).")
@click.option("--id", "ident", metavar="OCID", help="The OCID that programs know already (default: a new one).")
@data_option
@json_option
def create_user(
    name: str, tenancy: str | None, description: str, ident: str | None, data: Path | None, as_json: bool
) -> None:
    """Makes a user, who needs an API key and a grant to do anything."""

    async def work(house: House) -> Person:
        return await people.create_user(
            house.store, house.clock, name=name, tenancy=tenancy, description=description, ident=ident
        )

    show_fields(_person(in_house(data, work, "Create an OCI user")), as_json)


@user_commands.command("list")
@click.option("--tenancy", help="Only those of this tenancy.")
@data_option
@json_option
def list_users(tenancy: str | None, data: Path | None, as_json: bool) -> None:
    """Lists users."""

    async def work(house: House) -> list[Person]:
        return await people.list_users(house.store, tenancy)

    rows = [_person(each) for each in in_house(data, work)]
    show_rows(rows, ["name", "tenancy", "id", "created_at"], as_json)


@user_commands.command("show", epilog=_USER)
@click.argument("user")
@tenancy_option
@data_option
@json_option
def show_user(user: str, tenancy: str | None, data: Path | None, as_json: bool) -> None:
    """Shows a USER with the fingerprints of the API keys and the grants."""

    async def work(house: House) -> tuple[Person, list[ApiKey], list[Granted]]:
        return await people.show_user(house.store, user, tenancy)

    person, keys, grants = in_house(data, work)
    told = {
        "fingerprints": [key.fingerprint for key in keys],
        "grants": [f"{each.grant.verb}:{each.path}" for each in grants],
    }
    show_fields({**_person(person), **told}, as_json)


@user_commands.command("delete", epilog=_USER)
@click.argument("user")
@tenancy_option
@data_option
@json_option
def delete_user(user: str, tenancy: str | None, data: Path | None, as_json: bool) -> None:
    """Removes a USER with all API keys and grants; what the user signs is refused at once."""

    async def work(house: House) -> Person:
        return await people.delete_user(house.store, user, tenancy)

    show_fields({"deleted": True, **_person(in_house(data, work, "Delete an OCI user"))}, as_json)


@click.group("api-key")
def api_key_commands() -> None:
    """API keys: what users sign requests with. Only public halves are kept here."""


@api_key_commands.command("create", epilog=_USER)
@click.argument("user")
@click.option("--out", required=True, metavar="FILE", help="The new file for the private key; `-` shows it instead.")
@tenancy_option
@data_option
@json_option
def create_api_key(user: str, out: str, tenancy: str | None, data: Path | None, as_json: bool) -> None:
    """Makes an API key for a USER and writes the private key to a file for you alone."""

    async def work(house: House) -> NewKey:
        return await people.create_api_key(house.store, house.clock, user, tenancy)

    if out == STANDARD_OUTPUT:
        made = in_house(data, work, "Give an OCI user an API key")
        text = _labelled(made.private_key)
        if as_json:
            show_fields({**_shown_key(made.person, made.key), "private_key": text}, as_json)
        else:
            click.echo(text, nl=False)
        return
    with new_private_file(Path(out)) as file:
        made = in_house(data, work, "Give an OCI user an API key")
        file.write(_labelled(made.private_key))
    show_fields({**_shown_key(made.person, made.key), "key_file": str(Path(out).resolve())}, as_json)


@api_key_commands.command("add", epilog=_USER)
@click.argument("user")
@click.argument("file", type=click.File("rb"))
@tenancy_option
@data_option
@json_option
def add_api_key(user: str, file: BinaryIO, tenancy: str | None, data: Path | None, as_json: bool) -> None:
    """Lets a USER sign with a key that exists: FILE has its public half, PEM, RSA of 2048 bits or more."""
    given = file.read(MAX_PEM_LENGTH + 1).decode("ascii", "replace")

    async def work(house: House) -> tuple[Person, ApiKey]:
        return await people.add_api_key(house.store, house.clock, user, given, tenancy)

    person, key = in_house(data, work, "Give an OCI user an API key")
    show_fields(_shown_key(person, key), as_json)


@api_key_commands.command("list", epilog=_USER)
@click.argument("user")
@tenancy_option
@data_option
@json_option
def list_api_keys(user: str, tenancy: str | None, data: Path | None, as_json: bool) -> None:
    """Lists the API keys of a USER."""

    async def work(house: House) -> list[ApiKey]:
        return await people.list_api_keys(house.store, user, tenancy)

    show_rows([_key(each) for each in in_house(data, work)], ["fingerprint", "created_at"], as_json)


@api_key_commands.command("delete", epilog=_USER)
@click.argument("user")
@click.argument("fingerprint")
@tenancy_option
@data_option
@json_option
def delete_api_key(user: str, fingerprint: str, tenancy: str | None, data: Path | None, as_json: bool) -> None:
    """Takes the API key of a FINGERPRINT from a USER; what is signed with it is refused at once."""

    async def work(house: House) -> Person:
        return await people.remove_api_key(house.store, user, fingerprint, tenancy)

    person = in_house(data, work, "Take an API key from an OCI user")
    show_fields({"deleted": True, **_person(person), "fingerprint": fingerprint.lower()}, as_json)


@click.group("grant")
def grant_commands() -> None:
    """Grants: what a user may do in a compartment and all below it."""


@grant_commands.command("add", epilog=f"{_USER} {_VERBS}")
@click.argument("user")
@click.argument("verb")
@click.argument("compartment", default="/")
@tenancy_option
@data_option
@json_option
def grant(user: str, verb: str, compartment: str, tenancy: str | None, data: Path | None, as_json: bool) -> None:
    """Lets a USER do VERB in a COMPARTMENT and all below it, in place of what was granted there before.

    COMPARTMENT is an OCID or a path of names; without one, the whole tenancy is meant.
    """

    async def work(house: House) -> Granted:
        return await people.grant(house.store, user, verb, compartment, tenancy)

    show_fields(_granted(in_house(data, work, "Grant an OCI user a right")), as_json)


user_commands.add_command(grant, "grant")


@grant_commands.command("list")
@click.option("--user", help="Only those of this user.")
@tenancy_option
@data_option
@json_option
def list_grants(user: str | None, tenancy: str | None, data: Path | None, as_json: bool) -> None:
    """Lists the grants of a user, or of all users of a tenancy."""

    async def work(house: House) -> list[Granted]:
        return await people.list_grants(house.store, user, tenancy)

    rows = [_granted(each) for each in in_house(data, work)]
    show_rows(rows, ["user", "verb", "path", "compartment_id"], as_json)


@grant_commands.command("remove", epilog=_USER)
@click.argument("user")
@click.argument("compartment")
@tenancy_option
@data_option
@json_option
def remove_grant(user: str, compartment: str, tenancy: str | None, data: Path | None, as_json: bool) -> None:
    """Takes away what a USER was granted in a COMPARTMENT (an OCID, a path, or / for the tenancy)."""

    async def work(house: House) -> Person:
        return await people.revoke(house.store, user, compartment, tenancy)

    person = in_house(data, work, "Take a right from an OCI user")
    show_fields({"removed": True, **_person(person), "compartment": compartment}, as_json)


@click.command("config", epilog=_USER)
@click.argument("user")
@click.option(
    "--key-file",
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The file with the private key of one of the API keys.",
)
@click.option("--fingerprint", help="Which API key that is; needed where the file is locked with a passphrase.")
@click.option("--region", help="The region to ask (default: the tenancy's home region).")
@click.option("--profile", default="DEFAULT", show_default=True, help="The name of the profile.")
@click.option("--out", default=STANDARD_OUTPUT, metavar="FILE", help="A new file to write it to (default: show it).")
@tenancy_option
@data_option
def config_command(
    user: str,
    key_file: Path,
    fingerprint: str | None,
    region: str | None,
    profile: str,
    out: str,
    tenancy: str | None,
    data: Path | None,
) -> None:
    """Writes the profile with which Oracle's CLI and SDKs sign as a USER. The demo user's comes with `claviger env`."""

    async def work(house: House) -> tuple[Person, list[ApiKey], list[Granted]]:
        return await people.show_user(house.store, user, tenancy)

    asked = (fingerprint or _fingerprint_in(key_file)).lower()
    chosen = check_region(region) if region else None
    person, keys, _ = in_house(data, work)
    if asked not in (key.fingerprint for key in keys):
        fix = "add its public half first: claviger oci api-key add"
        raise NotFound("ApiKeyUnknown", user=person.user.name, fingerprint=asked[:64], fix=fix)
    lines = [
        f"[{profile}]",
        f"user={person.user.id}",
        f"fingerprint={asked}",
        f"tenancy={person.tenancy.id}",
        f"region={chosen or person.tenancy.home_region}",
        f"key_file={key_file.resolve()}",
    ]
    text = "\n".join(lines) + "\n"
    if out == STANDARD_OUTPUT:
        click.echo(text, nl=False)
        return
    with new_private_file(Path(out)) as file:
        file.write(text)


def _fingerprint_in(key_file: Path) -> str:
    with key_file.open("rb") as file:
        return fingerprint_of(public_half(Sensitive(file.read(MAX_PEM_LENGTH))))


def _labelled(private_key: Sensitive) -> str:
    return f"{private_key.reveal_text().rstrip()}\n{KEY_LABEL}\n"


def _person(person: Person) -> dict[str, object]:
    user = person.user
    return {
        "name": user.name,
        "id": user.id,
        "tenancy": person.tenancy.name,
        "tenancy_id": person.tenancy.id,
        "description": user.description,
        "created_at": moment(int(user.created_at)),
    }


def _key(key: ApiKey) -> dict[str, object]:
    return {"fingerprint": key.fingerprint, "created_at": moment(int(key.created_at))}


def _shown_key(person: Person, key: ApiKey) -> dict[str, object]:
    user = person.user
    return {"user": user.name, "user_id": user.id, "tenancy_id": person.tenancy.id, **_key(key)}


def _granted(granted: Granted) -> dict[str, object]:
    return {
        "user": granted.person.user.name,
        "verb": granted.grant.verb,
        "path": granted.path,
        "compartment_id": granted.grant.compartment_id,
        "tenancy": granted.person.tenancy.name,
    }
