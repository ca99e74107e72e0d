"""What every operation of OCI does in every state: the tables of the contract (§5, §8.1, §8.4, §8.5, §10) by hand.

`ok` is 200; a number is the status that refuses; `-` is a cell that nothing can be in. Columns are the states that the
wire shows, some of them shortened (`_STATES`). Where the contract leaves a cell open, what was settled for it is here
too: what is written here is what `figures.ocistates` asserts. No code of the product.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

CODES: Mapping[int, str] = {400: "InvalidParameter", 404: "NotAuthorizedOrNotFound", 409: "IncorrectState"}
"""The code that belongs to the status of a refusal in these tables (§8.5, §14.2)."""

_STATES: Mapping[str, str] = {
    "SCHEDULING": "SCHEDULING_DELETION",
    "WAITING": "PENDING_DELETION",
    "CANCELLING": "CANCELLING_DELETION",
    "BACKUP": "BACKUP_IN_PROGRESS",
}
_PASSING_KEYS = (
    *("ENABLING", "DISABLING", "UPDATING", "SCHEDULING_DELETION", "CANCELLING_DELETION", "BACKUP_IN_PROGRESS"),
    "RESTORING",
)

_KEYS = """
                            CREATING  ENABLED  DISABLED  WAITING  (passing)  DELETED
GetKey                      ok        ok       ok        ok       ok         ok
ListKeys                    ok        ok       ok        ok       ok         ok
ListKeyVersions             ok        ok       ok        ok       ok         ok
GetKeyVersion               ok        ok       ok        ok       ok         ok
UpdateKey                   ok        ok       409       409      409        409
EnableKey                   409       409      ok        409      409        409
DisableKey                  409       ok       409       409      409        409
CreateKeyVersion            409       ok       409       409      409        409
ImportKeyVersion            409       ok       409       409      409        409
ScheduleKeyDeletion         409       ok       ok        409      409        409
CancelKeyDeletion           409       409      409       ok       409        409
ChangeKeyCompartment        409       ok       ok        409      409        409
BackupKey                   409       ok       ok        409      409        409
ScheduleKeyVersionDeletion  409       ok       ok        409      409        409
CancelKeyVersionDeletion    409       ok       ok        409      409        409
Encrypt                     409       ok       409       409      409        404
Decrypt                     409       ok       409       409      409        404
GenerateDataEncryptionKey   409       ok       409       409      409        404
Sign                        409       ok       409       409      409        404
Verify                      409       ok       409       409      409        404
ExportKey                   409       ok       409       409      409        404
CreateSecret                409       ok       409       409      409        409
"""

_VERSIONS = """
                            CREATING  current  old  SCHEDULING  WAITING  CANCELLING  DELETED
GetKeyVersion               ok        ok       ok   ok          ok       ok          ok
ListKeyVersions             ok        ok       ok   ok          ok       ok          ok
ScheduleKeyVersionDeletion  409       409      ok   409         409      409         409
CancelKeyVersionDeletion    409       409      409  409         ok       409         409
Encrypt                     ok        ok       ok   409         409      409         404
Decrypt                     ok        ok       ok   409         409      409         404
ExportKey                   ok        ok       ok   409         409      409         404
Sign                        ok        ok       ok   409         409      409         404
Verify                      ok        ok       ok   409         409      409         404
"""

_VAULTS = """
                            CREATING  ACTIVE  UPDATING  SCHEDULING  WAITING  BACKUP  RESTORING  DELETED
GetVault                    ok        ok      ok        ok          ok       ok      ok         ok
ListVaults                  ok        ok      ok        ok          ok       ok      ok         ok
GetVaultUsage               ok        ok      ok        ok          ok       ok      ok         ok
ListVaultReplicas           ok        ok      ok        ok          ok       ok      ok         ok
UpdateVault                 ok        ok      409       409         409      409     409        409
ScheduleVaultDeletion       409       ok      409       409         409      409     409        409
CancelVaultDeletion         409       409     409       409         ok       409     409        409
ChangeVaultCompartment      409       ok      409       409         409      409     409        409
BackupVault                 409       ok      409       409         409      409     409        409
CreateVaultReplica          409       ok      409       409         409      409     409        409
CreateKey                   409       ok      409       409         409      409     409        404
ImportKey                   409       ok      409       409         409      409     409        404
ListKeys                    ok        ok      ok        ok          ok       ok      ok         404
GetWrappingKey              -         ok      ok        ok          ok       ok      -          404
GetKey                      -         ok      ok        ok          ok       ok      ok         ok
ListKeyVersions             -         ok      ok        ok          ok       ok      ok         ok
GetKeyVersion               -         ok      ok        ok          ok       ok      ok         ok
UpdateKey                   -         ok      409       409         409      409     409        409
EnableKey                   -         ok      409       409         409      409     409        409
DisableKey                  -         ok      409       409         409      409     409        409
CreateKeyVersion            -         ok      409       409         409      409     409        409
ScheduleKeyDeletion         -         ok      409       409         409      409     409        409
CancelKeyDeletion           -         ok      409       409         409      409     -          409
ChangeKeyCompartment        -         ok      409       409         409      409     409        409
BackupKey                   -         ok      409       409         409      409     409        409
ScheduleKeyVersionDeletion  -         ok      409       409         409      409     409        409
CancelKeyVersionDeletion    -         ok      409       409         409      409     -          409
Encrypt                     -         ok      ok        409         409      ok      409        404
Decrypt                     -         ok      ok        409         409      ok      409        404
Sign                        -         ok      ok        409         409      ok      409        404
Verify                      -         ok      ok        409         409      ok      409        404
ExportKey                   -         ok      ok        409         409      ok      -          404
CreateSecret                -         ok      409       409         409      409     409        409
GetSecret                   -         ok      ok        ok          ok       ok      -          ok
UpdateSecret                -         ok      409       409         409      409     -          409
ScheduleSecretDeletion      -         ok      409       409         409      409     -          409
ChangeSecretCompartment     -         ok      409       409         409      409     -          409
GetSecretBundle             -         ok      ok        404         404      ok      -          404
GetSecretBundleByName       -         ok      ok        404         404      ok      -          404
"""

_SECRETS = """
                               CREATING  ACTIVE  UPDATING  SCHEDULING  WAITING  CANCELLING  DELETED
GetSecret                      ok        ok      ok        ok          ok       ok          ok
ListSecrets                    ok        ok      ok        ok          ok       ok          ok
ListSecretVersions             ok        ok      ok        ok          ok       ok          ok
GetSecretVersion               ok        ok      ok        ok          ok       ok          404
UpdateSecret                   409       ok      409       409         409      409         409
ScheduleSecretDeletion         409       ok      409       409         409      409         409
CancelSecretDeletion           409       409     409       409         ok       409         409
ChangeSecretCompartment        409       ok      409       409         409      409         409
RotateSecret                   409       ok      409       409         409      409         409
CancelSecretRotation           409       409     409       409         409      409         409
ScheduleSecretVersionDeletion  -         ok      409       409         409      409         404
CancelSecretVersionDeletion    -         ok      409       409         409      409         404
GetSecretBundle                404       ok      ok        404         404      404         404
GetSecretBundleByName          404       ok      ok        404         404      404         404
ListSecretBundleVersions       404       ok      ok        404         404      404         404
CreateSecret                   400       400     400       400         400      400         400
"""

_SECRET_VERSIONS = """
                               CURRENT  PREVIOUS  PENDING  DEPRECATED  WAITING  DELETED
GetSecretVersion               ok       ok        ok       ok          ok       404
ScheduleSecretVersionDeletion  409      409       409      ok          409      404
CancelSecretVersionDeletion    409      409       409      409         ok       404
GetSecretBundle                ok       ok        ok       ok          404      404
"""

_SHOWS = """
UpdateKey                   -                    -
EnableKey                   ENABLING             ENABLED
DisableKey                  DISABLING            DISABLED
CreateKeyVersion            CREATING             ENABLED
ImportKeyVersion            CREATING             ENABLED
ScheduleKeyDeletion         SCHEDULING_DELETION  PENDING_DELETION
CancelKeyDeletion           CANCELLING_DELETION  -
ChangeKeyCompartment        UPDATING             -
BackupKey                   BACKUP_IN_PROGRESS   -
ScheduleKeyVersionDeletion  SCHEDULING_DELETION  PENDING_DELETION
CancelKeyVersionDeletion    CANCELLING_DELETION  ENABLED
UpdateVault                 -                    -
ScheduleVaultDeletion       SCHEDULING_DELETION  PENDING_DELETION
CancelVaultDeletion         ACTIVE               ACTIVE
ChangeVaultCompartment      UPDATING             ACTIVE
BackupVault                 BACKUP_IN_PROGRESS   ACTIVE
CreateKey                   CREATING             ENABLED
ImportKey                   CREATING             ENABLED
CreateSecret                CREATING             ACTIVE
UpdateSecret                UPDATING             ACTIVE
ScheduleSecretDeletion      SCHEDULING_DELETION  PENDING_DELETION
CancelSecretDeletion        CANCELLING_DELETION  ACTIVE
ChangeSecretCompartment     UPDATING             ACTIVE
RotateSecret                UPDATING             ACTIVE
ScheduleSecretVersionDeletion  -                 -
CancelSecretVersionDeletion    -                 -
"""
"""What the answer shows and where that settles (§8.1); `-` is what it was, of a cancelled deletion what it had been.
Versions of secrets have no state on the wire.
"""


@dataclass(frozen=True)
class Cell:
    """One operation in one state: the status it is answered with."""

    operation: str
    state: str
    status: int

    @property
    def code(self) -> str:
        """The code of the refusal; empty for a success."""
        return CODES.get(self.status, "")


def _cells(text: str, passing: tuple[str, ...] = ()) -> Iterator[Cell]:
    head, *rows = text.strip("\n").splitlines()
    for row in rows:
        operation, *found = row.split()
        for column, entry in zip(head.split(), found, strict=True):
            for state in passing if column == "(passing)" else (_STATES.get(column, column),):
                if entry != "-":
                    yield Cell(operation, state, 200 if entry == "ok" else int(entry))


TABLES: Mapping[str, tuple[Cell, ...]] = {
    "key": tuple(_cells(_KEYS, passing=_PASSING_KEYS)),
    "version": tuple(_cells(_VERSIONS)),
    "vault": tuple(_cells(_VAULTS)),
    "secret": tuple(_cells(_SECRETS)),
    "secret version": tuple(_cells(_SECRET_VERSIONS)),
}
"""What the operation is asked of, or what it lies in -> all cells."""

SHOWS: Mapping[str, tuple[str, str]] = {
    line.split()[0]: (line.split()[1].strip("-"), line.split()[2].strip("-")) for line in _SHOWS.strip().splitlines()
}
"""What the answer of a change shows, and where that settles; empty for what it was before."""

NEVER_AFTER_SCHEDULING = frozenset({"ENABLED", "ACTIVE"})
"""No answer to a successful scheduling may show these (§8.1)."""
