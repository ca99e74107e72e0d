"""Writes the pages that are drawn from the code: the commands, and the states of things as diagrams.

`python -m scripts.document` writes them; a unit test compares them with what would be written now.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from claviger.cckm.azure.secrets import rules as records
from claviger.cli.main import main as claviger
from claviger.keyvault.secrets import rules as secrets
from claviger.keyvault.vaults import rules as vaults
from claviger.lifecycle.transitions import Refused, TransitionTable

ROOT = Path(__file__).resolve().parent.parent


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
        lines += ["", f"## `{' '.join(path)}{' ' + arguments if arguments else ''}`", "", command.help or "", ""]
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
    ]
    return "\n".join(lines) + "\n"


def _states(
    title: str, table: TransitionTable[Any, Any], by_time: tuple[str, ...], begins: str = "absent"
) -> Iterator[str]:
    """One table; `by_time` are the arrows that no operation draws."""
    cells = list(table.cells())
    yield from ("", f"## {title}", "", "```mermaid", "stateDiagram-v2", f"    [*] --> {begins}")
    for operation, state, cell in cells:
        if not isinstance(cell, Refused):
            yield f"    {_word(state.value)} --> {_word(cell.value)} : {operation.value}"
    yield from (f"    {arrow}" for arrow in by_time)
    yield from ("```", "", "| Operation | in state | is refused as | because |", "| --- | --- | --- | --- |")
    for operation, state, cell in cells:
        if isinstance(cell, Refused):
            yield f"| {operation.value} | {state.value} | {cell.kind.__name__} | {cell.reason} |"


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
