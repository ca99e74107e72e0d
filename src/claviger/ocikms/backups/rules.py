"""What can be backed up, and as what it comes back (OCI contract §7.4). Pure.

A vault is backed up with its settings, and with its keys where that is asked for: those that BackupKey would take. A
restored thing keeps its OCID. It takes the place of the deleted one, if that is still there; never that of one that is
not deleted. A restored key is ENABLED (§4). Its versions are what they were, with their dates, which have gone on: of a
version whose date has come meanwhile nothing is stored but that it is DELETED.
"""

from __future__ import annotations

from claviger.core.errors import Conflict, Invalid
from claviger.ocikms import states
from claviger.ocikms.errors import wrong

PRIVATE = "VIRTUAL_PRIVATE"
HSM = "HSM"
BACKED_UP_STATES = ("ENABLED", "DISABLED")
"""In which a key goes along with its vault."""
MAX_VERSIONS = 5000
"""Of all keys of one backup."""
DELETED, ENABLED = states.DELETED, "ENABLED"


def check_vault(vault_type: str) -> None:
    """Raises Invalid for a vault that shares its partition with others."""
    if vault_type != PRIVATE:
        raise Invalid("Value", message=f"Only a vault of type {PRIVATE}, and what is in it, can be backed up.")


def check_key(protection_mode: str) -> None:
    """Raises Invalid for a key that is not an HSM's."""
    if protection_mode != HSM:
        raise Invalid("Value", message=f"Only a key with protectionMode {HSM} can be backed up.")


def check_count(versions: int) -> None:
    """Raises Invalid where there is more than a backup can hold."""
    if versions > MAX_VERSIONS:
        raise Invalid("LimitExceeded", message=f"A backup holds {MAX_VERSIONS} versions of keys at most.")


def too_large(most: int) -> Invalid:
    """The file would not be taken back."""
    return Invalid("LimitExceeded", message=f"A backup has {most} bytes at most.")


def version_state(state: str, deletes_at: float | None, now: float) -> str:
    """As what a version comes back that was backed up in that state."""
    return states.shown(state, "", 0.0, deletes_at, now)


def unusable() -> Invalid:
    """What is said of a file that is no backup of this server, whatever is wrong with it."""
    return wrong("The backup", "is damaged, or is not one that this service has made")


def of_another(what: str) -> Invalid:
    """What is said of a good backup that does not belong where it is to be restored."""
    return wrong("The backup", f"is of another {what}")


def exists(what: str, ident: str) -> Conflict:
    """A thing of that OCID is there, and not deleted."""
    return Conflict("Exists", message=f"{what} {ident} is there already, or you are not authorized to restore it.")


def ending(what: str, ident: str) -> Conflict:
    """The deletion of the thing is due, and is being carried out: it can be restored in a moment."""
    return Conflict("WrongState", message=f"{what} {ident} is in state DELETING, which does not allow this operation.")


def moved() -> Conflict:
    """What is backed up changed again and again meanwhile."""
    return Conflict("Moved", message="The keys were changed while they were backed up; try again.")
