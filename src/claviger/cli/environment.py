"""`claviger env` and `claviger doctor`: what programs need to use this server, and whether all of it is in order."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from claviger.cli import oci_profile
from claviger.cli.checks import Check, all_checks
from claviger.cli.demo import Demos, load_demos
from claviger.cli.output import show_json
from claviger.cli.running import find_running
from claviger.cli.session import data_option, in_house, json_option, settings_for
from claviger.core.errors import Misconfigured
from claviger.keyvault.challenge import LOGIN_HOST
from claviger.keyvault.directory.demo import DemoAccess
from claviger.keyvault.hosts import LOCAL_MANAGEMENT, LOCAL_SUFFIX
from claviger.keyvault.vaults.operations import DEFAULT_SUBSCRIPTION
from claviger.settings import Settings


@click.command("env")
@data_option
@json_option
def env_command(data: Path | None, as_json: bool) -> None:
    """Prints the environment with which official clients use this server as the demo application, or user in OCI.

    For a shell: eval "$(claviger env)".
    """
    settings = settings_for(data)

    demos = in_house(data, load_demos, "Show the demo's credentials", reveals=True)
    if not demos:
        raise Misconfigured(
            "NoDemo",
            data=settings.data,
            fix="start the server once with the demo on (claviger serve --demo), or make an application of your own: "
            "claviger app create NAME",
        )
    if find_running(settings.data) is None:
        click.echo(f"claviger: no server runs on {settings.data} now; start it: claviger start", err=True)
    exported = exported_for(settings, demos)
    if as_json:
        show_json(exported)
        return
    for name, value in exported.items():
        click.echo(f"export {name}={shlex.quote(value)}")


@click.command("doctor")
@data_option
@json_option
def doctor_command(data: Path | None, as_json: bool) -> None:
    """Looks at everything a client needs: data, keys, server, names, certificates, sign-in. Says what to mend."""
    checks = all_checks(settings_for(data))
    if as_json:
        show_json(checks)
    else:
        for check in checks:
            click.echo(f"{_mark(check)}  {check.what}: {check.found}")
            if check.fix:
                click.echo(f"      fix: {check.fix}")
    if any(check.ok is False for check in checks):
        raise click.exceptions.Exit(1)


def exported_for(settings: Settings, demos: Demos) -> dict[str, str]:
    """The environment, by the names that the official clients read. OCI's read files, which are written here."""
    running = find_running(settings.data)
    port = running.port if running else settings.address[1]
    tls = settings.data.resolve() / "tls"
    exported = {} if demos.azure is None else _azure(settings, demos.azure, port)
    exported |= {
        "SSL_CERT_FILE": str(tls / "bundle.pem"),
        "REQUESTS_CA_BUNDLE": str(tls / "bundle.pem"),
        "CURL_CA_BUNDLE": str(tls / "bundle.pem"),  # curl would take the directory of SSL_CERT_DIR first
        "NODE_EXTRA_CA_CERTS": str(tls / "ca.pem"),
    }
    if demos.oci is not None:
        oci_profile.write_profile(settings.data, demos.oci)
        oci_profile.write_regions(settings.data, port)
        exported |= oci_profile.profile_variables(settings.data) | oci_profile.local_variables(settings.data)
    return {name: value for name, value in exported.items() if value}


def _azure(settings: Settings, demo: DemoAccess, port: int) -> dict[str, str]:
    suffix = f":{port}" if port != 443 else ""
    login = settings.login_url.rstrip("/") if settings.login_url else f"https://{LOGIN_HOST}{suffix}"
    return {
        "AZURE_KEYVAULT_URL": f"https://{demo.vault}.{LOCAL_SUFFIX}{suffix}",
        "AZURE_RESOURCE_MANAGER_URL": f"https://{LOCAL_MANAGEMENT}{suffix}",
        "AZURE_SUBSCRIPTION_ID": DEFAULT_SUBSCRIPTION,
        "AZURE_TENANT_ID": demo.tenant_id,
        "AZURE_CLIENT_ID": demo.client_id,
        "AZURE_CLIENT_SECRET": demo.client_secret.reveal_text(),
        "AZURE_AUTHORITY_HOST": login,
        "IDENTITY_ENDPOINT": f"{login}/msi/token",
        "IDENTITY_HEADER": demo.identity_header.reveal_text() if demo.identity_header else "",
        # Without this, DefaultAzureCredential tries the client secret first, for which it asks the public login host.
        "AZURE_TOKEN_CREDENTIALS": "ManagedIdentityCredential",
    }


def _mark(check: Check) -> str:
    return {True: "ok  ", False: "FAIL", None: "--  "}[check.ok]
