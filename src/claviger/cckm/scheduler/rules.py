"""What a job configuration may say, and when it is due: cron expressions, dates, parameters. Pure.

A cron expression has the five fields and the meaning of Debian's cron, in UTC: where neither the day of the month nor
the day of the week begins with a star, a day that fits either will do. A slot is a whole minute that the expression
names; none lies before the start date or after the end date.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime

import msgspec
from cronsim import CronSim, CronSimError

SYNCHRONIZATION, ROTATION = "cckm_synchronization", "cckm_key_rotation"
AZURE, OCI = "AzureCloud", "oci"
ANY_NODE = "any"

LONGEST_NAME = 256
LONGEST_TEXT = 2048
LONGEST_CRON = 200
LONGEST_IDENT = 300
MOST_VAULTS = 1000
MOST_CONFIGS = 1000
LATE_S = 90.0
DAY_S = 86_400.0
LONGEST_PERIOD_DAYS = 36_500


class Offer(msgspec.Struct, frozen=True):
    """An operation of the product: what it is, and for which clouds this server has it."""

    name: str
    meaning: str
    clouds: tuple[str, ...] = ()


OFFERS: tuple[Offer, ...] = (
    Offer(SYNCHRONIZATION, "Compares the records of vaults with what is in the cloud.", (AZURE, OCI)),
    Offer(ROTATION, "Rotates the keys that are linked to it by enable-auto-rotation.", (OCI,)),
    Offer("cckm_key_backup", "Backs keys up."),
    Offer("cckm_add_containers", "Finds containers and brings them under management."),
    Offer("cckm_xks_credential_rotation", "Rotates the credentials of external key stores."),
    Offer("database_backup", "Backs the database up."),
)
"""Every operation that the contract names (§9.2), also those that this server lacks: it says so."""

_CLOUDS = frozenset({"aws", AZURE, "gcp", "oci", "sfdc", "sap", "dsm", "hsm-luna"})
VAULTS_OF: Mapping[str, str] = {AZURE: "key_vaults", OCI: "oci_vaults"}
"""In which field a cloud's vaults are named."""
_SYNCHRONIZED = " and ".join(VAULTS_OF)
_FIELDS = (
    ("minute", "0 to 59"),
    ("hour", "0 to 23"),
    ("day of month", "1 to 31, or L for the last day, or ? for any"),
    ("month", "1 to 12, or JAN to DEC"),
    ("day of week", "0 to 7 (0 and 7 are Sunday), or SUN to SAT, or ? for any"),
)
_DAY_FIELDS = (2, 4)
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_NUMBERS = {name: number for names, first in ((_MONTHS, 1), (_DAYS, 0)) for number, name in enumerate(names, first)}
_STEPPED_RANGE = re.compile(r"(\w+)-(\w+)/0*[1-9]\d*")
_DATE = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
_ZERO_YEAR = "0001-01-01"
_AGO = re.compile(r"(?:-([0-9]{1,3})Y)?(?:-([0-9]{1,4})M)?(?:-([0-9]{1,5})D)?")
_PERIOD = re.compile(r"([0-9]{1,6})([dDhH])")


class Params(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a synchronisation or a rotation is to do (CCKM contract §9.3). Vaults are ids or names, as they were given.

    Keys in OCI have no expiry date: there `expiration` counts from when a key's current version was made, and says
    something only together with `expire_in`.
    """

    cloud_name: str
    key_vaults: tuple[str, ...] = ()
    oci_vaults: tuple[str, ...] = ()
    synchronize_all: bool = False
    take_cloud_key_backup: bool = False
    expiration: str = ""
    expire_in: str = ""
    rotation_after: str = ""


def text_problems(name: str | None, description: str | None) -> dict[str, str]:
    """What is wrong with a configuration's name and description, by field."""
    problems = {}
    if name is not None and not (name.strip() and name.isprintable()):
        problems["name"] = "must be printable characters"
    if description is not None and "\0" in description:
        problems["description"] = "must not contain NUL"
    return problems


def operation_problem(operation: str) -> str | None:
    """What is wrong with an operation's name."""
    known = {offer.name: offer for offer in OFFERS}
    here = ", ".join(offer.name for offer in OFFERS if offer.clouds)
    if operation not in known:
        return f"is not an operation; this server has {here}"
    if not known[operation].clouds:
        return f"this server does not have {operation} yet; it has {here}"
    return None


def params_problems(params: Params) -> dict[str, str]:
    """What is wrong with parameters, by field."""
    problems = {}
    if not params.cloud_name:
        problems["cloud_name"] = "is required"
    elif params.cloud_name not in _CLOUDS:
        problems["cloud_name"] = f"is not a cloud; this server synchronizes {_SYNCHRONIZED}"
    elif params.cloud_name not in VAULTS_OF:
        problems["cloud_name"] = f"this server does not synchronize {params.cloud_name} yet; it does {_SYNCHRONIZED}"
    own = VAULTS_OF.get(params.cloud_name, "key_vaults")
    for field, vaults in (("key_vaults", params.key_vaults), ("oci_vaults", params.oci_vaults)):
        if vaults and field != own and not problems:
            problems[field] = f"is not for {params.cloud_name}, whose vaults are named in {own}"
    vaults = params.oci_vaults if own == "oci_vaults" else params.key_vaults
    if params.synchronize_all and vaults:
        problems["synchronize_all"] = f"excludes {own}: give one of them"
    if not params.synchronize_all and not vaults:
        problems[own] = "names no vault: give at least one, or synchronize_all"
    if len(vaults) > MOST_VAULTS:
        problems[own] = f"names more than {MOST_VAULTS} vaults"
    return problems


def rotation_problems(params: Params) -> dict[str, str]:
    """What is wrong with the parameters of a rotation, by field."""
    problems = {}
    if not params.cloud_name:
        problems["cloud_name"] = "is required"
    elif params.cloud_name != OCI:
        named = (
            "is not a cloud" if params.cloud_name not in _CLOUDS else f"{params.cloud_name} keys are not rotated yet"
        )
        problems["cloud_name"] = f"{named}; this server rotates keys of {OCI}"
    for field in ("expiration", "expire_in", "rotation_after"):
        text = getattr(params, field)
        if text and period_s(text) is None:
            problems[field] = f"must be days or hours, such as 90d or 12h, of at most {LONGEST_PERIOD_DAYS} days"
    return problems


def period_s(text: str) -> float | None:
    """The seconds of a period such as `90d` or `12h`; None for anything else, none at all and too long included."""
    found = _PERIOD.fullmatch(text)
    if found is None:
        return None
    seconds = int(found[1]) * (DAY_S if found[2] in "dD" else 3600.0)
    return seconds if 0 < seconds <= LONGEST_PERIOD_DAYS * DAY_S else None


def cron_problem(run_at: str) -> str | None:
    """What is wrong with a cron expression, and in which of its fields."""
    if len(run_at) > LONGEST_CRON or not run_at.isascii() or not run_at.isprintable():
        return f"must be at most {LONGEST_CRON} plain characters"
    fields = run_at.split()
    if len(fields) != len(_FIELDS):
        names = ", ".join(name for name, _ in _FIELDS)
        return f"must have five fields ({names}), and has {len(fields)}"
    for index, (name, allowed) in enumerate(_FIELDS):
        alone = ["*"] * len(_FIELDS)
        alone[index] = fields[index]
        if not _understood(" ".join(alone)):
            return f"the {name} '{fields[index]}' is not valid: {allowed}; with *, lists (,), ranges (-), steps (/)"
    if not _understood(run_at) or next_slot(run_at, 0.0) is None:
        return "names a day that no month has"
    return None


def _understood(run_at: str) -> bool:
    try:
        CronSim(_plain(run_at), datetime.fromtimestamp(0, UTC))
    except (CronSimError, ValueError):
        return False
    return True


def _plain(run_at: str) -> str:
    """The expression in cronsim's words.

    A day of the product's may be `?`, which is any. Without steps in ranges of one value: cronsim 2.8 takes 5-5/2 for
    5/2, which goes on and on.
    """

    def number(word: str) -> object:
        return int(word) if word.isdigit() else _NUMBERS.get(word, word)

    def plain(found: re.Match[str]) -> str:
        return found[1] if number(found[1]) == number(found[2]) else found[0]

    fields = run_at.upper().split()
    for day in _DAY_FIELDS:
        fields[day] = "*" if fields[day] == "?" else fields[day]
    return _STEPPED_RANGE.sub(plain, " ".join(fields))


def next_slot(run_at: str, after: float) -> int | None:
    """The first slot of a valid expression after a time; None where there is none within the next 50 years."""
    try:
        found = next(CronSim(_plain(run_at), datetime.fromtimestamp(math.floor(after), UTC)), None)
    except (OverflowError, ValueError):  # the end of the calendar
        return None
    return None if found is None else int(found.timestamp())


def next_run(run_at: str, after: float, *, disabled: bool, start_at: float | None, end_at: float | None) -> int | None:
    """The slot that a configuration is due at next, after a time."""
    if disabled:
        return None
    if start_at is not None and start_at > after:
        after = math.ceil(start_at) - 1
    slot = next_slot(run_at, after)
    return None if slot is None or (end_at is not None and slot > end_at) else slot


def parse_date(text: str) -> float | None:
    """Epoch seconds of an RFC 3339 date; None for Go's zero time, which means unset. Raises ValueError."""
    if not _DATE.fullmatch(text):
        raise ValueError(text)
    if text.startswith(_ZERO_YEAR):
        return None
    return datetime.fromisoformat(text.upper()).timestamp()


def moment(text: str, now: float) -> float:
    """Epoch seconds of a list's date: RFC 3339, or back from now in years (365 days), months (30), days: `-1Y-2M-5D`.

    Raises ValueError.
    """
    ago = _AGO.fullmatch(text)
    if ago is None:
        return parse_date(text) or 0.0
    years, months, days = (int(part or 0) for part in ago.groups())
    return now - (365 * years + 30 * months + days) * DAY_S


def dates_problem(start_at: float | None, end_at: float | None) -> str | None:
    """What is wrong with a start date and an end date together."""
    if start_at is not None and end_at is not None and end_at <= start_at:
        return "must be after start_date"
    return None


def prefixed(block: str, problems: Mapping[str, str]) -> dict[str, str]:
    """Problems of the fields of a block of parameters, named as the caller wrote them."""
    return {f"{block}.{field}": problem for field, problem in problems.items()}
