"""How long a deleted thing can still be saved, and the words by which Azure says so. Times are epoch seconds."""

from __future__ import annotations

from claviger.core.errors import Invalid

DAY_S = 86_400
MIN_RETENTION_DAYS = 7
MAX_RETENTION_DAYS = 90


def check_retention_days(days: int) -> int:
    """`days` itself, if a vault may keep deleted things that long (Key Vault contract §10). Raises Invalid."""
    if not MIN_RETENTION_DAYS <= days <= MAX_RETENTION_DAYS:
        raise Invalid("RetentionDays", days=days, least=MIN_RETENTION_DAYS, most=MAX_RETENTION_DAYS)
    return days


def purge_at(deleted_at: int, retention_days: int) -> int:
    """The first second at which what was deleted at `deleted_at` is gone for good."""
    return deleted_at + retention_days * DAY_S


def is_final(purge_at_s: int | None, now: float) -> bool:
    """Whether the time to save it has run out. Never true a moment before `purge_at_s`."""
    return purge_at_s is not None and now >= purge_at_s


def recovery_level(soft_delete: bool, retention_days: int, purge_protection: bool) -> str:
    """The recoveryLevel of everything in a vault with these settings (Key Vault contract §3)."""
    if not soft_delete:
        return "Purgeable"
    customised = "" if retention_days == MAX_RETENTION_DAYS else "Customized"
    return f"{customised}Recoverable" + ("" if purge_protection else "+Purgeable")
