"""`claviger role`: who may do what in the vaults that go by roles, and to vaults and resource groups themselves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from claviger.bootstrap import House
from claviger.cli.output import moment, show_fields, show_rows
from claviger.cli.session import data_option, in_house, json_option
from claviger.keyvault.directory.operations import list_applications
from claviger.keyvault.vaults import operations, rules
from claviger.keyvault.vaults.records import RoleAssignment

_ROLES = ", ".join(f'"{role.name}"' for role in rules.ROLES)


def place_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that say where a role holds."""
    for option in (
        click.option("--subscription", "subscription_id", help="The whole subscription, or that of the group."),
        click.option("--resource-group", help="Every vault of this resource group."),
        click.option("--secret", help="Only this secret of the vault."),
        click.option("--vault", help="The vault."),
    ):
        command = option(command)
    return command


@click.group("role")
def role_commands() -> None:
    """Role assignments on subscriptions, resource groups, vaults and secrets."""


@role_commands.command("assign", epilog=f"Roles: {_ROLES}.")
@click.argument("role")
@click.argument("principal", metavar="APP")
@place_options
@data_option
@json_option
def assign(role: str, principal: str, data: Path | None, as_json: bool, **place: str | None) -> None:
    """Gives APP (name, client id or object id) a ROLE (name or id) at one place.

    That is a vault, one secret of a vault, a resource group, or a subscription.
    """

    async def work(house: House) -> tuple[RoleAssignment, dict[str, str]]:
        given = await operations.assign_role(house.store, house.clock, role=role, principal=principal, **place)
        return given, await _names(house)

    show_fields(_shown(*in_house(data, work, "Assign a role")), as_json)


@role_commands.command("list")
@click.option("--vault", help="Only at or below this vault.")
@click.option("--app", "principal", help="Only of this application.")
@data_option
@json_option
def list_all(vault: str | None, principal: str | None, data: Path | None, as_json: bool) -> None:
    """Lists role assignments."""

    async def work(house: House) -> tuple[list[RoleAssignment], dict[str, str]]:
        return await operations.list_roles(house.store, vault=vault, principal=principal), await _names(house)

    found, names = in_house(data, work)
    rows = [_shown(each, names) for each in found]
    show_rows(rows, ["id", "role", "application", "scope"], as_json)


@role_commands.command("remove")
@click.argument("assignment_id", required=False)
@click.option("--role", help="The role, instead of an assignment's id.")
@click.option("--app", "principal", help="The application, with --role.")
@place_options
@data_option
@json_option
def remove(
    assignment_id: str | None,
    role: str | None,
    principal: str | None,
    data: Path | None,
    as_json: bool,
    **place: str | None,
) -> None:
    """Takes a role away: by the id that `role list` shows, or by the words it was given with."""

    async def work(house: House) -> RoleAssignment:
        if assignment_id is not None:
            return await operations.remove_role(house.store, assignment_id)
        if not (role and principal):
            raise click.UsageError("give an assignment's id, or --role, --app and where it holds, such as --vault")
        return await operations.remove_role_of(house.store, role=role, principal=principal, **place)

    show_fields({"removed": True, **_shown(in_house(data, work, "Remove a role"), {})}, as_json)


async def _names(house: House) -> dict[str, str]:
    return {each.object_id: each.name for each in await list_applications(house.store)}


def _shown(assignment: RoleAssignment, names: dict[str, str]) -> dict[str, object]:
    known = {role.id: role.name for role in rules.ROLES}
    return {
        "id": assignment.id,
        "role": known.get(assignment.role_id, assignment.role_id),
        "application": names.get(assignment.principal_id, assignment.principal_id),
        "principal_id": assignment.principal_id,
        "scope": assignment.scope,
        "created_at": moment(assignment.created_at),
    }
