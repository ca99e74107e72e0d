"""What every command shares: the `--data` and `--json` options, and opening the house for one coroutine."""

from __future__ import annotations

import asyncio
import getpass
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from claviger import bootstrap
from claviger.audit.entry import Actor, Outcome
from claviger.audit.log import UNAVAILABLE
from claviger.audit.trail import Trail, following
from claviger.bootstrap import House
from claviger.core.clock import SystemClock
from claviger.core.errors import Busy, Damaged, Misconfigured, Refusal
from claviger.settings import Settings, load_settings

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])

SERVICE = "claviger"
data_option = click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    help="The data directory (CLAVIGER_DATA; default .claviger here).",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def settings_for(data: Path | None) -> Settings:
    """The settings of a command that works on data that exists. Raises Misconfigured("NoData")."""
    settings = load_settings(data=data)
    if not settings.data.is_dir():
        raise Misconfigured(
            "NoData", data=settings.data, fix="name the directory with --data, or start a server there: claviger serve"
        )
    return settings


def in_house(data: Path | None, work: Callable[[House], Awaitable[T]], action: str = "", *, reveals: bool = False) -> T:
    """Runs `work` on the open house and closes it again; safe beside a running server.

    With `action` the audit log tells every change that the command makes, and what it is refused; with `reveals` also
    that it has done its work, before anything is shown (unless that `withhold`s, since there is nothing to show).
    """
    settings = settings_for(data)

    async def run() -> T:
        async with bootstrap.opened(settings, SystemClock()) as house:
            return await (recorded(house, work, action, reveals=reveals) if action else work(house))

    return asyncio.run(run())


async def recorded(house: House, work: Callable[[House], Awaitable[T]], action: str, *, reveals: bool) -> T:
    """`work`, told as `in_house` says."""
    trail = Trail(house.clock, origin="cli", service=SERVICE, action=action, actor=Actor(username=_user()))
    with following(trail):
        try:
            done = await work(house)
        except Refusal as refusal:
            if house.log is not None and not trail.is_told and refusal.reason != UNAVAILABLE:
                outcome: Outcome = "failed" if isinstance(refusal, Damaged | Misconfigured | Busy) else "refused"
                await house.log.record(trail.entry(outcome, reason=refusal.reason))
            raise
        if reveals and not trail.is_withheld:
            await house.tell()
        return done


def _user() -> str:
    """The name of the operating system's user; his number where he has no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())
