"""GET /keys: filters, sorting and paging (CCKM contract, OCI §5.5).

Different filters are ANDed, values of one are ORed; `*` stands for any characters, in any case, and of names case
never counts. What few keys have is found by an index; other lists are kept in their order (`ordered.py`).
"""

from __future__ import annotations

from collections.abc import Sequence

from claviger.cckm.calls import Parameter, Query
from claviger.cckm.errors import validation
from claviger.cckm.listing import Page, sort_of, window_of
from claviger.cckm.oci.keys import records
from claviger.cckm.oci.keys.ordered import FEW, Orders
from claviger.cckm.oci.keys.records import COLUMNS, NOTHING, ORDERS, Wanted, among, any_of, matching, order
from claviger.cckm.oci.keys.showing import shown
from claviger.store.contract import Store

OF_EXTERNAL = (
    "local_hyok_key_id",
    "local_hyok_key_version_id",
    "local_key_store_id",
    "linked_state",
    "blocked",
    "state",
)
_SAYS = {
    "id": "Id of the record.",
    "key_name": "Name of the key, in any case; `*` stands for any characters.",
    "display_name": "The same as `key_name`.",
    "length": "Length in bytes.",
    "key_id": "OCID of the key.",
    "cckm_vault_id": "Id of the vault's record.",
    "job_config_id": "Keys that this job configuration rotates.",
    "gone": "Whether OCI no longer had the key when it was last asked.",
}
_NAMES = frozenset({"k.compartment_name", "v.display_name", "v.tenancy_name"})
"""Are found in any case, as those of keys are, which have a column in small letters for it."""
_OWN = ("id", "key_id", "key_name", "display_name")
"""What hardly two keys have in common; there is an index of each."""
FILTERS = (
    *(
        Parameter(name, "boolean" if name == "gone" else "string", _SAYS.get(name, ""), repeated=True)
        for name in COLUMNS
    ),
    Parameter("vault_id", description="OCID of the vault, or id of its record.", repeated=True),
    *(
        Parameter(name, description="Of external keys, of which this server has none.", repeated=True)
        for name in OF_EXTERNAL
    ),
)


class KeyLists:
    """Lists of the keys in one store. Keep it: it remembers."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._orders = Orders(store)

    async def page(self, domain_id: str, query: Query, containers: frozenset[str] | None) -> Page:
        """One page of the domain's keys, of those in `containers` (ids of vaults; None: all). Raises Invalid."""
        window = window_of(query)
        sorts = sort_of(query, ORDERS, "createdAt")
        wanted = wanted_of(query)
        if containers is not None:
            wanted.append(among("v.id", sorted(containers)))
        if NOTHING in wanted:
            return Page(window.skip, window.limit, 0, [])
        total = await records.count(self._store, domain_id, wanted) if _is_exact(query) else FEW + 1
        if total <= FEW:
            count = window.count_of(total)
            orders = [order(name, descending) for name, descending in sorts]
            found = await records.page(self._store, domain_id, wanted, orders, window.skip, count) if count else []
        else:
            ordered = await self._orders.of(domain_id, wanted, sorts)
            total = len(ordered)
            nums = ordered.nums(window.skip, window.count_of(total))
            found = await records.views(self._store, domain_id, nums, wanted)
        return Page(window.skip, window.limit, total, [shown(each) for each in found])


def _is_exact(query: Query) -> bool:
    """Whether something is asked for that few keys have, as a rule."""
    return any(query.all(name) and not any("*" in word for word in query.all(name)) for name in _OWN)


def wanted_of(query: Query) -> list[Wanted]:
    """The conditions that a query states. Raises Invalid("Validation")."""
    found = []
    for name, column in COLUMNS.items():
        words = query.all(name)
        if not words:
            continue
        if name == "gone":
            found.append(_flags(name, column, words))
        elif name == "length":
            found.append(among(column, _numbers(words)))
        elif column == "k.name":
            found.append(matching("k.name_key", [word.lower() for word in words]))
        else:
            found.append(matching(column, words, any_case=column in _NAMES))
    vault_words = query.all("vault_id")
    if vault_words:
        either = [matching(column, vault_words) for column in ("v.ocid", "v.id")]
        found.append(any_of(either))
    found += [NOTHING for name in OF_EXTERNAL if query.all(name)]
    return found


def _flags(name: str, column: str, words: Sequence[str]) -> Wanted:
    if not set(words) <= {"true", "false"}:
        raise validation({name: "must be true or false"})
    return among(column, sorted({int(word == "true") for word in words}))


def _numbers(words: Sequence[str]) -> list[int]:
    return sorted({int(word) for word in words if word.isascii() and word.isdigit() and len(word) < 10})
