"""Whether a caller may put something into a compartment: asked by all that is made in one, moved to one or restored.

Rights are those of a snapshot, which may be older than the transaction that uses it. So the compartment's row is asked
again there: changes of all processes come one after another, and nothing gets into a compartment that is deleted.
"""

from __future__ import annotations

from claviger.ocikms.calls import Call, Verb
from claviger.ocikms.errors import related_absent
from claviger.ocikms.identity import records
from claviger.store.contract import Tx

_WHAT = "The compartment"


def check_right(call: Call, compartment_id: str) -> None:
    """Raises Invalid("RelatedAbsent") for a compartment that is not there, or in which the caller may not manage."""
    if not call.sight.may(Verb.MANAGE, compartment_id):
        raise related_absent(_WHAT)


def check_place(tx: Tx, call: Call, compartment_id: str) -> None:
    """The same inside the change that puts something there; also for one that was deleted a moment ago."""
    check_right(call, compartment_id)
    if not records.is_standing(tx, compartment_id, call.caller.tenancy_num):
        raise related_absent(_WHAT)
