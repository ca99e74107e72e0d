"""The operations on the versions of secrets (OCI contract §10). A version is made by changing its secret."""

from __future__ import annotations

from collections.abc import Callable

from claviger.audit.trail import telling
from claviger.core.errors import Invalid, NotFound
from claviger.ocikms import states
from claviger.ocikms.calls import Answer, Call, Verb
from claviger.ocikms.changing import check_etag
from claviger.ocikms.errors import absent
from claviger.ocikms.listing import listed, page_of
from claviger.ocikms.secret_versions import records
from claviger.ocikms.secret_versions.records import Version
from claviger.ocikms.secrets import records as secrets
from claviger.ocikms.secrets import rules, wire
from claviger.ocikms.secrets.changes import Empty, check_state, deletion_at, seen, visible
from claviger.ocikms.secrets.records import Secret
from claviger.ocikms.secrets.rules import Operation
from claviger.ocikms.secrets.shown import shown_version, shown_version_listed, version_etag
from claviger.ocikms.texts import read_body
from claviger.store.contract import Store, Tx

Act = Callable[[Tx, Secret, Version], tuple[str, float | None]]
"""The state and the date of deletion that a version gets."""


class SecretVersions:
    """The operations."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def get(self, call: Call) -> Answer:
        """GetSecretVersion. Raises NotFound."""
        secret = await visible(self._store, call, Verb.READ)
        version = _there(await records.find(self._store, secret.num, _number(call)), secret, call.now)
        return Answer(body=shown_version(secret, version), etag=version_etag(secret, version, call.now))

    async def list(self, call: Call) -> Answer:
        """ListSecretVersions: all that are not deleted. Raises NotFound, Invalid."""
        page = page_of(call, rules.VERSION_ORDERS)
        secret = await visible(self._store, call, Verb.INSPECT)
        if secret.shown_at(call.now) == states.DELETED:
            return Answer(body=[], limit=page.limit)
        found = await records.page(self._store, secret.num, page, call.now)
        return listed(
            page,
            found,
            lambda version: (float(version.number), version.num),
            lambda version: shown_version_listed(secret, version),
        )

    async def schedule_deletion(self, call: Call) -> Answer:
        """ScheduleSecretVersionDeletion, of a DEPRECATED one, 1 to 30 days from now.

        Raises NotFound, Conflict, Invalid.
        """
        body = read_body(call.body, wire.ScheduleDeletionDetails)

        def act(tx: Tx, secret: Secret, version: Version) -> tuple[str, float | None]:
            rules.check_version_state(version.number, version.shown_at(call.now), rules.ACTIVE)
            rules.check_deletable(version.number, secret.marks)
            rules.check_room_pending(records.count(tx, secret.num, states.PENDING_DELETION, call.now))
            return states.PENDING_DELETION, deletion_at(body, call.now)

        return await self._store.write(_changed(act, call, Operation.SCHEDULE_VERSION))

    async def cancel_deletion(self, call: Call) -> Answer:
        """CancelSecretVersionDeletion. Raises NotFound, Conflict, Invalid."""
        read_body(call.body, Empty)

        def act(tx: Tx, secret: Secret, version: Version) -> tuple[str, float | None]:
            rules.check_version_state(version.number, version.shown_at(call.now), states.PENDING_DELETION)
            rules.check_room(records.count(tx, secret.num, rules.ACTIVE, call.now))
            return rules.ACTIVE, None

        return await self._store.write(_changed(act, call, Operation.CANCEL_VERSION))


def _changed(act: Act, call: Call, operation: Operation) -> Callable[[Tx], Answer]:
    """The change of one version, with all that comes before it; it makes a new etag of its secret too."""
    number = _number(call)

    def change(tx: Tx) -> Answer:
        secret = seen(call, secrets.by_id_in(tx, call.path["secretId"]), Verb.MANAGE)
        version = _there(records.find_in(tx, secret.num, number), secret, call.now)
        telling(version=number)
        check_etag(call, version_etag(secret, version, call.now))
        check_state(call, secret, operation)
        state, deletes_at = act(tx, secret, version)
        records.set_state(tx, version.num, state, deletes_at)
        secrets.touch(tx, secret.num, call.now)
        after = seen(call, secrets.by_id_in(tx, secret.id), Verb.MANAGE)
        return Answer(
            etag=version_etag(after, _there(records.find_in(tx, secret.num, number), after, call.now), call.now),
            subject=secret.id,
            compartment_id=secret.compartment_id,
        )

    return change


def _number(call: Call) -> int:
    """The version's number in the path. Raises NotFound("MalformedPath") for what is none (§14.2)."""
    try:
        return rules.number_of(call.path["secretVersionNumber"], "secretVersionNumber")
    except Invalid as refusal:
        raise NotFound("MalformedPath", **refusal.facts) from None


def _there(version: Version | None, secret: Secret, now: float) -> Version:
    """The version, if it is not deleted. Raises NotFound."""
    if version is None or states.DELETED in (version.shown_at(now), secret.shown_at(now)):
        raise absent("Secret version")
    return version
