"""`claviger exec`: runs a program whose requests to cloud APIs reach this server, with nothing of it changed.

This process starts the proxy's process and then becomes the program: its exit code, its signals, its terminal and its
standard streams are the program's own because there is nothing in between.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import ssl
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn
from urllib.parse import urlsplit

import click

from claviger.bootstrap import House
from claviger.cli.running import Running, find_running
from claviger.cli.session import data_option, in_house, settings_for
from claviger.cli.tunnelling import launch
from claviger.core.errors import Misconfigured
from claviger.keyvault.challenge import LOGIN_HOST
from claviger.keyvault.directory.demo import DemoAccess, load_demo
from claviger.keyvault.hosts import CLOUDS
from claviger.proxy.environment import SECRETS, Changes, changes_for, has_credentials
from claviger.proxy.trust import trust_files, trusts_others
from claviger.proxy.tunnels import USER
from claviger.proxy.upstream import find_upstream
from claviger.settings import Settings

EXIT_CANNOT_RUN = 126
EXIT_NOT_FOUND = 127
_PROBE_S = 5.0
_HIDDEN = "***"


@click.command("exec", context_settings={"allow_interspersed_args": False})
@data_option
@click.option("--print", "only_print", is_flag=True, help="Print what would change in its environment, and run nothing.")
@click.option("--no-demo", is_flag=True, help="Do not sign it in as the demo application where it has no credentials.")
@click.option("--quiet", is_flag=True, help="Do not say on standard error what is done.")
@click.argument("program", nargs=-1, type=click.UNPROCESSED, metavar="[--] PROGRAM [ARGUMENT]...")
def exec_command(data: Path | None, only_print: bool, no_demo: bool, quiet: bool, program: tuple[str, ...]) -> None:
    """Runs a program for which https://NAME.vault.azure.net is a vault of this server.

    So are the vaults of the other Azure clouds, their login hosts and their management hosts. All its other requests go
    where they always went. The program itself, its configuration and this machine stay as they are.
    """
    if not program and not only_print:
        raise click.UsageError("name the program to run: claviger exec -- PROGRAM")
    settings = settings_for(data)
    find_upstream(os.environ)
    running = _running(settings)
    if only_print:
        _show(_changes(settings, f"http://{USER}:{_HIDDEN}@127.0.0.1:PORT", _trust(settings, None), no_demo))
        return
    launched = launch(debug=settings.log_level.lower() == "debug")
    folder = _Folder()
    try:
        changes = _changes(settings, launched.url.reveal_text(), _trust(settings, folder), no_demo)
        launched.begin(settings.data, folder.path)
    except BaseException:
        folder.remove()
        raise
    if not quiet:
        _say(settings, running, changes)
    _become(program, changes.applied_to(os.environ))


class _Folder:
    """A folder for this one call, made when something needs it."""

    def __init__(self) -> None:
        self.path: Path | None = None

    def __call__(self) -> Path:
        if self.path is None:
            self.path = Path(tempfile.mkdtemp(prefix="claviger-exec-"))
        return self.path

    def remove(self) -> None:
        if self.path is not None:
            for each in self.path.iterdir():
                each.unlink()
            self.path.rmdir()
