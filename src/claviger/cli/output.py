"""How commands speak: aligned tables for people, JSON for programs, and errors that name the fix."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import click
import msgspec

from claviger.core.errors import Refusal

EXIT_REFUSED = 1
EXIT_MISCONFIGURED = 2


def show_rows(rows: Sequence[Mapping[str, object]], columns: Sequence[str], as_json: bool) -> None:
    """Prints rows: all their fields as a JSON array, or the chosen columns as a table."""
    if as_json:
        show_json(list(rows))
        return
    cells = [[_cell(row.get(column)) for column in columns] for row in rows]
    titles = [column.replace("_", " ").upper() for column in columns]
    widths = [max(len(line[at]) for line in [titles, *cells]) for at in range(len(columns))]
    for line in [titles, *cells]:
        click.echo("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())


def show_fields(fields: Mapping[str, object], as_json: bool) -> None:
    """Prints one thing: a JSON object, or a name and a value a line."""
    if as_json:
        show_json(dict(fields))
        return
    width = max(len(name) for name in fields)
    for name, value in fields.items():
        click.echo(f"{name.replace('_', ' ').ljust(width)}  {_cell(value)}".rstrip())


def show_json(value: object) -> None:
    """Prints a value as indented JSON."""
    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def moment(epoch_s: int | None) -> str | None:
    """A time for people, UTC; None stays None."""
    return None if epoch_s is None else datetime.fromtimestamp(epoch_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def say_refusal(refusal: Refusal) -> None:
    """Prints a refusal on standard error: what, the facts, and the fix where one is known."""
    facts = dict(refusal.facts)
    fix = facts.pop("fix", None)
    told = ", ".join(f"{name.replace('_', ' ')}: {value}" for name, value in facts.items() if value not in (None, ""))
    click.echo(f"claviger: {_words(refusal.reason)}{f' ({told})' if told else ''}", err=True)
    if fix:
        click.echo(f"  fix: {fix}", err=True)


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return " ".join(str(part) for part in value)
    return str(value)


def _words(reason: str) -> str:
    """CamelCase as words: `PortBusy` is `port busy`."""
    spaced = "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in reason)
    return spaced.strip()
