"""The operations on keys: how each is done, asked after, and saved. By the names of their intents."""

from __future__ import annotations

from collections.abc import Mapping

from claviger.cckm.oci.keys import acts, asks, conclusions
from claviger.cckm.oci.keys.rules import Operation
from claviger.cckm.oci.keys.work import CREATE, Trade

KEY_TRADES: Mapping[str, Trade] = {
    CREATE: Trade(act=acts.create, ask=asks.created, save=conclusions.made),
    Operation.UPDATE.value: Trade(act=acts.update, ask=asks.updated, save=conclusions.changed, again="asked"),
    Operation.ENABLE.value: Trade(act=acts.enable, ask=asks.enabled, save=conclusions.changed),
    Operation.DISABLE.value: Trade(act=acts.disable, ask=asks.disabled, save=conclusions.changed),
    Operation.SCHEDULE_DELETION.value: Trade(act=acts.schedule_deletion, ask=asks.scheduled, save=conclusions.changed),
    Operation.CANCEL_DELETION.value: Trade(act=acts.cancel_deletion, ask=asks.cancelled, save=conclusions.changed),
    Operation.CHANGE_COMPARTMENT.value: Trade(act=acts.change_compartment, ask=asks.moved, save=conclusions.changed),
    Operation.RESTORE.value: Trade(act=acts.restore, ask=asks.restored, save=conclusions.changed),
    Operation.DELETE_BACKUP.value: Trade(
        act=acts.delete_backup, ask=asks.backup_deleted, save=conclusions.backup_gone, again="always"
    ),
    Operation.REMOVE.value: Trade(
        act=acts.delete_backup, ask=asks.backup_deleted, save=conclusions.removed, again="always"
    ),
}
