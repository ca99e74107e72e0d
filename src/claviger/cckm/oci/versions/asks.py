"""How the cloud is asked what happened to an operation on a version, as for keys (`keys/asks.py`)."""

from __future__ import annotations

from claviger.cckm.oci.keys.cloud import CloudVersion, VaultKeys
from claviger.cckm.oci.keys.rules import State, state_of
from claviger.cckm.oci.keys.work import SKEW_S, Doubt, Outcome, Work, settling

_CLOSE_S = 1.0
EXTERNAL = "EXTERNAL"
_ENDING = frozenset({State.SCHEDULING_DELETION, State.PENDING_DELETION, State.DELETING, State.DELETED})


async def added(cloud: VaultKeys, work: Work, doubt: Doubt) -> Outcome | None:
    """A version that was not known, made since the intent: that is ours.

    While the token is good, sending it again tells, and makes nothing twice.
    """
    if not doubt.by_reading:
        return None
    found = [
        each
        for each in await cloud.versions(work.ocid)
        if each.ocid not in work.known_ocids and each.created_at >= work.begun_at - SKEW_S and _fits(each, work)
    ]
    if not found:
        return None
    first = min(found, key=lambda each: each.created_at)
    return Outcome(versions=(await cloud.version(work.ocid, first.ocid),))


def _fits(found: CloudVersion, work: Work) -> bool:
    """OCI shows some uploaded versions of RSA keys as its own (CCKM contract, OCI §6.2), never the other way round."""
    return bool(work.source_key_id) or found.origin != EXTERNAL


async def scheduled(cloud: VaultKeys, work: Work, _: Doubt) -> Outcome | None:
    """Waiting for its deletion, whoever has scheduled it. Enabled says that nothing happened."""
    version = await cloud.version(work.ocid, work.version_ocid)
    state = state_of(version.state)
    if state in _ENDING:
        return Outcome(versions=(version,))
    if state in (State.ENABLED, State.DISABLED):
        return None
    raise settling("OCI is still changing the version's state")


async def cancelled(cloud: VaultKeys, work: Work, _: Doubt) -> Outcome | None:
    """Not waiting any more. With another date it was scheduled anew, and that is left alone."""
    version = await cloud.version(work.ocid, work.version_ocid)
    state = state_of(version.state)
    if state is State.PENDING_DELETION:
        return Outcome(versions=(version,), differs=True) if _is_another_date(version, work) else None
    return Outcome(versions=(version,), differs=state in _ENDING)


def _is_another_date(version: CloudVersion, work: Work) -> bool:
    if version.deletes_at is None or work.deletes_at is None:
        return False
    return abs(version.deletes_at - work.deletes_at) > _CLOSE_S
