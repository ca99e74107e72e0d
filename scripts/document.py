"""Writes the pages that are drawn from the code: the commands, and the states of things as diagrams.

`python -m scripts.document` writes them; a unit test compares them with what would be written now.
"""

from __future__ import annotations

import inspect
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from claviger.cckm.azure.secrets import rules as records
from claviger.cli.main import main as claviger
from claviger.keyvault.secrets import rules as secrets
from claviger.keyvault.vaults import rules as vaults
from claviger.lifecycle.transitions import Refused, TransitionTable
from claviger.ocikms.keys import rules as oci_keys
from claviger.ocikms.secrets import rules as oci_secrets
from claviger.ocikms.vaults import rules as oci_vaults
from claviger.ocikms.versions import rules as oci_versions

ROOT = Path(__file__).resolve().parent.parent
DELAYED = "after a delay, where one is set"
DUE = "its date has come"


def pages() -> dict[str, str]:
    """File name to content."""
    return {"docs/cli.md": cli_page(), "docs/states.md": states_page()}


def cli_page() -> str:
    """Every command with its options."""
    lines = [
        "# Commands",
        "",
        "Every command takes `--help`. Those that work on data take `--data DIR`, the data directory, and most take",
        "`--json`. `claviger --version` tells the version. They may be used beside a running server.",
        "Exit code 1: refused; 2: a setting or the set-up is wrong.",
    ]
    for path, command in _commands(claviger, ("claviger",)):
        arguments = " ".join(each.make_metavar(_context(command)) for each in _arguments(command))
        title = f"## `{' '.join(path)}{' ' + arguments if arguments else ''}`"
        lines += ["", title, "", inspect.cleandoc(command.help or ""), ""]
        options = [each for each in command.params if isinstance(each, click.Option) and not each.hidden]
        lines += ["| Option | Meaning |", "| --- | --- |"] if options else []
        for option in options:
            names = ", ".join(f"`{name}`" for name in [*option.opts, *option.secondary_opts])
            told = option.help or ""
            if option.show_default and option.default not in (None, False):
                told += f" Default: {option.default}."
            lines.append(f"| {names} | {told} |")
        if command.epilog:
            lines += ["", command.epilog]
    return "\n".join(lines).replace("\n\n\n", "\n\n") + "\n"


def states_page() -> str:
    """The transition tables as diagrams, and their refusals as a table."""
    lines = [
        "# States",
        "",
        "Drawn from the tables that decide, so they cannot disagree with them.",
        *_states(
            "A vault of the embedded Key Vault",
            vaults.TRANSITIONS,
            ("deleted --> absent : end of the retention", "live --> absent : VaultDelete without soft delete"),
        ),
        *_states(
            "A secret of the embedded Key Vault",
            secrets.TRANSITIONS,
            (
                "deleted --> absent : end of the retention",
                "deleting --> deleted : after a delay, where one is set",
                "recovering --> active : after a delay, where one is set",
            ),
        ),
        *_states(
            "A secret as the control plane knows it",
            records.TRANSITIONS,
            ("SOFT_DELETED --> DELETED : end of the retention, found by a synchronisation",),
            begins="AVAILABLE : create",
        ),
        *_oci_states(),
    ]
    return "\n".join(lines) + "\n"


def _oci_states() -> Iterator[str]:
    """The tables of the embedded OCI. What passes there passes by itself, at once unless a delay is set."""
    yield from _states(
        "A vault of the embedded OCI",
        oci_vaults.TRANSITIONS,
        (
            f"CREATING --> ACTIVE : {DELAYED}",
            f"PENDING_DELETION --> DELETED : {DUE}",
            "DELETED --> ACTIVE : RestoreVaultFromFile",
        ),
        begins="CREATING : CreateVault",
        note="`CreateKey` stands for everything that is put into a vault or changed in it. A vault that is scheduled\n"
        "for its deletion takes its keys along. States that no arrow leads to are shown for as long as a delay is set.",
    )
    yield from _states(
        "A key of the embedded OCI",
        oci_keys.TRANSITIONS,
        (
            *_settling(oci_keys.SETTLES, oci_keys.State.DELETING),
            *(
                f"{passing} --> {to} : {DELAYED}"
                for passing in ("CANCELLING_DELETION", "UPDATING", "BACKUP_IN_PROGRESS")
                for to in ("ENABLED", "DISABLED")
            ),
            f"PENDING_DELETION --> DELETED : {DUE}",
            "DELETED --> RESTORING : RestoreKeyFromFile",
        ),
        begins="CREATING : CreateKey",
        note="`Encrypt` stands for all of the crypto plane, `CreateKeyVersion` for the import of a version too, and\n"
        "`ScheduleKeyVersionDeletion` for its cancellation. Where two arrows leave a state that passes, the key goes\n"
        "back to where it was.",
    )
    yield from _states(
        "A version of a key of the embedded OCI",
        oci_versions.TRANSITIONS,
        (*_settling(oci_versions.SETTLES, oci_versions.State.DELETING), f"PENDING_DELETION --> DELETED : {DUE}"),
        begins="CREATING : CreateKeyVersion",
        note="The key must be `ENABLED` or `DISABLED`, and its current version cannot be scheduled.",
    )
    yield from _states(
        "A secret of the embedded OCI",
        oci_secrets.TRANSITIONS,
        (f"CREATING --> ACTIVE : {DELAYED}", f"PENDING_DELETION --> DELETED : {DUE}"),
        begins="CREATING : CreateSecret",
        note="With its vault a secret is deleted from any state.",
    )


def _settling(settles: Mapping[Any, Any], *never: Any) -> Iterator[str]:
    """An arrow for each state that passes, but for those that this server never shows."""
    for passing, to in settles.items():
        if passing not in never:
            yield f"{passing.value} --> {to.value} : {DELAYED}"


def _states(
    title: str, table: TransitionTable[Any, Any], by_time: tuple[str, ...], begins: str = "absent", note: str = ""
) -> Iterator[str]:
    """One table; `by_time` are the arrows that no operation draws. What leaves every state as it is has no arrow."""
    cells = list(table.cells())
    idle = {operation for operation, _, _ in cells} - {
        operation for operation, state, cell in cells if cell is not state
    }
    yield from ("", f"## {title}", "")
    if note:
        yield from (note, "")
    yield from ("```mermaid", "stateDiagram-v2", f"    [*] --> {begins}")
    for operation, state, cell in cells:
        if not isinstance(cell, Refused) and operation not in idle:
            yield f"    {_word(state.value)} --> {_word(cell.value)} : {operation.value}"
    yield from (f"    {arrow}" for arrow in by_time)
    yield from ("```", "", "| Operation | in state | is refused as | because |", "| --- | --- | --- | --- |")
    refused: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for operation, state, cell in cells:
        if isinstance(cell, Refused):
            refused[operation.value, cell.kind.__name__, cell.reason].append(state.value)
    for (operation, kind, reason), states in refused.items():
        yield f"| {operation} | {', '.join(states)} | {kind} | {reason} |"


def _word(state: str) -> str:
    """A state's name as the diagram's language takes it."""
    return state.replace("-", "_")


def _commands(command: click.Command, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    if isinstance(command, click.Group):
        for name in sorted(command.commands):
            yield from _commands(command.commands[name], (*path, name))
    else:
        yield path, command


def _arguments(command: click.Command) -> list[click.Argument]:
    return [each for each in command.params if isinstance(each, click.Argument)]


def _context(command: click.Command) -> click.Context:
    return click.Context(command)


def main() -> None:
    """Writes all pages."""
    for name, content in pages().items():
        (ROOT / name).write_text(content)


if __name__ == "__main__":
    main()
