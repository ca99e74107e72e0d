"""The `claviger` command and its list of commands. A refusal becomes a sentence and an exit code, never a traceback."""

from __future__ import annotations

import sys
from typing import Any

import click

from claviger import __version__
from claviger.cli.administration import admin_commands
from claviger.cli.applications import app_commands, tenant_commands
from claviger.cli.auditing import audit_commands
from claviger.cli.environment import doctor_command, env_command
from claviger.cli.executing import exec_command
from claviger.cli.keys import keys_commands
from claviger.cli.moving import export_command, import_command
from claviger.cli.oci import oci_commands
from claviger.cli.output import EXIT_MISCONFIGURED, EXIT_REFUSED, say_refusal
from claviger.cli.policies import policy_commands
from claviger.cli.roles import role_commands
from claviger.cli.serving import health_command, serve_command, start_command, stop_command
from claviger.cli.switching import (
    clock_commands,
    delay_command,
    fault_commands,
    limits_command,
    revoke_command,
    switches_command,
)
from claviger.cli.vaults import vault_commands
from claviger.core.errors import Damaged, Misconfigured, Refusal


class RefusalsAsWords(click.Group):
    """Prints what was refused, and how to mend it where that is known: exit 2 for the set-up, 1 for the rest."""

    def invoke(self, ctx: click.Context) -> Any:
        """Runs the command that was asked for."""
        try:
            return super().invoke(ctx)
        except Refusal as refusal:
            say_refusal(refusal)
            sys.exit(EXIT_MISCONFIGURED if isinstance(refusal, Misconfigured | Damaged) else EXIT_REFUSED)


@click.group(cls=RefusalsAsWords, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, "--version", prog_name="claviger")
def main() -> None:
    """Claviger carries the keys: a self-hosted manager for the life of cloud secrets and keys."""


for command in (
    serve_command,
    start_command,
    stop_command,
    health_command,
    env_command,
    exec_command,
    doctor_command,
    vault_commands,
    app_commands,
    role_commands,
    policy_commands,
    tenant_commands,
    oci_commands,
    admin_commands,
    keys_commands,
    audit_commands,
    export_command,
    import_command,
    switches_command,
    clock_commands,
    fault_commands,
    delay_command,
    limits_command,
    revoke_command,
):
    main.add_command(command)
