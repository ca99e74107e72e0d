"""Trouble below HTTP: no TLS at all, a ClientHello that is spoilt, a handshake half done, records that do not open.

Nothing of it may be answered in HTTP, and none of it may leave the server hanging on: once the client has ended its
sending, the connection must be closed within 5 s, and a new client served as ever.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import ssl
from typing import Protocol

from figures.connection import TlsConnection, connect
from figures.mutations import STRANGERS, cuts, flip_bits, insert, noise, remove, repeat, truncate
from figures.patience import in_time
from figures.target import SetProduct

CLOSE_LIMIT_S = 5.0
QUIET_S = 0.05
_DAMAGE = (flip_bits, truncate, remove, repeat, insert, noise)
_FORGED = (
    b"\x15\x03\x03\x00\x02\x02\x28", b"\x15\x03\x03\x00\x02\x01\x00", b"\x14\x03\x03\x00\x01\x01",
    b"\x16\x03\x03\x00\x04\x00\x00\x00\x00", b"\x17\x03\x03\xff\xff" + b"x" * 3000, b"\x17\x03\x03\x00\x00",
    b"\x18\x03\x03\x00\x03\x01\xff\xff", b"\x17\x03\x03\x40\x00", b"\x99\x99\x99",
)  # fmt: skip


class Attacked(Protocol):
    """A server, as far as bytes need to know it."""

    product: SetProduct

    @property
    def port(self) -> int:
        """Where it listens."""
        ...

    @property
    def tls_name(self) -> str:
        """The name that TLS is asked for."""
        ...

    def without_tokens(self, raw: bytes) -> bytes:
        """A request without credentials, to be shown."""
        ...


async def attack(target: Attacked, good: bytes, dice: random.Random) -> list[tuple[str, str]]:
    """One attack, drawn with the dice; what was found."""
    way = dice.choice((_no_tls, _no_tls, _hello, _hello, _hello, _records, _records, _leaves))
    return await way(target, good, dice)


async def _no_tls(target: Attacked, good: bytes, dice: random.Random) -> list[tuple[str, str]]:
    raw = dice.choice((good, dice.randbytes(dice.randrange(1, 3000)), *STRANGERS))
    return await _on_plain_socket(target, cuts(raw, dice), "without TLS")


async def _hello(target: Attacked, _: bytes, dice: random.Random) -> list[tuple[str, str]]:
    to_server = ssl.MemoryBIO()
    tls = target.product.context.wrap_bio(ssl.MemoryBIO(), to_server, server_hostname=target.tls_name)
    with contextlib.suppress(ssl.SSLWantReadError):
        tls.do_handshake()
    hello = to_server.read()
    for damage in dice.choices(_DAMAGE, k=dice.choice((0, 1, 1, 2))):
        hello = damage(hello or b"x", dice)
    return await _on_plain_socket(target, cuts(hello, dice), "a spoilt ClientHello")


async def _on_plain_socket(target: Attacked, pieces: list[bytes], what: str) -> list[tuple[str, str]]:
    loop = asyncio.get_running_loop()
    plain = await connect(target.port)
    try:
        with contextlib.suppress(OSError):
            for piece in pieces:
                await loop.sock_sendall(plain, piece)
        await asyncio.sleep(QUIET_S)
        with contextlib.suppress(OSError):
            plain.shutdown(socket.SHUT_WR)
        said = await in_time(asyncio.create_task(_said(plain)), CLOSE_LIMIT_S)
    except TimeoutError:
        return [("hang", f"{what}: not closed in {CLOSE_LIMIT_S:g} s after {b''.join(pieces)[:400]!r}")]
    finally:
        plain.close()
    return [("not an answer", f"{what}: {said[:200]!r}")] if b"HTTP/" in said else []


async def _said(plain: socket.socket) -> bytes:
    """All that comes until the other side closes."""
    said = b""
    with contextlib.suppress(ConnectionError):
        while more := await asyncio.get_running_loop().sock_recv(plain, 65_536):
            said += more
    return said


async def _records(target: Attacked, good: bytes, dice: random.Random) -> list[tuple[str, str]]:
    """After a good handshake: records that do not open, or that nobody asked for."""
    connection = await TlsConnection.open(target.port, target.product.context, target.tls_name)
    record = connection.seal(good)
    ways = (*(damage(record, dice) for damage in _DAMAGE), dice.choice(_FORGED), record + dice.choice(_FORGED))
    return await _then_ends(connection, cuts(dice.choice(ways), dice), "spoilt records", plainly=dice.random() < 0.5)


async def _leaves(target: Attacked, good: bytes, dice: random.Random) -> list[tuple[str, str]]:
    """Ends in the middle, with or without a word."""
    connection = await TlsConnection.open(target.port, target.product.context, target.tls_name)
    record = connection.seal(good[: dice.randrange(len(good))])
    pieces = [] if dice.random() < 0.3 else [record[: dice.randrange(len(record) + 1)]]
    return await _then_ends(connection, pieces, "leaving early", plainly=dice.random() < 0.5)


async def _then_ends(
    connection: TlsConnection, pieces: list[bytes], what: str, *, plainly: bool
) -> list[tuple[str, str]]:
    try:
        with contextlib.suppress(OSError):
            await connection.transmit(pieces)
        if plainly:
            connection.end_at_once()
        else:
            await connection.end_sending()
        await in_time(asyncio.create_task(_to_the_end(connection)), CLOSE_LIMIT_S)
    except TimeoutError:
        return [("hang", f"{what}: not closed in {CLOSE_LIMIT_S:g} s after {b''.join(pieces)[:400]!r}")]
    finally:
        connection.close()
    return []


async def _to_the_end(connection: TlsConnection) -> None:
    while await connection.receive():
        pass
