"""`claviger audit`: signs the audit log, copies it out, and verifies it without trusting whoever keeps it."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import click
import msgspec

from claviger.audit.export import export, verify_export
from claviger.audit.signed_note import PublicKey, checkpoint_of
from claviger.audit.stored import verify_stored
from claviger.audit.verify import Report
from claviger.audit.witness import read_witness
from claviger.bootstrap import House
from claviger.cli.output import EXIT_REFUSED, show_fields
from claviger.cli.session import data_option, in_house, json_option, settings_for
from claviger.core.clock import SystemClock
from claviger.core.errors import Invalid, Misconfigured
from claviger.store.opening import open_store


@click.group("audit")
def audit_commands() -> None:
    """What happened, in a log that nobody can change unnoticed."""


@audit_commands.command("verify")
@click.option(
    "--export", "exported", type=click.Path(dir_okay=False, path_type=Path), help="Verify this file, not the database."
)
@click.option(
    "--public-key", "given", help="The log's public key, or a file with it. Without, the server's own is used."
)
@click.option(
    "--witness",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The file of a witness, or what its webhook received, to see what it saw.",
)
@data_option
@json_option
def verify_command(
    exported: Path | None, given: str | None, witness: Path | None, data: Path | None, as_json: bool
) -> None:
    """Verifies every record, hash, checkpoint and signature, and names the first record that is bad.

    With --public-key no root key is needed; with --export no database either. Exit code 1 when something is wrong.
    """
    notes, broken = read_witness(witness) if witness is not None else ([], [])
    key = read_public_key(given) if given is not None else in_house(data, _public_key)
    began = time.perf_counter()
    if exported is not None:
        report = verify_export(exported, key, notes)
    else:
        report = asyncio.run(_verify_database(settings_for(data).store_url, key, notes))
    report.warnings += [f"line {number} of the witness is no checkpoint" for number in broken]
    if given is None:
        report.warnings.append(
            "the key came from the server itself: keep a copy elsewhere and give it with --public-key"
        )
    show_fields(_told(report, time.perf_counter() - began), as_json)
    if not report.good:
        click.echo(f"claviger: the audit log is not what was written: {report.finding}", err=True)
        raise click.exceptions.Exit(EXIT_REFUSED)


@audit_commands.command("export")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@data_option
@json_option
def export_command(file: Path, data: Path | None, as_json: bool) -> None:
    """Signs the log as it is and writes all of it to a new FILE, as JSON lines."""

    async def work(house: House) -> dict[str, object]:
        checkpoints = house.checkpoints
        await checkpoints.make()
        key = await checkpoints.public_key()
        return {"records": await export(house.store, key.name, file), "public_key": str(key), "file": str(file)}

    show_fields(in_house(data, work), as_json)


@audit_commands.command("public-key")
@data_option
def public_key_command(data: Path | None) -> None:
    """Prints the key that checkpoints are checked with. Keep it apart from the server."""
    click.echo(str(in_house(data, _public_key)))


@audit_commands.command("checkpoint")
@data_option
@json_option
def checkpoint_command(data: Path | None, as_json: bool) -> None:
    """Signs the log as it is now, shows that to the witness, and prints it."""

    async def work(house: House) -> tuple[str | None, PublicKey]:
        checkpoints = house.checkpoints
        return await checkpoints.make(), await checkpoints.public_key()

    note, key = in_house(data, work)
    if note is None:
        raise Invalid("AuditLogEmpty", fix="there is nothing to sign yet")
    if as_json:
        found = checkpoint_of(key.opened(note))
        show_fields({"size": found.size, "root": found.root.hex(), "at": found.at, "note": note}, as_json)
    else:
        click.echo(note, nl=False)


def read_public_key(given: str) -> PublicKey:
    """A public key as text, or from a file. Raises Invalid("PublicKey"), Misconfigured("PublicKeyFile")."""
    if "+" in given and not Path(given).exists():
        return PublicKey.parse(given)
    try:
        return PublicKey.parse(Path(given).read_text())
    except (OSError, UnicodeError):
        fix = "give the key as `claviger audit public-key` prints it, or a file with it"
        raise Misconfigured("PublicKeyFile", path=given, fix=fix) from None


async def _public_key(house: House) -> PublicKey:
    return await house.checkpoints.public_key()


async def _verify_database(url: str, key: PublicKey, notes: list[str]) -> Report:
    store = await open_store(url, SystemClock())
    try:
        return await verify_stored(store, key, notes)
    finally:
        await store.close()


def _told(report: Report, seconds: float) -> dict[str, object]:
    told: dict[str, object] = {
        "log": report.origin,
        "result": "good" if report.good else "bad",
        "records": report.record_count,
        "checkpoints": report.checkpoint_count,
        "signed_up_to": report.signed_count,
        "witnessed_up_to": report.witnessed_count,
        "root": report.root.hex(),
        "records_a_second": int(report.record_count / seconds) if seconds else 0,
    }
    if report.finding is not None:
        told |= {"problem": str(report.finding), **{f"bad_{k}": v for k, v in _place(report).items()}}
    return told | {"warnings": report.warnings}


def _place(report: Report) -> dict[str, object]:
    return {} if report.finding is None else {
        name: value for name, value in msgspec.structs.asdict(report.finding).items() if name != "problem"
    }  # fmt: skip
