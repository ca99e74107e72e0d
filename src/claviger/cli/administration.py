"""`claviger admin`: the way into the control plane for whoever has the machine: the first password, and a lost one."""

from __future__ import annotations

from pathlib import Path

import click

from claviger.audit.trail import withhold
from claviger.bootstrap import House
from claviger.cli.output import show_fields
from claviger.cli.serving import SHOW
from claviger.cli.session import data_option, in_house, json_option
from claviger.core.errors import NotFound
from claviger.core.sensitive import Sensitive


@click.group("admin")
def admin_commands() -> None:
    """The administrators of the control plane."""


@admin_commands.command("one-time-password")
@data_option
@json_option
def one_time_password(data: Path | None, as_json: bool) -> None:
    """Shows the first password of the user `admin`, once; it has to be changed before anything else.

    It is made when a server starts for the first time without CLAVIGER_ADMIN_PASSWORD.
    """
    from claviger.cckm.access.first import take_one_time_password  # not at every command's start

    async def work(house: House) -> Sensitive | None:
        found = await take_one_time_password(house.notes)
        if found is None:
            withhold()
        return found

    found = in_house(data, work, SHOW, reveals=True)
    if found is None:
        raise NotFound(
            "NoOneTimePassword",
            problem="it was shown before, or changed, or was preset, or no server has started here yet",
            fix="claviger admin reset-password makes a new one",
        )
    show_fields({"username": "admin", "password": found.reveal_text()}, as_json)


@admin_commands.command("reset-password")
@click.option("--user", "username", default="admin", show_default=True, help="The user's name.")
@click.option("--domain", default="root", show_default=True, help="The domain where the user lives, by name or id.")
@data_option
@json_option
def reset_password(username: str, domain: str, data: Path | None, as_json: bool) -> None:
    """Gives a user a new one-time password and shows it; ends the user's sessions and a lock-out."""
    from claviger.cckm.access.first import reset_password as reset
    from claviger.cckm.access.passwords import Passwords

    async def work(house: House) -> Sensitive:
        return await reset(house.store, Passwords(), house.notes, house.clock, username, domain)

    password = in_house(data, work, "Reset a password")
    show_fields({"username": username, "password": password.reveal_text()}, as_json)
