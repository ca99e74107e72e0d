"""What all changes of a secret that is there have in common, and those of its versions too (OCI contract §10).

First whether the caller may see the secret, then the retry token, the etag, the state of the secret and of its vault;
then the change itself, which may find values that cannot be used.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from claviger.audit.trail import about, telling
from claviger.ocikms import states
from claviger.ocikms.calls import Answer, Call, Verb
from claviger.ocikms.changing import Change, Standing, check_etag, once
from claviger.ocikms.errors import absent
from claviger.ocikms.secrets import records, rules, wire
from claviger.ocikms.secrets.records import Secret
from claviger.ocikms.secrets.rules import Operation
from claviger.ocikms.secrets.shown import answered, answered_bare
from claviger.ocikms.texts import read_time, written
from claviger.ocikms.vaults import rules as vault_rules
from claviger.store.contract import Store, Tx

Act = Callable[[Tx, Secret], Secret]
"""Makes of a secret the changed one; what it raises leaves all as it was."""


def seen(call: Call, secret: Secret | None, verb: Verb) -> Secret:
    """The secret, if the caller may do `verb` where it lies, and it is of the region that was asked.

    Raises NotFound as if there were none. From here on the record of the call is about the secret.
    """
    if secret is None or (secret.tenancy_num, secret.region) != (call.caller.tenancy_num, call.place.region):
        raise absent("Secret")
    call.require(verb, secret.compartment_id, "Secret")
    about("secret", secret.id, secret.name, secret.vault.id)
    return secret


async def visible(store: Store, call: Call, verb: Verb) -> Secret:
    """The secret of the call's path. Raises NotFound."""
    return seen(call, await records.find(store, call.path["secretId"]), verb)


def standing_at(now: float) -> Standing:
    """Where a secret is that a retry token was used for; deleted is gone."""

    def standing(tx: Tx, secret_id: str) -> str | None:
        secret = records.by_id_in(tx, secret_id)
        return None if secret is None or secret.shown_at(now) == states.DELETED else secret.compartment_id

    return standing


def changed(act: Act, call: Call, operation: Operation, verb: Verb, showing: str = "") -> Change:
    """The change of one secret that is there already, with all that comes before the change itself.

    The answer shows the secret in the state `showing`; without one it has no body. Raises NotFound,
    Conflict("RetryToken", "Etag", "WrongState") and what the act raises.
    """

    def change(tx: Tx) -> Answer:
        secret = seen(call, records.by_id_in(tx, call.path["secretId"]), verb)

        def acted(tx: Tx) -> Answer:
            check_etag(call, secret.etag_at(call.now))
            check_state(call, secret, operation)
            after = act(tx, secret)
            after = msgspec.structs.replace(after, revision=secret.revision + 1, updated_at=call.now)
            records.replace(tx, after)
            return answered(call, after, showing) if showing else answered_bare(call, after)

        return once(call, acted, standing_at(call.now))(tx)

    return change


def check_state(call: Call, secret: Secret, operation: Operation) -> None:
    """Raises Conflict("WrongState") where the secret, or its vault, is in a state that does not allow a change."""
    rules.decide(operation, secret.shown_at(call.now), secret.id)
    vault_rules.decide(vault_rules.Operation.FILL, secret.vault.shown_at(call.now), secret.vault.id)


def deletion_at(body: wire.ScheduleDeletionDetails, now: float) -> float:
    """When a secret or a version is to be deleted. Raises Invalid outside 1 to 30 days."""
    asked = read_time("timeOfDeletion", body.time_of_deletion)
    deletes_at = states.deletion_at(asked, now, least_days=rules.LEAST_DAYS, most_days=rules.MOST_DAYS)
    telling(time_of_deletion=written(deletes_at))
    return deletes_at


class Empty(msgspec.Struct):
    """The body of an operation that has none."""
