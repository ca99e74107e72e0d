"""Facets: the sets of facts that lists of secrets filter by, how many rows have each, and which tags those rows have.

A list sums the counts of the facets that match, so it knows its total without looking at rows. That holds because every
insert, change and removal of rows (`secrets/records.py`) tells a `Tally` of it, which is saved in the same transaction.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from claviger.cckm.records import ROWS_AT_ONCE, bump_secrets_revision, marks, portions
from claviger.store.contract import Tx

_COLUMNS = "domain_id, vault_num, status, soft_deleted, gone, enabled, managed, origin, latest, sole"


class Facet(NamedTuple):
    """What rows are counted by."""

    domain_id: str
    vault_num: int
    status: str
    soft_deleted: bool
    gone: bool
    enabled: bool
    managed: bool
    origin: str
    latest: bool
    sole: bool


class Tally:
    """The facets that one change meets, and by how much their counts move. One that no row has any more goes."""

    def __init__(self, tx: Tx) -> None:
        self._tx = tx
        self._ids: dict[Facet, int] = {}
        self._moved: Counter[int] = Counter()
        self._tags: Counter[tuple[str, str, int]] = Counter()

    def id_of(self, facet: Facet) -> int:
        """The id of a facet, which is made where there is none yet."""
        found = self._ids.get(facet)
        if found is None:
            found = self._ids[facet] = self._find(facet)
        return found

    def count(self, facet_id: int, tags: Mapping[str, str], by: int) -> None:
        """Counts one row more or less of a facet, with its tags."""
        self._moved[facet_id] += by
        for name, value in tags.items():
            self._tags[name, value, facet_id] += by

    def save(self) -> None:
        """Moves the counts, and the revision by which lists know that something has changed."""
        if not self._moved:
            return
        bump_secrets_revision(self._tx)
        for facet_id, by in self._moved.items():
            if by:
                self._tx.execute("UPDATE cckm_azure_secret_facets SET count = count + ? WHERE id = ?", by, facet_id)
        for facet_id in self._moved:
            self._tx.execute("DELETE FROM cckm_azure_secret_facets WHERE id = ? AND count = 0", facet_id)
        for tag, by in self._tags.items():
            if by > 0:
                self._tx.execute(
                    "INSERT INTO cckm_azure_secret_tag_counts (name, value, facet_id, count) VALUES (?, ?, ?, ?) "
                    "ON CONFLICT (name, value, facet_id) "
                    "DO UPDATE SET count = cckm_azure_secret_tag_counts.count + excluded.count",
                    *(*tag, by),
                )
            elif by < 0:
                where = "WHERE name = ? AND value = ? AND facet_id = ?"
                self._tx.execute(f"UPDATE cckm_azure_secret_tag_counts SET count = count + ? {where}", by, *tag)
                self._tx.execute(f"DELETE FROM cckm_azure_secret_tag_counts {where} AND count = 0", *tag)

    def _find(self, facet: Facet) -> int:
        where = " AND ".join(f"{name} = ?" for name in _COLUMNS.split(", "))
        row = self._tx.fetch_one(f"SELECT id FROM cckm_azure_secret_facets WHERE {where}", *facet)
        if row is not None:
            return int(row[0])
        return self._tx.insert(
            f"INSERT INTO cckm_azure_secret_facets ({_COLUMNS}, count) VALUES ({marks(facet)}, 0) RETURNING id", *facet
        )


def put_tags(tx: Tx, tagged: Iterable[tuple[int, Mapping[str, str]]]) -> None:
    """Stores the tags of rows that have none yet, by the nums of the rows."""
    flat = [(num, name, value) for num, tags in tagged for name, value in tags.items()]
    for portion in portions(flat, ROWS_AT_ONCE):
        tx.execute(
            "INSERT INTO cckm_azure_secret_tags (secret_num, name, value) "
            f"VALUES {', '.join(['(?, ?, ?)'] * len(portion))}",
            *(part for tag in portion for part in tag),
        )


def replace_tags(tx: Tx, num: int, tags: Mapping[str, str]) -> None:
    """Stores the tags of a row in place of those it has."""
    tx.execute("DELETE FROM cckm_azure_secret_tags WHERE secret_num = ?", num)
    put_tags(tx, [(num, tags)])
