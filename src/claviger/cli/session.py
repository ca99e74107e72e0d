"""What every command shares: the `--data` and `--json` options, and opening the house for one coroutine."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from claviger import bootstrap
from claviger.bootstrap import House
from claviger.core.clock import SystemClock
from claviger.core.errors import Misconfigured
from claviger.settings import Settings, load_settings

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])

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


def in_house(data: Path | None, work: Callable[[House], Awaitable[T]]) -> T:
    """Runs `work` on the open house and closes it again; safe beside a running server."""
    settings = settings_for(data)

    async def run() -> T:
        async with bootstrap.opened(settings, SystemClock()) as house:
            return await work(house)

    return asyncio.run(run())
