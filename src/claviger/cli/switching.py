"""`claviger clock`, `fault`, `delay`, `limits`, `revoke`, `switches`: for tests, on a server started with switches."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from claviger.bootstrap import SWITCHBOARD_NOTE, House
from claviger.cli.output import show_fields, show_json, show_rows
from claviger.cli.running import find_running
from claviger.cli.session import data_option, in_house, json_option, settings_for
from claviger.core.errors import Misconfigured
from claviger.core.sensitive import Sensitive
from claviger.switches.client import Switchboard
from claviger.switches.faults import STATUSES

_FIX = "start the server with its switches: claviger serve --switches"
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_SPAN = re.compile(r"([+-]?[0-9]{1,9}(?:\.[0-9]{1,6})?)([smhdw]?)")


def open_switchboard(data: Path | None) -> tuple[Switchboard, str, Sensitive]:
    """The switchboard of the running server, its address and its token. Raises Misconfigured with the fix."""
    settings = settings_for(data)
    found = find_running(settings.data)
    if found is None:
        raise Misconfigured("ServerNotRunning", data=settings.data, fix=_FIX)

    async def work(house: House) -> Sensitive | None:
        return await house.notes.get(SWITCHBOARD_NOTE)

    token = in_house(data, work)
    if token is None:
        raise Misconfigured("SwitchesOff", data=settings.data, fix=_FIX)
    return Switchboard(found.url, token, settings.data / "tls" / "ca.pem"), found.url, token


def _moved(data: Path | None, as_json: bool, move: Callable[[Switchboard], dict[str, Any]]) -> None:
    told = move(open_switchboard(data)[0])
    if as_json:
        show_json(told)
        return
    clock, limits = told["clock"], told["limits"]
    show_fields(
        {
            "clock": f"{clock['shown']}, {clock['offset_s']:+.0f} s{', frozen' if clock['frozen'] else ''}",
            "faults": len(told["faults"]),
            "delays": f"delete {told['delays']['delete_s']} s, recover {told['delays']['recover_s']} s",
            "limits": "off" if limits is None else _limited(limits),
            "tokens wanted since": told["tokens_since"] or None,
        },
        as_json,
    )


@click.command("switches")
@click.option("--token", "with_token", is_flag=True, help="Print the switchboard's address and token as JSON instead.")
@data_option
@json_option
def switches_command(with_token: bool, data: Path | None, as_json: bool) -> None:
    """Shows all switches as they stand."""
    if with_token:
        _, url, token = open_switchboard(data)
        show_json({"url": url, "token": token.reveal_text()})
        return
    _moved(data, as_json, Switchboard.show)


@click.group("clock")
def clock_commands() -> None:
    """The time by which the server deletes, dates and purges."""


@clock_commands.command("show")
@data_option
@json_option
def show_clock(data: Path | None, as_json: bool) -> None:
    """Shows the time and how far it was moved."""
    _moved(data, as_json, Switchboard.show)


@clock_commands.command("set")
@click.argument("at")
@data_option
@json_option
def set_clock(at: str, data: Path | None, as_json: bool) -> None:
    """Moves the clock to AT: 2027-01-31T12:00:00Z, or seconds since 1970."""
    moment = _moment(at)
    _moved(data, as_json, lambda board: board.clock_set(moment))


@clock_commands.command("advance", context_settings={"ignore_unknown_options": True})
@click.argument("span")
@data_option
@json_option
def advance_clock(span: str, data: Path | None, as_json: bool) -> None:
    """Moves the clock by SPAN: 90d, 12h, 30m, 45s; -1d goes back."""
    seconds = _seconds(span)
    _moved(data, as_json, lambda board: board.clock_advance(seconds))


@clock_commands.command("freeze")
@data_option
@json_option
def freeze_clock(data: Path | None, as_json: bool) -> None:
    """Stops the clock."""
    _moved(data, as_json, Switchboard.clock_freeze)


@clock_commands.command("run")
@data_option
@json_option
def run_clock(data: Path | None, as_json: bool) -> None:
    """Lets a stopped clock go on from where it stands."""
    _moved(data, as_json, Switchboard.clock_run)


@clock_commands.command("reset")
@data_option
@json_option
def reset_clock(data: Path | None, as_json: bool) -> None:
    """Follows the machine's clock again."""
    _moved(data, as_json, Switchboard.clock_reset)


@click.group("fault")
def fault_commands() -> None:
    """Calls that fail on request."""


@fault_commands.command("add")
@click.argument("kind", type=click.Choice(["status", "delay", "drop", "crash"]))
@click.option("--status", type=click.Choice([str(each) for each in STATUSES]), default="503", help="Which status.")
@click.option("--retry-after", type=int, help="Seconds for a Retry-After header; without it there is none.")
@click.option(
    "--delay", "delay_s", type=float, default=0.0, help="Seconds that it holds back an answer, or until it is gone."
)
@click.option("--service", default="*", help="keyvault, management, login or ocikms; * is all.")
@click.option("--operation", default="*", help="SecretGet, token, of OCI GetKey ...; * is all.")
@click.option("--vault", "place", default="*", help="The vault, of OCI its hosts' prefix; * is all.")
@click.option("--share", type=float, default=1.0, help="The share of matching calls that fail, 0 to 1.")
@click.option("--count", type=int, help="How many calls fail at most.")
@click.option("--seed", type=int, default=0, help="The seed of chance, where the share is under 1.")
@data_option
@json_option
def add_fault(data: Path | None, as_json: bool, **fields: object) -> None:
    """Makes calls fail: with a status, late, or by a cut connection. Prints the fault's id."""
    fields["status"] = int(str(fields["status"]))
    fields["retry_after_s"] = fields.pop("retry_after")
    show_fields({"id": open_switchboard(data)[0].fault_add(**fields)}, as_json)


@fault_commands.command("list")
@data_option
@json_option
def list_faults(data: Path | None, as_json: bool) -> None:
    """Lists faults: what they match, how often they struck, how often they still will."""
    told = open_switchboard(data)[0].show()["faults"]
    rows = [{**each["fault"], "hits": each["hits"], "left": each["left"]} for each in told]
    show_rows(rows, ["id", "kind", "status", "service", "operation", "place", "share", "hits", "left"], as_json)


@fault_commands.command("remove")
@click.argument("fault_id", type=int)
@data_option
@json_option
def remove_fault(fault_id: int, data: Path | None, as_json: bool) -> None:
    """Takes one fault away."""
    _moved(data, as_json, lambda board: board.fault_remove(fault_id))


@fault_commands.command("clear")
@data_option
@json_option
def clear_faults(data: Path | None, as_json: bool) -> None:
    """Takes all faults away."""
    _moved(data, as_json, Switchboard.faults_clear)


@click.command("delay")
@click.option("--delete", "delete_s", type=int, default=0, help="Seconds for which a delete is under way.")
@click.option("--recover", "recover_s", type=int, default=0, help="Seconds for which a recover is under way.")
@data_option
@json_option
def delay_command(delete_s: int, recover_s: int, data: Path | None, as_json: bool) -> None:
    """Sets how long deletes and recovers take to settle, as they do in the real service. Without options: no time."""
    _moved(data, as_json, lambda board: board.settle(delete_s, recover_s))


_OCI_LIMIT = "Calls of a class per tenancy of OCI and second."


@click.command("limits")
@click.option("--off", is_flag=True, help="Throttle no more.")
@click.option("--creates", type=int, default=300, show_default=True, help="Sets per vault and window.")
@click.option("--others", type=int, default=4000, show_default=True, help="Other calls per vault and window.")
@click.option("--window", "window_s", type=int, default=10, show_default=True, help="Seconds in a window.")
@click.option("--oci", "oci_calls", type=int, default=10, show_default=True, help=_OCI_LIMIT)
@click.option("--retry-after", is_flag=True, help="Say in a Retry-After header when to come again.")
@data_option
@json_option
def limits_command(off: bool, data: Path | None, as_json: bool, **fields: object) -> None:
    """Throttles as the real service does, by its published limits or by others."""
    _moved(data, as_json, lambda board: board.limits_off() if off else board.limits(**fields))


@click.command("revoke")
@click.option("--undo", is_flag=True, help="Accept older tokens again.")
@data_option
@json_option
def revoke_command(undo: bool, data: Path | None, as_json: bool) -> None:
    """Wants newer tokens from all clients, by a claims challenge (continuous access evaluation)."""
    _moved(data, as_json, lambda board: board.revoke_tokens(0 if undo else None))


def _limited(limits: dict[str, Any]) -> str:
    azure = f"{limits['creates']} creates, {limits['others']} others a vault and {limits['window_s']} s"
    return f"{azure}; of OCI {limits['oci_calls']} a class, tenancy and second"


def _moment(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        pass
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise click.UsageError("give a time such as 2027-01-31T12:00:00Z, or seconds since 1970") from None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


def _seconds(text: str) -> float:
    match = _SPAN.fullmatch(text)
    if match is None:
        raise click.UsageError("give a span such as 90d, 12h, 30m or 45s")
    return float(match[1]) * _UNITS[match[2] or "s"]
