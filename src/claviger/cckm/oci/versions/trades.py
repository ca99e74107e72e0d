"""The operations on versions: how each is done, asked after, and saved. By the names of their intents."""

from __future__ import annotations

from collections.abc import Mapping

from claviger.cckm.oci.keys.work import Trade
from claviger.cckm.oci.versions import acts, asks, conclusions
from claviger.cckm.oci.versions.rules import ADD, Operation

VERSION_TRADES: Mapping[str, Trade] = {
    ADD: Trade(act=acts.add, ask=asks.added, save=conclusions.added),
    Operation.SCHEDULE_DELETION.value: Trade(act=acts.schedule_deletion, ask=asks.scheduled, save=conclusions.changed),
    Operation.CANCEL_DELETION.value: Trade(act=acts.cancel_deletion, ask=asks.cancelled, save=conclusions.changed),
}
