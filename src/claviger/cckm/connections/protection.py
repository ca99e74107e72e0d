"""Where a connection leads, if protected vaults are reached by it, is not changed by one person.

Through a connection to a cloud of his own, somebody could have the backups of protected things exchanged for others,
and wait until what is deleted in the real cloud becomes final. Other credentials lead to the same cloud, so they need
nobody else.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from claviger.cckm.approvals.guarding import Guard, Wanted, Wish
from claviger.cckm.approvals.rules import Protection, version_of
from claviger.cckm.connections import records
from claviger.cckm.connections.records import Connected
from claviger.store.contract import Tx

CHANGE = "change-connection"

C = TypeVar("C", bound=Connected)


def require(tx: Tx, guard: Guard | None, kind: str, before: Connected, after: Any, leads: Sequence[str]) -> None:
    """Within the change of a connection: raises Wanted where it leads elsewhere and more people have to agree.

    `leads` are the fields of its details that say where.
    """
    others = [name for name in leads if getattr(before.details, name) != getattr(after, name)]
    if not others:
        return
    set_on = [Protection(*each).in_force for each in records.protections_reached(tx, before.id)]
    quorum = max((each for each in set_on if each is not None), default=None)
    if quorum is None:
        return
    wish = Wish(
        action=CHANGE,
        words=f"the connection {before.name}, by which protected vaults are reached, gets other {', '.join(others)}",
        kind=kind,
        ident=before.id,
        name=before.name,
        container_id=before.id,
        container_name=before.name,
        version=_version(before),
        quorum=quorum,
    )
    if guard is None:
        raise Wanted(wish)
    guard.require(tx, wish)


def version_now(tx: Tx, domain_id: str, ident: str) -> str | None:
    """The version of a connection, as requests for approval are bound to it; None where it is gone."""
    found = records.revision_of(tx, domain_id, ident)
    return None if found is None else version_of([ident, *found])


def _version(connection: Connected) -> str:
    return version_of([connection.id, connection.revision, connection.updated_at])


VERSIONS = {CHANGE: version_now}
"""What requests for approval about connections are bound to, by action."""
