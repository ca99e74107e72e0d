"""The routes of backups and restores. A restore from a file takes raw bytes, whatever their content type says (§4)."""

from __future__ import annotations

from claviger.ocikms.backups.locations import Locations
from claviger.ocikms.backups.operations import Backups
from claviger.ocikms.backups.restoring import Restores
from claviger.ocikms.backups.sealed_file import SealedFiles
from claviger.ocikms.calls import Body, Handler, Plane, Route, Verb
from claviger.ocikms.hosts import OciHosts
from claviger.ocikms.vaults.operations import Vaults
from claviger.sealing.keyring import Keyring
from claviger.store.contract import Store

_VAULTS, _KEYS = "/20180608/vaults", "/20180608/keys"


class BackupRoutes:
    """Backups and restores as HTTP."""

    def __init__(
        self, store: Store, keyring: Keyring, hosts: OciHosts, vaults: Vaults, *, settle_s: float = 0.0
    ) -> None:
        files, locations = SealedFiles(store, keyring), Locations(store, hosts)
        self._backups = Backups(store, keyring, files, locations, settle_s=settle_s)
        self._restores = Restores(store, keyring, files, locations, vaults, settle_s=settle_s)

    def routes(self) -> list[Route]:
        """All of them."""
        backups, restores = self._backups, self._restores
        return [
            _route("BackupVault", f"{_VAULTS}/{{vaultId}}/actions/backup", backups.backup_vault),
            _route("RestoreVaultFromFile", f"{_VAULTS}/actions/restoreFromFile", restores.vault_from_file, "file"),
            _route(
                "RestoreVaultFromObjectStore",
                f"{_VAULTS}/actions/restoreFromObjectStore",
                restores.vault_from_object_store,
            ),
            _route("BackupKey", f"{_KEYS}/{{keyId}}/actions/backup", backups.backup_key),
            _route("RestoreKeyFromFile", f"{_KEYS}/actions/restoreFromFile", restores.key_from_file, "file"),
            _route(
                "RestoreKeyFromObjectStore", f"{_KEYS}/actions/restoreFromObjectStore", restores.key_from_object_store
            ),
        ]


def _route(operation: str, path: str, handler: Handler, body: Body = "json") -> Route:
    of_vaults = path.startswith(_VAULTS)
    return Route(
        operation=operation,
        method="POST",
        path=path,
        planes=(Plane.CONTROL if of_vaults else Plane.MANAGEMENT,),
        verb=Verb.MANAGE,
        handler=handler,
        kind="change",
        subject_kind="vault" if of_vaults else "key",
        body=body,
        takes_if_match=True,
        takes_retry_token=True,
        provisions=True,
    )
