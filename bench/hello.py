"""The bare ASGI hello that reads are compared with: 200 bytes of JSON, and nothing else of the product's.

It runs on the product's own server (uvicorn, our protocol class, the same settings of TLS, a certificate made the same
way), so that the ratio shows what stands above it: routing, token check, the read, the opening, the answer. Run as a
program of its own: `python -m bench.hello PORT FOLDER`.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from claviger.core.asgi import Receive, Scope, Send
from claviger.core.clock import SystemClock
from claviger.core.sensitive import Sensitive
from claviger.server.authority import open_authority
from claviger.server.contexts import HostContexts
from claviger.server.front import Front
from claviger.server.metrics import Metrics
from claviger.server.run import Tls, run, serve

BODY = b'{"hello":"' + b"x" * 188 + b'"}'
START = {
    "type": "http.response.start",
    "status": 200,
    "headers": [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(BODY))],
}
END = {"type": "http.response.body", "body": BODY}


class Hello(Front):
    """A front without services: every request gets the same answer."""

    quick = None  # type: ignore[assignment]  # plain ASGI, a task for each request: not the product's hot path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI entry."""
        await send(dict(START))
        await send(dict(END))


class OpenBox:
    """Keeps nothing: each hello server has an authority of its own."""

    async def ensure(self, name: str, make: Callable[[], Sensitive]) -> Sensitive:
        """A fresh one."""
        return make()


async def _main(port: int, folder: Path) -> None:
    clock = SystemClock()
    contexts = HostContexts(await open_authority(folder, OpenBox(), clock), lambda _: False, clock)
    hello = Hello(lambda *_: None, metrics=Metrics(), clock=clock, version="0", services={})
    await serve(hello, listen=("127.0.0.1", port), tls=Tls(contexts.context, contexts.refresh))


def main() -> None:
    """Serves until it is told to stop."""
    parser = argparse.ArgumentParser(prog="bench.hello")
    parser.add_argument("port", type=int)
    parser.add_argument("folder", type=Path)
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    run(_main(given.port, given.folder))


if __name__ == "__main__":
    main()
