"""GET /keys: filters, sorting and paging, done by the database (CCKM contract, OCI §5.5).

Different filters are ANDed, values of one are ORed; `*` stands for any characters, in any case, and of names case
never counts.
"""

from __future__ import annotations

from collections.abc import Sequence

from claviger.cckm.calls import Parameter, Query
from claviger.cckm.errors import validation
from claviger.cckm.listing import Page, sort_of, window_of
from claviger.cckm.oci.keys import records
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


async def page(store: Store, domain_id: str, query: Query, containers: frozenset[str] | None) -> Page:
    """One page of the domain's keys, of those in `containers` (ids of vaults; None: all). Raises Invalid."""
    window = window_of(query)
    orders = [order(name, descending) for name, descending in sort_of(query, ORDERS, "createdAt")]
    wanted = wanted_of(query)
    if containers is not None:
        wanted.append(among("v.id", sorted(containers)))
    total = await records.count(store, domain_id, wanted)
    count = window.count_of(total)
    found = await records.page(store, domain_id, wanted, orders, window.skip, count) if count else []
    return Page(window.skip, window.limit, total, [shown(each) for each in found])


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
