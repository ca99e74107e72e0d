"""`claviger vault`: making vaults, seeing them, and the access policies of those that have them."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from claviger.bootstrap import House
from claviger.cli.output import moment, show_fields, show_rows
from claviger.cli.running import find_running
from claviger.cli.session import data_option, in_house, json_option, settings_for
from claviger.keyvault.vaults import operations
from claviger.keyvault.vaults.operations import DEFAULT_GROUP, DEFAULT_LOCATION, DEFAULT_SUBSCRIPTION, NewVault
from claviger.keyvault.vaults.records import Vault
from claviger.lifecycle.retention import recovery_level


@click.group("vault")
def vault_commands() -> None:
    """Vaults of the embedded Azure Key Vault."""


@vault_commands.command("create")
@click.argument("name")
@click.option(
    "--retention-days", type=int, default=90, show_default=True, help="Days to keep deleted secrets: 7 to 90."
)
@click.option("--purge-protection", is_flag=True, help="Nobody can purge by hand. Cannot be taken back.")
@click.option("--no-soft-delete", is_flag=True, help="Deleting is final at once, as in vaults of before 2019.")
@click.option("--access-policies", is_flag=True, help="Rights by access policies instead of roles.")
@click.option("--tenant", help="The tenant, by id, domain or name; needed where there are several.")
@click.option("--subscription", default=DEFAULT_SUBSCRIPTION, show_default=True, help="The subscription's id.")
@click.option("--resource-group", default=DEFAULT_GROUP, show_default=True, help="The resource group.")
@click.option("--location", default=DEFAULT_LOCATION, show_default=True, help="The region to show.")
@click.option("--sku", type=click.Choice(["standard", "premium"]), default="standard", show_default=True, help="Tier.")
@data_option
@json_option
def create(data: Path | None, as_json: bool, **given: object) -> None:
    """Makes a vault, reached at https://NAME.vault.localhost:PORT."""
    asked = NewVault(
        name=str(given["name"]),
        tenant=given["tenant"],  # type: ignore[arg-type]
        subscription_id=str(given["subscription"]),
        resource_group=str(given["resource_group"]),
        location=str(given["location"]),
        sku=str(given["sku"]),
        soft_delete=not given["no_soft_delete"],
        retention_days=given["retention_days"],  # type: ignore[arg-type]
        purge_protection=bool(given["purge_protection"]),
        rbac=not given["access_policies"],
    )

    async def work(house: House) -> Vault:
        return await operations.create_vault(house.store, house.clock, asked)

    vault = in_house(data, work, "Create a vault")
    show_fields(_shown(vault, data), as_json)


@vault_commands.command("list")
@click.option("--deleted", is_flag=True, help="The soft-deleted ones instead.")
@data_option
@json_option
def list_all(deleted: bool, data: Path | None, as_json: bool) -> None:
    """Lists the vaults."""

    async def work(house: House) -> list[Vault]:
        return await operations.list_vaults(house.store, deleted=deleted)

    rows = [_shown(vault, data) for vault in in_house(data, work)]
    show_rows(rows, ["name", "url", "recovery_level", "retention_days", "rights"], as_json)


@vault_commands.command("show")
@click.argument("name")
@data_option
@json_option
def show(name: str, data: Path | None, as_json: bool) -> None:
    """Shows one vault."""

    async def work(house: House) -> Vault:
        return await operations.show_vault(house.store, name)

    show_fields(_shown(in_house(data, work), data), as_json)


def _shown(vault: Vault, data: Path | None) -> dict[str, object]:
    running = find_running(settings_for(data).data)
    fields = msgspec.to_builtins(vault)
    for hidden in ("network_acls", "other", "soft_delete", "rbac"):
        fields.pop(hidden)
    return {
        "name": vault.name,
        "url": f"https://{vault.name.lower()}.vault.localhost:{running.port if running else 'PORT'}",
        "recovery_level": recovery_level(vault.soft_delete, vault.retention_days, vault.purge_protection),
        "rights": "roles" if vault.rbac else "access policies",
        **fields,
        **{name: moment(fields[name]) for name in ("created_at", "updated_at", "deleted_at", "purge_at")},
    }
