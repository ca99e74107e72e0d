"""When a secret of Azure is looked at again, and how one that is missing is looked for. Pure."""

from __future__ import annotations

RACY_S = 120.0
MOST_CONFIRMED = 200


def is_racy(changed_at: int, verified_at: float) -> bool:
    """Whether a secret was changed so shortly before it was looked at that it may have changed again unseen."""
    return changed_at >= verified_at - RACY_S
