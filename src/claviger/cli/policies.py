"""`claviger policy`: access policies, in vaults that were made with them."""

from __future__ import annotations

from pathlib import Path

import click

from claviger.bootstrap import House
from claviger.cli.output import show_fields, show_rows
from claviger.cli.session import data_option, in_house, json_option
from claviger.keyvault.directory.operations import list_applications
from claviger.keyvault.vaults import operations
from claviger.keyvault.vaults.records import AccessPolicy


@click.group("policy")
def policy_commands() -> None:
    """Access policies: what a principal may do in a vault made with --access-policies."""


@policy_commands.command("set")
@click.argument("vault")
@click.argument("principal")
@click.option(
    "--secrets", required=True, help="get,list,set,delete,backup,restore,recover,purge; all is all but purge."
)
@click.option("--only-through", help="Only for tokens of this application (its client id).")
@data_option
@json_option
def set_policy(
    vault: str, principal: str, secrets: str, only_through: str | None, data: Path | None, as_json: bool
) -> None:
    """Says what an application (name, client id or object id), or any object id, may do with secrets."""

    async def work(house: House) -> AccessPolicy:
        return await operations.set_access_policy(
            house.store,
            vault=vault,
            principal=principal,
            permissions=secrets.replace(",", " ").split(),
            application_id=only_through,
        )

    show_fields(_shown(in_house(data, work, "Set an access policy"), {}), as_json)


@policy_commands.command("list")
@click.argument("vault")
@data_option
@json_option
def list_all(vault: str, data: Path | None, as_json: bool) -> None:
    """Lists the access policies of a vault."""

    async def work(house: House) -> tuple[list[AccessPolicy], dict[str, str]]:
        names = {each.object_id: each.name for each in await list_applications(house.store)}
        return await operations.list_access_policies(house.store, vault), names

    found, names = in_house(data, work)
    show_rows([_shown(each, names) for each in found], ["application", "object_id", "secrets"], as_json)


@policy_commands.command("remove")
@click.argument("vault")
@click.argument("principal")
@data_option
@json_option
def remove(vault: str, principal: str, data: Path | None, as_json: bool) -> None:
    """Takes all permissions of a principal in a vault away."""

    async def work(house: House) -> None:
        await operations.remove_access_policy(house.store, vault=vault, principal=principal)

    in_house(data, work, "Remove an access policy")
    show_fields({"removed": principal, "vault": vault}, as_json)


def _shown(policy: AccessPolicy, names: dict[str, str]) -> dict[str, object]:
    return {
        "application": names.get(policy.object_id),
        "object_id": policy.object_id,
        "only_through": policy.application_id or None,
        "secrets": policy.permissions.get("secrets", []),
    }
