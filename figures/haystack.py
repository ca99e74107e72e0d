"""Everything that a server wrote, anywhere: its files, log and rows, what it shows, what the system shows of it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path

import psycopg
from psycopg import sql

from figures.needles import Needle, Search


class Haystack:
    """Pieces by the place where they were found."""

    def __init__(self) -> None:
        self.pieces: dict[str, bytes] = {}

    @property
    def size(self) -> int:
        """All bytes."""
        return sum(len(piece) for piece in self.pieces.values())

    def add(self, place: str, piece: bytes | str) -> None:
        """A piece more; what the place had before stays."""
        more = piece.encode("utf-8", "surrogateescape") if isinstance(piece, str) else piece
        self.pieces[place] = self.pieces.get(place, b"") + more + b"\n\0\n"

    def add_files(self, place: str, folder: Path, but: tuple[str, ...] = ()) -> None:
        """All files below a folder, the database's own among them; `but` those whose path in it begins so."""
        for path in sorted(folder.rglob("*")):
            inside = path.relative_to(folder).as_posix()
            if path.is_file() and not inside.startswith(but):
                with contextlib.suppress(FileNotFoundError):  # a running database tidies up
                    self.add(f"{place}/{inside}", path.read_bytes())

    def add_process(self, pid: int) -> None:
        """What any user of the machine, or of the same account, sees of a process and of those that it has started.

        Nothing where there is no /proc.
        """
        for name in ("cmdline", "environ"):
            path = Path(f"/proc/{pid}/{name}")
            if path.exists():
                self.add(f"process {name}", path.read_bytes())
        for path in Path(f"/proc/{pid}/task").glob("*/children"):
            for child in path.read_text().split():
                self.add_process(int(child))

    def add_tables(self, url: str) -> None:
        """Every row of every table of a PostgreSQL database, as text and as the bytes themselves."""
        with psycopg.connect(url) as connection:
            tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
            for (table,) in tables:
                for how in ("text", "binary"):
                    statement = sql.SQL("COPY {} TO STDOUT (FORMAT {})").format(sql.Identifier(table), sql.SQL(how))
                    with connection.cursor().copy(statement) as rows:
                        self.add(f"table {table}", b"".join(bytes(row) for row in rows))

    def places_of(self, needles: Iterable[Needle]) -> dict[int, list[str]]:
        """By the number of each needle that is in there, the places and what stands around it."""
        search = Search(needles)
        found: dict[int, list[str]] = {}
        for place, piece in self.pieces.items():
            for number, at in search.places_in(piece).items():
                found.setdefault(number, []).append(f"{place} at {at}: {piece[max(0, at - 40) : at + 40]!r}")
        return found
