"""Vaults as the control plane knows them: what an ARM id looks like, what may be permitted in a vault, limits. Pure.

An ARM id becomes the path of a request to the cloud, so nothing passes here that could lead to another path.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from claviger.cckm.errors import validation
from claviger.core.errors import Conflict, Invalid

VAULT_TYPE = "Microsoft.KeyVault/vaults"
HSM_TYPE = "Microsoft.KeyVault/managedHSMs"
WORDS: Mapping[str, str] = {VAULT_TYPE: "vault", HSM_TYPE: "managedHsm"}
"""The words by which a list is filtered for a type (Azure contract §3.4)."""

MOST_VAULTS = 10_000
"""Of one domain. A list of them is filtered and sorted in memory."""
MOST_AT_ONCE = 1000
DEFAULT_PAGE = 10
LARGEST_PAGE = 1000
LONGEST_MARK = 8192
MOST_BACKUPS = 1_000_000
LONGEST_IDENT = 256
LONGEST_TEXT = 512

ROTATION_LABELS = frozenset({"job_config_id", "override_key_scheduler"})
"""What links a vault to a schedule (Azure contract §3.8)."""

# Azure contract §4.
ACTIONS_ON: Mapping[str, str] = {
    "keys": "view keycreate keyupload keyupdate keydelete keypurge keyrecover keyrestore keysynchronize deletebackup",
    "secrets": "secretview secretcreate secretupdate secretdelete secretpurge secretrecover secretrestore "
    "secretsynchronize secretdeletebackup",
    "certificates": "certificateview certificatecreate certificateupload certificateupdate certificatedelete "
    "certificatepurge certificaterecover certificaterestore certificatesynchronize certificatedeletebackup",
    "reports": "reportview reportcreate reportdelete reportdownload",
    "key templates": "keycreatewithtemplate uploadkeywithtemplate createkeytemplate viewkeytemplate "
    "updatekeytemplate deletekeytemplate",
}
ACTIONS = frozenset(" ".join(ACTIONS_ON.values()).split())
"""All that can be permitted in an Azure vault."""

_UUID = r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}"
_IS_UUID = re.compile(_UUID, re.ASCII | re.IGNORECASE)
_ARM_ID = re.compile(
    rf"/subscriptions/(?P<subscription>(?a:{_UUID}))"
    r"/resourceGroups/(?P<group>[\w.()-]{0,89}[\w()-])"
    r"/providers/Microsoft\.KeyVault/(?P<kind>vaults|managedHSMs)"
    r"/(?P<name>[a-z](?:[a-z0-9]|-(?=[a-z0-9])){2,23})",
    re.IGNORECASE,
)


class ArmId(msgspec.Struct, frozen=True):
    """The parts of a vault's ARM id, as they were written, and all of it; the subscription in lower case."""

    subscription_id: str
    group: str
    type: str
    name: str
    text: str

    @property
    def is_managed_hsm(self) -> bool:
        """Whether it names a managed HSM pool rather than a vault."""
        return self.type == HSM_TYPE


def is_uuid(text: str) -> bool:
    """Whether `text` is a UUID in its usual form, in any case."""
    return _IS_UUID.fullmatch(text) is not None


def arm_id(text: str) -> ArmId | None:
    """The parts of the ARM id of a vault or a managed HSM; None for anything else."""
    found = _ARM_ID.fullmatch(text)
    if found is None or not found["name"].isascii():  # some letters beyond ASCII are equal to ours without case
        return None
    kind = VAULT_TYPE if found["kind"].lower() == "vaults" else HSM_TYPE
    return ArmId(found["subscription"].lower(), found["group"], kind, found["name"], text)


def record_name(azure_name: str, subscription_id: str) -> str:
    """The name of a vault's record (Azure contract §3.3)."""
    return f"{azure_name}::{subscription_id}"


def check_subscription(text: str) -> str:
    """A subscription's id in lower case. Raises Invalid("Validation")."""
    if not is_uuid(text):
        raise validation({"subscription_id": "must be the UUID of an Azure subscription"})
    return text.lower()


def check_backup_limit(limit: int | None) -> int:
    """How many backups of a key to keep; 0 for no limit, as absent and null are. Raises Invalid("Validation")."""
    if limit is None:
        return 0
    if not 0 <= limit <= MOST_BACKUPS:
        raise validation({"cloud_key_backup_limit": f"must be a whole number from 1 to {MOST_BACKUPS}"})
    return limit


class Asked(msgspec.Struct, frozen=True):
    """What a request to add one vault says about it; None for what it does not say."""

    azure_vault_id: str
    name: str | None
    type: str | None


def check_added(asked: Sequence[Asked], subscription_id: str) -> list[ArmId]:
    """The vaults that a request to add names, all of this subscription, each once.

    Raises Invalid("Validation") with a line for each field that is wrong (Azure contract §3.2).
    """
    if not asked:
        raise validation({"vaults": "must name at least one vault"})
    if len(asked) > MOST_AT_ONCE:
        raise validation({"vaults": f"must name at most {MOST_AT_ONCE} vaults"})
    problems: dict[str, str] = {}
    found: dict[str, ArmId] = {}
    for at, one in enumerate(asked):
        place = f"vaults[{at}]"
        parsed = arm_id(one.azure_vault_id)
        if parsed is None:
            problems[f"{place}.azure_vault_id"] = "must be the ARM id of a vault or a managed HSM"
        elif parsed.subscription_id != subscription_id:
            problems[f"{place}.azure_vault_id"] = "belongs to another subscription than subscription_id"
        elif key_of(parsed) in found:
            problems[f"{place}.azure_vault_id"] = "is named twice in this request"
        else:
            found[key_of(parsed)] = parsed
            problems |= _contradictions(place, one, parsed)
        if len(problems) > 20:
            break
    if problems:
        raise validation(problems)
    return list(found.values())


def check_room(present: int, more: int) -> None:
    """Raises Conflict("TooManyVaults") where a domain cannot manage so many more."""
    if present + more > MOST_VAULTS:
        raise Conflict("TooManyVaults", message=f"a domain can manage at most {MOST_VAULTS} vaults")


def key_of(parsed: ArmId) -> str:
    """What is equal for two spellings of one ARM id."""
    return f"{parsed.subscription_id}/{parsed.group}/{parsed.type}/{parsed.name}".lower()


def _contradictions(place: str, asked: Asked, parsed: ArmId) -> dict[str, str]:
    problems = {}
    if asked.name is not None and asked.name.lower() != parsed.name.lower():
        problems[f"{place}.name"] = "is not the name in azure_vault_id"
    if asked.type is not None and asked.type.lower() != parsed.type.lower():
        problems[f"{place}.type"] = "is not the type in azure_vault_id"
    return problems


def same_vault(one: str, other: str) -> bool:
    """Whether two ARM ids name the same vault; Azure compares them without case."""
    first, second = arm_id(one), arm_id(other)
    return first is not None and second is not None and key_of(first) == key_of(second)


def page_size(limit: int | None) -> int:
    """How many vaults a page of discovery has (Azure contract §3.1). Raises Invalid("Validation")."""
    if limit is None or limit == 0:
        return DEFAULT_PAGE
    if not 1 <= limit <= LARGEST_PAGE:
        raise validation({"limit": f"must be a whole number from 1 to {LARGEST_PAGE}"})
    return limit


def only_one(names: Iterable[str], asked: str) -> Invalid:
    """The refusal of a plain name that several vaults have."""
    told = ", ".join(sorted(names)[:5])
    return Invalid("InvalidParam", message=f"several vaults are called {asked[:100]}; name one of: {told}")
