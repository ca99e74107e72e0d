"""`claviger export` and `claviger import`: whole vaults as files, beside a running server or without one."""

from __future__ import annotations

import contextlib
import os
import stat
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import click

from claviger.audit.trail import BEGUN, DONE, about, staged, telling
from claviger.bootstrap import House
from claviger.cli.output import EXIT_REFUSED, moment, show_fields
from claviger.cli.session import data_option, in_house, json_option
from claviger.core.errors import Conflict, Misconfigured
from claviger.core.sensitive import Sensitive
from claviger.crypto.key_file import passphrase_from_file
from claviger.keyvault.moving import records
from claviger.keyvault.moving.archive import (
    ArchiveWriter,
    ByPassphrase,
    ByServer,
    Lock,
    is_archive,
    open_archive,
)
from claviger.keyvault.moving.arrival import Asked
from claviger.keyvault.moving.document import (
    MAX_DOCUMENT,
    Document,
    Outline,
    decoded,
    json_of,
    no_references,
)
from claviger.keyvault.moving.document_writer import DocumentWriter
from claviger.keyvault.moving.importing import Imported, Imports, OnConflict
from claviger.keyvault.moving.operations import Exports
from claviger.keyvault.moving.reading import Source
from claviger.keyvault.moving.wire import ArchivedEnd
from claviger.keyvault.vaults.operations import show_vault
from claviger.settings import Settings, load_settings

passphrase_option = click.option(
    "--passphrase-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A file whose first line is the archive's passphrase (CLAVIGER_ARCHIVE_PASSPHRASE_FILE).",
)


@click.command("export")
@click.argument("vault")
@click.option("--to", "target", required=True, type=click.Path(dir_okay=False, path_type=Path), help="The new file.")
@passphrase_option
@click.option(
    "--for-this-server", is_flag=True, help="Seal it so that only this server can read it, without passphrase."
)
@click.option("--plain-json", is_flag=True, help="Write every value in the clear, as JSON to read and edit.")
@click.option("--rights", is_flag=True, help="Include the vault's role assignments and access policies.")
@click.option("--force", is_flag=True, help="Overwrite the file if it is there.")
@data_option
@json_option
def export_command(
    vault: str,
    target: Path,
    passphrase_file: Path | None,
    for_this_server: bool,
    plain_json: bool,
    rights: bool,
    force: bool,
    data: Path | None,
    as_json: bool,
) -> None:
    """Writes VAULT with all its secrets, versions and deleted secrets into a file.

    The file is sealed under the passphrase in CLAVIGER_ARCHIVE_PASSPHRASE or in --passphrase-file, unless told
    otherwise. A server may go on serving meanwhile.
    """
    if plain_json and (for_this_server or passphrase_file):
        raise click.UsageError("--plain-json is sealed for nobody: leave the other option out")
    settings = load_settings(data=data)
    passphrase = None if plain_json or for_this_server else _passphrase(settings, passphrase_file)

    async def work(house: House) -> dict[str, object]:
        found = await show_vault(house.store, vault)
        about("vault", found.path, found.name, found.resource_group)
        telling(form="plain" if plain_json else "for this server" if for_this_server else "sealed", rights=rights)
        staged(BEGUN)
        await house.tell()  # before the first value is in the file
        exports = Exports(house.store, house.keyring, house.clock)
        for name, began_at in await records.unfinished_imports(house.store):
            if name == found.name:
                click.echo(f"claviger: an import into {name} began {moment(began_at)} and has not ended", err=True)
        with _new_file(target, force) as file:
            writer: DocumentWriter | ArchiveWriter
            if plain_json:
                writer = DocumentWriter(file)
            else:
                lock: Lock = ByServer(house.store, house.keyring, house.clock)
                writer = await ArchiveWriter.begun(file, ByPassphrase(passphrase) if passphrase else lock)
            async for entry in exports.entries(found, rights=rights):
                writer.add(entry)
                end = entry
            writer.close()
        staged(DONE)
        counts = (end.secrets, end.versions) if isinstance(end, ArchivedEnd) else (0, 0)
        return {"vault": found.name, "file": str(target), "secrets": counts[0], "versions": counts[1]}

    told = in_house(data, work, "Export a vault", reveals=True)
    if plain_json:
        click.echo(f"claviger: {target} holds every value in the clear; whoever can read it has them", err=True)
    show_fields({**told, "sealed": "no" if plain_json else "for this server" if for_this_server else "yes"}, as_json)


@click.command("import")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--vault", help="The vault to import into, made if it is not there (default: the one exported).")
@click.option("--tenant", help="The tenant of a vault to be made: id, domain or name (default: as it was, if here).")
@click.option(
    "--on-conflict",
    type=click.Choice(["refuse", "skip"]),
    default="refuse",
    show_default=True,
    help="What to do about secrets that are there already and differ: import nothing, or leave them as they are.",
)
@click.option("--rights", is_flag=True, help="Give the role assignments and access policies in the file, too.")
@passphrase_option
@data_option
@json_option
def import_command(
    file: Path,
    vault: str | None,
    tenant: str | None,
    on_conflict: OnConflict,
    rights: bool,
    passphrase_file: Path | None,
    data: Path | None,
    as_json: bool,
) -> None:
    """Brings in what `claviger export` has written, or a JSON document written by hand.

    First the whole file is read and compared with what is there; nothing changes unless all of it can be imported. Run
    again, an import that was cut short goes on where it stopped, and one that was complete changes nothing.
    """
    settings = load_settings(data=data)

    async def work(house: House) -> Imported:
        with _opened(file) as content:
            source = await _source(content, house, lambda: _passphrase(settings, passphrase_file))
            asked = Asked(vault=vault, tenant=tenant, rights=rights)
            return await Imports(house.store, house.keyring, house.clock).run(source, asked, on_conflict)

    show_fields(_told(_interruptible(data, work)), as_json)


def _interruptible(data: Path | None, work: Callable[[House], Awaitable[Imported]]) -> Imported:
    try:
        return in_house(data, work, "Import a vault")
    except KeyboardInterrupt:
        click.echo("claviger: interrupted; if it had begun to write, the import is unfinished", err=True)
        click.echo("  fix: run the same import again: it goes on where it stopped", err=True)
        sys.exit(EXIT_REFUSED)


def _told(done: Imported) -> dict[str, object]:
    told: dict[str, object] = {
        "vault": done.vault,
        "created": done.created,
        "secrets_imported": done.new,
        "secrets_continued": done.grown,
        "secrets_already_there": done.same,
        "secrets_skipped": done.skipped,
        "secrets_past_their_purge_date": done.lapsed,
        "versions_stored": done.versions,
        "rights_given": done.rights,
    }
    return {**told, "skipped": done.skipped_names} if done.skipped else told


def _passphrase(settings: Settings, given: Path | None) -> Sensitive:
    """Raises Misconfigured where there is none."""
    path = given or settings.archive_passphrase_file
    if path is not None:
        return passphrase_from_file(path)
    if settings.archive_passphrase is None:
        raise Misconfigured(
            "ArchivePassphraseNeeded",
            fix="set CLAVIGER_ARCHIVE_PASSPHRASE, or name a file with --passphrase-file; an export takes "
            "--for-this-server instead",
        )
    return settings.archive_passphrase


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """Raises Misconfigured("FileUnreadable")."""
    try:
        file = path.open("rb")
    except OSError as failure:
        raise _unusable("FileUnreadable", path, failure) from None
    with file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise Misconfigured("FileUnreadable", path=path, fix="name a plain file: it is read twice")
        yield file


async def _source(file: BinaryIO, house: House, passphrase: Callable[[], Sensitive]) -> Source:
    start = file.read(64)
    if is_archive(start):
        return await open_archive(
            file,
            passphrase=passphrase,
            server_key=ByServer(house.store, house.keyring, house.clock).open,
        )
    if start.lstrip()[:1] != b"{":
        raise Misconfigured("NotAnArchive", fix="name a file that claviger export has written, or a JSON document")
    content = start + file.read(MAX_DOCUMENT)
    if len(content) > MAX_DOCUMENT:
        raise Misconfigured("DocumentTooLarge", most=MAX_DOCUMENT, fix="move a vault of this size as a sealed archive")
    outline = decoded(json_of(content), Outline, "$")
    return Document(outline, now=int(house.clock.now()), resolve=no_references)


@contextlib.contextmanager
def _new_file(path: Path, force: bool) -> Iterator[BinaryIO]:
    """A file only its owner may read, which appears under its name when it is whole and on disk.

    Raises Conflict("FileExists"), Misconfigured("FileUnwritable").
    """
    if path.exists() and not force:
        raise Conflict("FileExists", path=path, fix="name another file, or overwrite this one with --force")
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError as failure:
        raise _unusable("FileUnwritable", path, failure) from None
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        _put_in_place(beside, path, force)
    except FileExistsError:
        raise Conflict("FileExists", path=path, fix="name another file, or overwrite this one with --force") from None
    except OSError as failure:
        raise _unusable("FileUnwritable", path, failure) from None
    finally:
        beside.unlink(missing_ok=True)


def _put_in_place(beside: Path, path: Path, force: bool) -> None:
    """Raises FileExistsError for a file that appeared meanwhile, unless it is to be replaced."""
    if not force:
        try:
            path.hardlink_to(beside)
        except FileExistsError:
            raise
        except OSError:  # a file system without links: nothing better is to be had there
            if path.exists():
                raise FileExistsError from None
        else:
            return
    beside.replace(path)


def _unusable(reason: str, path: Path, failure: OSError) -> Misconfigured:
    problem = failure.strerror or type(failure).__name__
    return Misconfigured(reason, path=path, problem=problem, fix="name a file and a directory that you may use")
