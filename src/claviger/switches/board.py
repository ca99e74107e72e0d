"""All switches of a server together, and the one call by which a service meets them."""

from __future__ import annotations

import base64
import json
import os
import signal

from claviger.core.errors import Invalid, Throttled, Unauthenticated, Unavailable
from claviger.switches.clock import EARLIEST, LATEST, MovableClock
from claviger.switches.faults import Faults
from claviger.switches.throttle import Throttle

MAX_SETTLE_S = 3600


class Switches:
    """What a test or an operator can move. Services ask `meet`; everything else belongs to the switchboard."""

    def __init__(self, clock: MovableClock) -> None:
        self.clock = clock
        self.faults = Faults()
        self.throttle = Throttle()
        self.delete_settle_s = 0
        self.recover_settle_s = 0
        self.tokens_since = 0

    async def meet(self, service: str, operation: str, place: str) -> bool:
        """Lets the fault that this call hits, if any, strike: true where the connection is to be cut.

        Raises Throttled("TooManyRequests") or Unavailable("Fault…") for an error answer; sleeps for a delay, at most
        until the fault is disarmed; a crash ends the process without a word.
        """
        fault = self.faults.striking(service, operation, place)
        if fault is None:
            return False
        if fault.kind == "crash":
            os.kill(os.getpid(), signal.SIGKILL)
        if fault.kind == "delay":
            await self.faults.delay(fault)
            return False
        if fault.kind == "drop":
            return True
        wait = {} if fault.retry_after_s is None else {"retry_after_s": fault.retry_after_s}
        if fault.status == 429:
            raise Throttled("TooManyRequests", **wait)
        raise Unavailable(f"Fault{fault.status}", **wait)

    def settle(self, delete_s: int, recover_s: int) -> None:
        """Opens the windows in which a delete or a recover is under way. Raises Invalid("Delay")."""
        if not (0 <= delete_s <= MAX_SETTLE_S and 0 <= recover_s <= MAX_SETTLE_S):
            raise Invalid("Delay", most=MAX_SETTLE_S)
        self.delete_settle_s, self.recover_settle_s = delete_s, recover_s

    def revoke_tokens(self, issued_before: float | None = None) -> int:
        """From now on wants tokens issued at `issued_before` (default: now) or later; that second."""
        at = self.clock.now() if issued_before is None else issued_before
        if at != 0 and not EARLIEST <= at <= LATEST:
            raise Invalid("ClockRange", at=at)
        self.tokens_since = int(at)
        return self.tokens_since

    def check_token(self, issued_at: int, tenant_id: str) -> None:
        """Refuses an older token with a claims challenge (contract §7.4). Raises Unauthenticated."""
        if issued_at < self.tokens_since:
            asked = {"access_token": {"nbf": {"essential": True, "value": str(self.tokens_since)}}}
            document = json.dumps(asked, separators=(",", ":")).encode()
            document += b" " * (-len(document) % 3)  # no padding: some clients split the header at every "="
            claims = base64.b64encode(document).decode()
            raise Unauthenticated("InsufficientClaims", tenant_id=tenant_id, claims=claims)
