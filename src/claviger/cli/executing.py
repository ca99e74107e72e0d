"""`claviger exec`: runs a program whose requests to cloud APIs reach this server, with nothing of it changed.

This process starts the proxy's process and then becomes the program: its exit code, its signals, its terminal and its
standard streams are the program's own because there is nothing in between.
"""

from __future__ import annotations

import contextlib
import os
import shutil
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

from claviger.cli import oci_profile
from claviger.cli.demo import load_demos
from claviger.cli.running import Running, find_running
from claviger.cli.session import data_option, in_house, settings_for
from claviger.cli.tunnelling import launch
from claviger.core.errors import Misconfigured
from claviger.keyvault.challenge import LOGIN_HOST
from claviger.keyvault.directory.demo import DemoAccess
from claviger.keyvault.hosts import CLOUDS
from claviger.proxy.environment import AZURE, OCI, SECRETS, Changes, SignIn, changes_for, has_credentials
from claviger.proxy.trust import Merge, trust_files, trusts_others
from claviger.proxy.tunnels import USER
from claviger.proxy.upstream import find_upstream
from claviger.settings import Settings

EXIT_CANNOT_RUN = 126
EXIT_NOT_FOUND = 127
OCI_PROFILE = Path("~/.oci/config")
"""Where OCI's own programs keep theirs."""
_PROBE_S = 20.0
_HIDDEN = "***"


@click.command("exec", context_settings={"allow_interspersed_args": False})
@data_option
@click.option("--print", "only_print", is_flag=True, help="Show what would change in its environment; run nothing.")
@click.option("--no-demo", is_flag=True, help="Do not sign it in as the demo application where it has no credentials.")
@click.option("--quiet", is_flag=True, help="Do not say on standard error what is done.")
@click.argument("program", nargs=-1, type=click.UNPROCESSED, metavar="[--] PROGRAM [ARGUMENT]...")
def exec_command(data: Path | None, only_print: bool, no_demo: bool, quiet: bool, program: tuple[str, ...]) -> None:
    """Runs a program for which https://NAME.vault.azure.net is a vault of this server, and so are OCI's vaults.

    So are the vaults of the other Azure clouds, their login hosts and their management hosts, and of OCI the hosts of
    vaults, keys, secrets, identity and Object Storage. All its other requests go where they always went. The program
    itself, its configuration and this machine stay as they are.
    """
    if not program and not only_print:
        raise click.UsageError("name the program to run: claviger exec -- PROGRAM")
    settings = settings_for(data)
    find_upstream(os.environ)
    running = _running(settings)
    if only_print:
        masked = f"http://{USER}:{_HIDDEN}@127.0.0.1:PORT"
        _show(_changes(settings, masked, lambda given, _: f"a copy of {given} with this server's authority", no_demo))
        return
    launched = launch(debug=settings.log_level.lower() == "debug")
    folder = _Folder()
    try:
        changes = _changes(settings, launched.url.reveal_text(), folder.merge, no_demo)
        launched.begin(settings.data, folder.path)
    except BaseException:
        folder.remove()
        raise
    if not quiet:
        _say(settings, running, changes)
    _become(program, changes.applied_to(os.environ))


class _Folder:
    """A folder for the trust files of this one call, made when the first one needs it."""

    def __init__(self) -> None:
        self.path: Path | None = None
        self._count = 0

    def merge(self, _: Path, content: bytes) -> str:
        if self.path is None:
            self.path = Path(tempfile.mkdtemp(prefix="claviger-exec-"))
        self._count += 1
        merged = self.path / f"trust-{self._count}.pem"
        merged.write_bytes(content)
        return str(merged)

    def remove(self) -> None:
        if self.path is not None:
            shutil.rmtree(self.path, ignore_errors=True)


def _running(settings: Settings) -> Running:
    """The server that runs, once it has shown that it can speak for a cloud's host. Raises Misconfigured."""
    running = find_running(settings.data)
    if running is None:
        fix = f"start it: claviger start --data {settings.data}"
        raise Misconfigured("NoServerRuns", data=settings.data, fix=fix)
    host = CLOUDS[0].login
    context = ssl.create_default_context(cafile=str(settings.data / "tls" / "ca.pem"))
    try:
        with (
            socket.create_connection((running.reached_at, running.port), _PROBE_S) as plain,
            context.wrap_socket(plain, server_hostname=host),
        ):
            return running
    except ssl.SSLError:
        fix = (
            "restart the server with this version, and without CLAVIGER_TLS_CERTIFICATE: a certificate of your own "
            "does not hold for the clouds' names, those of the local authority do"
        )
        raise Misconfigured("CertificateNotForClouds", server=running.url, host=host, fix=fix) from None
    except OSError as failure:
        fix = f"look into {settings.data / 'server.log'}"
        raise Misconfigured("ServerDoesNotAnswer", server=running.url, said=failure.strerror, fix=fix) from None


def _changes(settings: Settings, proxy_url: str, merge: Merge, no_demo: bool) -> Changes:
    """What changes in the environment of the program."""
    return changes_for(
        os.environ,
        proxy_url=proxy_url,
        trust=trust_files(os.environ, settings.data.resolve() / "tls", merge),
        sign_ins=[] if no_demo else _sign_ins(settings),
        login_names={LOGIN_HOST, urlsplit(settings.login_url or "").hostname or LOGIN_HOST},
        local_variables=oci_profile.local_variables(settings.data),
    )


def _is_known_to_oci() -> bool:
    """Whether the program has credentials for OCI: those of the environment, or the profile that SDKs read first."""
    return has_credentials(os.environ, OCI) or OCI_PROFILE.expanduser().exists()


def _sign_ins(settings: Settings) -> list[SignIn]:
    """Those of the demo, for the providers that the program has no credentials for."""
    wants_azure, wants_oci = not has_credentials(os.environ, AZURE), not _is_known_to_oci()
    if not (wants_azure or wants_oci):
        return []

    demos = in_house(
        settings.data,
        lambda house: load_demos(house, wants_azure=wants_azure, wants_oci=wants_oci),
        "Use the demo's credentials",
        reveals=True,
    )
    sign_ins = []
    if demos.azure is not None:
        sign_ins.append(SignIn(AZURE, _azure(demos.azure)))
    if demos.oci is not None:
        oci_profile.write_profile(settings.data, demos.oci)
        sign_ins.append(SignIn(OCI, oci_profile.profile_variables(settings.data)))
    return sign_ins


def _azure(demo: DemoAccess) -> dict[str, str]:
    """The demo application's credentials, and the address of the demo vault for programs that ask for one."""
    given = {
        "AZURE_TENANT_ID": demo.tenant_id,
        "AZURE_CLIENT_ID": demo.client_id,
        "AZURE_CLIENT_SECRET": demo.client_secret.reveal_text(),
    }
    if not os.environ.get("AZURE_KEYVAULT_URL"):
        given["AZURE_KEYVAULT_URL"] = f"https://{demo.vault}.{CLOUDS[0].vault_suffix}"
    return given


def _show(changes: Changes) -> None:
    """Prints the changes, secret values hidden."""
    for name, value in sorted(changes.put.items()):
        shown = _HIDDEN if name in SECRETS and _HIDDEN not in value else value
        click.echo(f"set    {name}={shown}")
    for name in sorted(changes.removed):
        click.echo(f"unset  {name}")


def _say(settings: Settings, running: Running, changes: Changes) -> None:
    """Says on standard error what is about to happen."""
    azure = _who("AZURE_CLIENT_ID" in changes.put, has_credentials(os.environ, AZURE), "application")
    oci = _who("OCI_CONFIG_FILE" in changes.put, _is_known_to_oci(), "user")
    hosts = "Azure's vault, login and management hosts, and OCI's of vaults, secrets, identity and Object Storage"
    told = [
        f"{hosts}, are the server at {running.url} for this program, not the cloud.",
        f"It signs in to Azure {azure}, to OCI {oci}.",
        "It trusts this server's certificates. All other hosts are reached as always.",
    ]
    if not trusts_others(settings.data / "tls"):
        told.append(
            "This machine has no trust store that was found: programs may trust no other host (set SSL_CERT_FILE)."
        )
    for line in told:
        click.echo(f"claviger exec: {line}", err=True)


def _who(is_demo: bool, is_known: bool, what: str) -> str:
    if is_demo:
        return f"as the demo {what}"
    return "with the credentials that are set" if is_known else "with credentials of its own, for none are set"


def _become(program: Sequence[str], environment: Mapping[str, str]) -> NoReturn:
    """Replaces this process by the program. Exits with 127 where there is none, with 126 where it cannot be run."""
    sys.stdout.flush()
    sys.stderr.flush()
    for name in ("SIGPIPE", "SIGXFSZ"):  # Python ignores them, and what is ignored stays so
        with contextlib.suppress(AttributeError):
            signal.signal(getattr(signal, name), signal.SIG_DFL)
    try:
        os.execvpe(program[0], list(program), dict(environment))  # noqa: S606 - the user's own program
    except (OSError, ValueError) as failure:
        missing = isinstance(failure, FileNotFoundError | NotADirectoryError)
        why = failure.strerror if isinstance(failure, OSError) else "its name or an argument holds a zero byte"
        click.echo(f"claviger: {program[0]} cannot be run: {why}", err=True)
        sys.exit(EXIT_NOT_FOUND if missing else EXIT_CANNOT_RUN)
