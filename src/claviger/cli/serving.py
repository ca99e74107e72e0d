"""`claviger serve`, `start` and `stop`: the server in the foreground, in the background, and its end."""

from __future__ import annotations

import gc
import os
import shutil
import sys
from pathlib import Path

import click

from claviger import bootstrap
from claviger.audit.trail import withhold
from claviger.bootstrap import House, Services
from claviger.cckm.access.first import take_one_time_password
from claviger.cli import running
from claviger.cli.output import show_fields
from claviger.cli.running import Running
from claviger.cli.session import data_option, in_house, json_option, recorded
from claviger.core.clock import SystemClock
from claviger.core.errors import Unavailable
from claviger.core.sensitive import Sensitive
from claviger.keyvault.hosts import is_cloud_host
from claviger.ocikms.hosts import is_oci_host
from claviger.server import run as running_server
from claviger.server.authority import find_trust_store, open_authority, write_bundle
from claviger.server.contexts import HostContexts, OwnContext
from claviger.server.logs import log_what_python_would_print, set_up_logging
from claviger.server.run import Serving, Tls
from claviger.settings import Settings, load_settings

SHOW = "Show the one-time password"
listen_option = click.option("--listen", metavar="HOST:PORT", help="Where to listen (CLAVIGER_LISTEN).")
switches_option = click.option(
    "--switches/--no-switches", default=None, help="For tests: movable clock and faults (CLAVIGER_SWITCHES)."
)
seed_option = click.option(
    "--seed",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A JSON or TOML file of what to make sure of at each start (CLAVIGER_SEED).",
)
demo_option = click.option("--demo/--no-demo", default=None, help="Make the demo vault at first start (CLAVIGER_DEMO).")


@click.command("serve")
@data_option
@listen_option
@demo_option
@seed_option
@switches_option
def serve_command(
    data: Path | None, listen: str | None, demo: bool | None, seed: Path | None, switches: bool | None
) -> None:
    """Runs the server until it is told to stop."""
    settings = load_settings(data=data, listen=listen, demo=demo, seed=seed, switches=switches)
    set_up_logging(settings.log_level)
    log_what_python_would_print()
    settings.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    with running.sole_server(settings.data):
        running_server.run(_serve(settings))


@click.command("start")
@data_option
@listen_option
def start_command(data: Path | None, listen: str | None) -> None:
    """Starts the server in the background and says how to use it. Does nothing where it runs already."""
    settings = load_settings(data=data, listen=listen)
    found = running.start(settings)
    shown = "" if settings.data == Path(".claviger") else f" --data {settings.data}"
    click.echo(f"Claviger is ready at {found.url} (process {found.pid}, data in {settings.data}).")
    click.echo(f"A vault NAME is at https://NAME.vault.localhost:{found.port}; the first one is called demo.")
    click.echo(f"OCI is at https://kms.REGION.localhost:{found.port} and beside it; the first tenancy is called demo.")
    click.echo("\nPaste this to use it from a program, an SDK or a script:\n")
    command = _command()
    click.echo(f'  eval "$({command} env{shown})"')
    click.echo("\nand then, for example:\n")
    click.echo(f"  {_python()} examples/python/secret_life.py")
    click.echo(f"  {_python()} examples/python/key_life.py")
    click.echo(f"\nThe control plane is at {found.url}/api/v1, described at {found.url}/api/v1/docs.")
    _tell_one_time_password(in_house(data, _one_time_password, SHOW, reveals=True))
    click.echo(f"\nStop it with: {command} stop{shown}")


@click.command("stop")
@data_option
def stop_command(data: Path | None) -> None:
    """Stops the server that runs on this data."""
    settings = load_settings(data=data)
    click.echo("Stopped." if running.stop(settings.data) else f"No server runs on {settings.data}.")


@click.command("health")
@data_option
@json_option
def health_command(data: Path | None, as_json: bool) -> None:
    """Says whether the server on this data is ready; exit code 1 where it is not. For supervisors of containers."""
    settings = load_settings(data=data)
    found = running.find_running(settings.data)
    told = running.health(found) if found is not None else None
    if told is None:
        raise Unavailable("ServerNotReady", data=settings.data, fix=f"claviger start --data {settings.data}")
    show_fields(told, as_json)


async def _one_time_password(house: House) -> Sensitive | None:
    found = await take_one_time_password(house.notes)
    if found is None:
        withhold()
    return found


def _tell_one_time_password(password: Sensitive | None) -> None:
    """Shows it, this once, where there is one: to the terminal alone, since it is a secret."""
    if password is not None:
        click.echo(f"Sign in as admin with this one-time password, shown only now: {password.reveal_text()}")


async def _serve(settings: Settings) -> None:
    async with bootstrap.built(settings, SystemClock()) as services:
        tls = await _tls(settings, services)
        if sys.stdout.isatty():
            _tell_one_time_password(await recorded(services.house, _one_time_password, SHOW, reveals=True))

        def started(serving: Serving) -> None:
            gc.collect()
            gc.freeze()  # what is here now stays: no collection need look at it again
            running.note_running(settings.data, Running(os.getpid(), serving.host, serving.port))

        await running_server.serve(
            services.front, listen=settings.address, more_ports=settings.vault_ports, tls=tls, started=started
        )


async def _tls(settings: Settings, services: Services) -> Tls:
    """Certificates go by the machine's own clock, as their checkers do."""
    clock = SystemClock()
    directory = settings.data / "tls"
    authority = await open_authority(directory, services.house.notes, clock)
    bundle = directory / "bundle.pem"
    write_bundle(bundle, find_trust_store(os.environ, bundle), authority)
    logins = bootstrap.own_login_hosts(settings)

    def is_served(host: str) -> bool:
        known = host in logins or is_cloud_host(host) or is_oci_host(host)
        return known or services.hosts.vault_name(host) is not None

    contexts = HostContexts(authority, is_served, clock)
    if settings.tls_certificate is not None and settings.tls_key is not None:
        own = OwnContext(settings.tls_certificate, settings.tls_key, local=contexts)
        return Tls(own.context, own.refresh)
    return Tls(contexts.context, contexts.refresh)


def _command() -> str:
    """The command as the user can type it: by its path when it is not on PATH."""
    beside = Path(sys.executable).with_name("claviger")
    return "claviger" if shutil.which("claviger") == str(beside) or not beside.exists() else _short(beside)


def _python() -> str:
    return _short(Path(sys.executable))


def _short(path: Path) -> str:
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
