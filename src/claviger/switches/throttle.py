"""The clouds' published limits, as a switch: so many calls of a kind per vault and window, or per tenancy and second.

Sources: Key Vault contract §9, OCI contract §14.4.
"""

from __future__ import annotations

import msgspec

from claviger.core.errors import Invalid, Throttled

MAX_COUNTED = 10_000


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Calls per vault in a window; a subscription gets `subscription_factor` times as many. `oci_calls` are those of a
    class in a second, per tenancy of OCI.
    """

    creates: int = 300
    others: int = 4000
    window_s: int = 10
    subscription_factor: int = 5
    retry_after: bool = False
    oci_calls: int = 10


class Throttle:
    """Counts calls in fixed windows. Off until limits are set; calls that were refused do not count."""

    def __init__(self) -> None:
        self.limits: Limits | None = None
        self._window = -1
        self._counts: dict[tuple[str, bool], int] = {}
        self._second = -1
        self._in_second: dict[tuple[str, str], int] = {}

    def set(self, limits: Limits | None) -> None:
        """Turns throttling on with these limits, or off. Raises Invalid("Limits")."""
        if limits is not None:
            counts = (limits.creates, limits.others, limits.window_s, limits.subscription_factor, limits.oci_calls)
            if min(counts) < 1:
                raise Invalid("Limits")
        self.limits = limits
        self._counts, self._in_second = {}, {}

    def take(self, vault: str, subscription: str, creates: bool, now: float) -> None:
        """Counts one call. Raises Throttled("TooManyRequests") past a limit, `retry_after_s` where that is wanted."""
        limits = self.limits
        if limits is None:
            return
        window = int(now // limits.window_s)
        if window != self._window or len(self._counts) > MAX_COUNTED:
            self._window, self._counts = window, {}
        most = limits.creates if creates else limits.others
        for place, allowed in ((f"v/{vault}", most), (f"s/{subscription}", most * limits.subscription_factor)):
            if self._counts.get((place, creates), 0) >= allowed:
                wait_s = max(1, int((window + 1) * limits.window_s - now) + 1)
                raise Throttled("TooManyRequests", **({"retry_after_s": wait_s} if limits.retry_after else {}))
        for place in (f"v/{vault}", f"s/{subscription}"):
            self._counts[place, creates] = self._counts.get((place, creates), 0) + 1

    def take_of(self, tenancy: str, kind: str, now: float) -> None:
        """Counts one call of a class of OCI's calls. Raises Throttled as `take` does."""
        limits = self.limits
        if limits is None:
            return
        second = int(now)
        if second != self._second or len(self._in_second) > MAX_COUNTED:
            self._second, self._in_second = second, {}
        count = self._in_second.get((tenancy, kind), 0)
        if count >= limits.oci_calls:
            raise Throttled("TooManyRequests", **({"retry_after_s": 1} if limits.retry_after else {}))
        self._in_second[tenancy, kind] = count + 1
