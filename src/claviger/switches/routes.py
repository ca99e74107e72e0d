"""The switchboard: the switches over HTTPS, for callers on this machine that have its token.

`GET /claviger/switches` shows everything; the other calls move one switch each and answer the same. Bodies and answers
are JSON. It is not there at all unless `CLAVIGER_SWITCHES` is on.
"""

from __future__ import annotations

import hmac
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeVar

import msgspec

from claviger.core.asgi import Receive, Scope, Send
from claviger.core.errors import Invalid, NotFound, Refusal, TooLarge, Unauthenticated
from claviger.core.sensitive import Sensitive
from claviger.switches.board import Switches
from claviger.switches.faults import Fault, Standing
from claviger.switches.throttle import Limits

PATH = "/claviger/switches"
MAX_BODY = 16_384

T = TypeVar("T")

log = logging.getLogger("claviger.switches")


class SetClock(msgspec.Struct, forbid_unknown_fields=True):
    """Where to move the clock, in one way or the other; `frozen` stops it or lets it run."""

    at: float | datetime | None = None
    advance_s: float | None = None
    frozen: bool | None = None
    reset: bool = False


class SetDelays(msgspec.Struct, forbid_unknown_fields=True):
    """How long a delete and a recover are under way."""

    delete_s: int = 0
    recover_s: int = 0


class SetLimits(msgspec.Struct, forbid_unknown_fields=True):
    """Throttling limits; null turns them off."""

    limits: Limits | None = None


class Revoke(msgspec.Struct, forbid_unknown_fields=True):
    """From which second on tokens must have been issued; null means now, 0 takes it back."""

    issued_before: float | None = None


class ClockShown(msgspec.Struct):
    """The clock as it stands."""

    now: float
    shown: str
    offset_s: float
    frozen: bool


class Shown(msgspec.Struct):
    """All switches as they stand."""

    clock: ClockShown
    faults: list[Standing]
    delays: SetDelays
    limits: Limits | None
    tokens_since: int


class Switchboard:
    """The application. `moved` is called after each move of the clock."""

    def __init__(self, switches: Switches, token: Sensitive, moved: Callable[[], None]) -> None:
        self._switches = switches
        self._token = token
        self._moved = moved

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI entry."""
        try:
            self._admit(scope)
            await self._move(scope["method"], scope["path"].removeprefix(PATH).strip("/"), receive)
            status, body = 200, msgspec.json.encode(self.shown())
        except Refusal as refusal:
            status, body = _told(refusal)
        headers = [
            (b"content-type", b"application/json; charset=utf-8"),
            (b"content-length", str(len(body)).encode()),
            (b"cache-control", b"no-store"),
        ]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def shown(self) -> Shown:
        """Everything as it stands."""
        switches = self._switches
        clock = switches.clock
        now = clock.now()
        return Shown(
            ClockShown(now, f"{datetime.fromtimestamp(now, UTC):%FT%TZ}", clock.offset_s, clock.frozen),
            switches.faults.standing(),
            SetDelays(switches.delete_settle_s, switches.recover_settle_s),
            switches.throttle.limits,
            switches.tokens_since,
        )

    def _admit(self, scope: Scope) -> None:
        """Raises NotFound for other machines, as if nothing were here, and Unauthenticated without the token."""
        client = scope.get("client")
        if not client or client[0] not in ("127.0.0.1", "::1", "::ffff:127.0.0.1"):
            raise NotFound("NothingHere")
        given = dict(scope["headers"]).get(b"authorization", b"")
        if not hmac.compare_digest(given, b"Bearer " + self._token.reveal()):
            raise Unauthenticated("SwitchboardToken")

    async def _move(self, method: str, path: str, receive: Receive) -> None:
        switches = self._switches
        match method, path.split("/"):
            case "GET", [""]:
                return
            case "POST", ["clock"]:
                self._set_clock(await _body(receive, SetClock))
            case "POST", ["faults"]:
                switches.faults.add(await _body(receive, Fault))
            case "DELETE", ["faults"]:
                switches.faults.clear()
            case "DELETE", ["faults", fault_id] if fault_id.isdigit() and len(fault_id) < 10:
                switches.faults.remove(int(fault_id))
            case "POST", ["delays"]:
                delays = await _body(receive, SetDelays)
                switches.settle(delays.delete_s, delays.recover_s)
            case "POST", ["limits"]:
                switches.throttle.set((await _body(receive, SetLimits)).limits)
            case "POST", ["revoke"]:
                switches.revoke_tokens((await _body(receive, Revoke)).issued_before)
            case _:
                raise NotFound("NothingHere")
        log.warning("a switch was moved: %s %s", method, path)

    def _set_clock(self, asked: SetClock) -> None:
        clock = self._switches.clock
        if asked.reset:
            clock.reset()
        if asked.at is not None:
            clock.set(_epoch_s(asked.at))
        if asked.advance_s is not None:
            clock.advance(asked.advance_s)
        if asked.frozen is not None:
            (clock.freeze if asked.frozen else clock.run)()
        self._moved()


def _epoch_s(at: float | datetime) -> float:
    """A time without a zone is UTC."""
    if isinstance(at, datetime):
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    return at


async def _body(receive: Receive, kind: type[T]) -> T:
    content = b""
    more = True
    while more:
        message = await receive()
        content += message.get("body", b"")
        more = message.get("more_body", False)
        if len(content) > MAX_BODY:
            raise TooLarge("BodyTooLarge", limit=MAX_BODY)
    try:
        return msgspec.json.decode(content or b"{}", type=kind)
    except (msgspec.MsgspecError, RecursionError, UnicodeError) as failure:
        raise Invalid("Body", problem=str(failure)[:200]) from None


def _told(refusal: Refusal) -> tuple[int, bytes]:
    statuses = {Unauthenticated: 401, NotFound: 404, TooLarge: 413}
    error = {"code": refusal.reason, "message": str(refusal)}
    return statuses.get(type(refusal), 400), msgspec.json.encode({"error": error})
