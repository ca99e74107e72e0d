"""An audit log as a file of JSON lines, to be kept elsewhere and verified without the server.

The first line says what the file is; then come the records in their order, each checkpoint behind the last record that
it covers; the last line says how many records there are and their root. Every line has exactly one form, byte for byte.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from claviger.audit import proofs, records
from claviger.audit.signed_note import PublicKey
from claviger.audit.verify import Checker, Finding, Found, Report
from claviger.core.errors import Misconfigured
from claviger.store.contract import Store

FORMAT = 1
PAGE = 2_000
LONGEST_LINE = 1024 * 1024


class _Record(msgspec.Struct, forbid_unknown_fields=True):
    """The line of a record."""

    seq: int
    hashes: bytes
    record: msgspec.Raw


class _Line(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """Any of the other lines; which one, the fields that are there tell."""

    claviger_audit_log: int | None = None
    origin: str | None = None
    checkpoint: str | None = None
    size: int | None = None
    root: bytes | None = None


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(_Line)
_record_decoder = msgspec.json.Decoder(_Record)
_RECORD = b'{"seq":'


def record_line(seq: int, hashes: bytes, body: bytes) -> bytes:
    """The line of a record; its canonical bytes stand in it as they are."""
    return b'{"seq":%d,"hashes":"%b","record":%b}\n' % (seq, base64.b64encode(hashes), body)


async def export(store: Store, origin: str, path: Path) -> int:
    """Writes all records there are now to a new file that only its owner may read; how many.

    Raises Misconfigured("AuditExport") for a file that is there already or cannot be written.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            size = (await records.head(store)).size
            file.write(_encoder.encode(_Line(claviger_audit_log=FORMAT, origin=origin)) + b"\n")
            done, signed = 0, -1
            while True:
                notes = await records.checkpoints_after(store, signed, PAGE)
                end = min(size, notes[-1][0]) if len(notes) == PAGE else size
                behind = dict(notes)
                while done < end:
                    rows = await records.rows_after(store, done - 1, min(PAGE, end - done))
                    if not rows:
                        break
                    for row in rows:
                        file.write(record_line(row.seq, row.hashes, row.body))
                        if row.seq + 1 in behind:
                            file.write(_encoder.encode(_Line(checkpoint=behind[row.seq + 1])) + b"\n")
                    done = rows[-1].seq + 1
                if len(notes) < PAGE or end == size or done < end:
                    break
                signed = notes[-1][0]
            root = await proofs.root_at(store, size)
            file.write(_encoder.encode(_Line(size=size, root=root)) + b"\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        fix = "name a file that does not exist yet, in a folder that may be written"
        raise Misconfigured("AuditExport", path=str(path), problem=error.strerror, fix=fix) from None
    return size


def verify_export(path: Path, key: PublicKey, notes: Iterable[str] = ()) -> Report:
    """Verifies an export with a public key and what witnesses have kept. Raises Misconfigured("AuditExport")."""
    checker = Checker(key)
    try:
        checker.expect(notes)
        check_export(path, checker)
    except Found as found:
        return checker.report(found.finding)
    return checker.report(None)


def check_export(path: Path, checker: Checker) -> None:
    """Feeds an export to a checker. Raises Found, and Misconfigured("AuditExport") for a file that cannot be read."""
    ended = False
    last_note = ""
    for number, raw in _lines(path):
        line = _read(number, raw)
        if ended:
            raise Found(Finding(f"line {number} of the export stands behind its end"))
        if number == 1:
            if isinstance(line, _Record) or line.claviger_audit_log != FORMAT or raw != _encoder.encode(line) + b"\n":
                raise Found(Finding("line 1 of the export does not say that this is an export of an audit log"))
        elif isinstance(line, _Record):
            body = bytes(line.record)
            if record_line(line.seq, line.hashes, body) != raw:
                raise checker.found_in(line.seq, f"is not in the form of an export, in line {number}")
            checker.record(line.seq, body, line.hashes)
        elif raw != _encoder.encode(line) + b"\n":
            raise Found(Finding(f"line {number} of the export is not in its form"))
        elif line.checkpoint is not None:
            if line.checkpoint == last_note:
                raise Found(Finding(f"line {number} of the export is there twice"))
            checker.checkpoint(checker.size, line.checkpoint)
            last_note = line.checkpoint
        elif line.size is not None and line.root is not None:
            checker.end(line.size, None, line.root)
            ended = True
        else:
            raise Found(Finding(f"line {number} of the export is none of an export"))
    if not ended:
        raise checker.found_in(checker.size, "is missing: the export has no end")


def _read(number: int, raw: bytes) -> _Record | _Line:
    try:
        return _record_decoder.decode(raw) if raw.startswith(_RECORD) else _decoder.decode(raw)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        raise Found(Finding(f"line {number} of the export is not readable")) from None


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    try:
        with path.open("rb") as file:
            number = 1
            while line := file.readline(LONGEST_LINE):
                yield number, line
                number += 1
    except OSError as error:
        raise Misconfigured(
            "AuditExport", path=str(path), problem=error.strerror, fix="name a file that may be read"
        ) from None
