"""Faults around an application that does not meet them by itself: the login host, for one."""

from __future__ import annotations

import json

from claviger.core.asgi import Application, Receive, Scope, Send
from claviger.core.errors import Refusal, Throttled
from claviger.switches.board import Switches


class Faulty:
    """Lets faults strike before `app` sees the request. The operation is the last word of the path, `token` say."""

    def __init__(self, app: Application, switches: Switches, service: str) -> None:
        self._app = app
        self._switches = switches
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI entry."""
        operation = scope["path"].rstrip("/").rpartition("/")[2]
        host = dict(scope["headers"]).get(b"host", b"").decode("latin-1").partition(":")[0]
        try:
            cut = await self._switches.meet(self._service, operation, host)
        except Refusal as refusal:
            await _fail(send, refusal)
            return
        if cut:
            await send({"type": "http.response.cut"})
            return
        await self._app(scope, receive, send)


async def _fail(send: Send, refusal: Refusal) -> None:
    status = 429 if isinstance(refusal, Throttled) else int(refusal.reason.removeprefix("Fault"))
    told = {"error": "temporarily_unavailable", "error_description": "A switch made this call fail."}
    body = json.dumps(told).encode()
    headers = [(b"content-type", b"application/json; charset=utf-8"), (b"content-length", str(len(body)).encode())]
    if "retry_after_s" in refusal.facts:
        headers.append((b"retry-after", str(refusal.facts["retry_after_s"]).encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
