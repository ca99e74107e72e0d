"""The types of ASGI 3 that every service and the server share, and the reading of a body within its limit.

What the types mean is the specification's.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from claviger.core.errors import Invalid, TooLarge

Scope = dict[str, Any]
Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]


async def read_body(receive: Receive, content_length: bytes | None, limit: int) -> bytes:
    """The whole body. Raises TooLarge("BodyTooLarge") before more than `limit` bytes are read, and Invalid("Body")."""
    told = content_length if content_length is not None and content_length.isdigit() else b"0"
    if len(told) > 12 or int(told) > limit:
        raise TooLarge("BodyTooLarge", limit=limit)
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Invalid("Body")
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > limit:
            raise TooLarge("BodyTooLarge", limit=limit)
        chunks.append(chunk)
        if not message.get("more_body", False):
            return chunks[0] if len(chunks) == 1 else b"".join(chunks)
