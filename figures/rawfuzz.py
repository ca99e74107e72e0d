"""The byte trial: requests spoilt at the level of bytes, and TLS spoilt below them, against the HTTP layer.

Each input gets a connection of its own. What must come of it is worked out apart, by h11: as long as the input is whole
requests, each must be answered, or the connection closed, within 5 s; where the server may rightly wait for more, it
must let go once the client has ended its sending. Now and then a connection on which all was well is asked for /health:
an answer to anything else means that the two sides disagree about where a request ends. Some unfinished inputs are not
ended at all: the server must cut them off by itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol
from urllib.parse import urlencode

import h11

from figures import below
from figures.answers import Answer, AnswerReader, NotAnAnswer
from figures.below import Attacked
from figures.connection import TlsConnection
from figures.fuzz import FuzzReport
from figures.judging import Judge
from figures.mutations import Spoiler, cuts
from figures.patience import Patience
from figures.sending import ANSWER_LIMIT_S, SEND_LIMIT_S
from figures.target import GROUP, LOGIN, MANAGEMENT, SUBSCRIPTION, SetProduct, Target, prepare

NAME = "rawfuzz"
SIZE, QUICK_SIZE = 50_000, 12_000
BELOW_SHARE = 0.1
WORKERS = 24
HELD = 24
QUIET_S = 0.08
HELD_LIMIT_S = 35.0
"""The HTTP layer gives a head 20 s; a body of which nothing comes, 20 s more."""

State = Literal["idle", "closing", "unfinished", "broken"]


@dataclass(frozen=True)
class Expected:
    """The methods of the whole requests that the bytes begin with, and what stands after them."""

    methods: tuple[str, ...]
    state: State


@dataclass(frozen=True)
class Input:
    """One input: bytes, what was done to them, how they are cut, and whether as TLS records or only as segments."""

    number: int
    raw: bytes
    tricks: tuple[str, ...]
    pieces: tuple[bytes, ...]
    one_record: bool
    pause_s: float
    asks_health: bool


def expected_of(raw: bytes) -> Expected:
    """What an RFC-abiding server (h11) makes of the bytes."""
    server = h11.Connection(h11.SERVER, max_incomplete_event_size=1_000_000)
    server.receive_data(raw)
    methods: list[str] = []

    def so_far(state: State) -> Expected:
        return Expected(tuple(methods[:count]), state)

    count = 0
    try:
        while True:
            event = server.next_event()
            if event is h11.NEED_DATA:
                at_rest = server.their_state is h11.IDLE and not server.trailing_data[0].strip(b"\r\n")
                return so_far("idle" if at_rest else "unfinished")
            if isinstance(event, h11.Request):
                methods.append(event.method.decode("ascii"))
            elif isinstance(event, h11.EndOfMessage):
                count += 1
                server.send(h11.Response(status_code=200, headers=[("Content-Length", "0")]))
                server.send(h11.EndOfMessage())
                if (server.our_state, server.their_state) != (h11.DONE, h11.DONE):
                    return so_far("closing")
                server.start_next_cycle()
            elif event is h11.PAUSED or isinstance(event, h11.ConnectionClosed):
                return so_far("closing")
    except (h11.RemoteProtocolError, h11.LocalProtocolError):
        return so_far("broken")


def run(folder: Path, inputs: int, seed: int, held: int = HELD) -> FuzzReport:
    """Sends so many inputs to a fresh server below `folder`; `held` more are left unfinished."""
    report = FuzzReport(seed, NAME)
    product = SetProduct(folder / NAME)
    try:
        product.start()
        target = prepare(product, seed)
        target.begin()
        trial = ByteTrial(target, report, good_requests(target), Judge())
        asyncio.run(trial.send_all(inputs, held))
        report.growth_mib = target.growth_mib()
        for kind, detail in target.findings():
            report.add(kind, detail)
    finally:
        product.kill()
    return report


class Judges(Protocol):
    """Who says what is wrong with an answer."""

    def of_bytes(self, answer: Answer) -> list[tuple[str, str]]:
        """Of one to bytes of which nobody knows what they are."""
        ...


class ByteTrial:
    """Spoils `good` requests as bytes and sends them."""

    def __init__(self, target: Attacked, report: FuzzReport, good: Sequence[bytes], judge: Judges) -> None:
        self._target = target
        self._report = report
        self._judge = judge
        self._host = target.tls_name
        self._good = good
        self._health = f"GET /health HTTP/1.1\r\nHost: {self._host}\r\n\r\n".encode()

    async def send_all(self, count: int, held: int, *, first: int = 0) -> None:
        """So many inputs, their numbers from `first` on, and `held` more that are left unfinished."""
        line = self._inputs(range(first, first + count))
        workers = [self._work(line) for _ in range(WORKERS)]
        dice = random.Random(f"held/{self._report.seed}")
        patient = [self._hold(dice.choice(self._good), dice.random()) for _ in range(held)]
        await asyncio.gather(*workers, *patient)

    def _inputs(self, numbers: range) -> Iterator[Input]:
        """Each input has dice of its own, so that one can be made again without the others."""
        spoiler = Spoiler(self._good, f"{self._host}:{self._target.port}".encode())
        for number in numbers:
            dice = random.Random(f"{self._report.seed}/{number}")
            if dice.random() < BELOW_SHARE:
                yield Input(number, b"", ("below",), (), False, 0.0, False)
                continue
            raw, tricks = spoiler.spoil(dice)
            pause_s = 0.02 if dice.random() < 0.02 else 0.0
            yield Input(number, raw, tricks, tuple(cuts(raw, dice)), dice.random() < 0.3, pause_s, dice.random() < 0.3)

    async def _work(self, line: Iterator[Input]) -> None:
        report = self._report
        for each in line:
            report.inputs += 1
            try:
                if each.tricks == ("below",):
                    report.parts["TLS"] += 1
                    dice = random.Random(f"below/{report.seed}/{each.number}")
                    findings = await below.attack(self._target, self._good[0], dice)
                else:
                    report.parts["HTTP"] += 1
                    findings = await self._send(each)
            except OSError as problem:  # not even a connection
                findings = [("no answer", f"{type(problem).__name__}: {problem}")]
            for kind, detail in findings:
                shown = self._target.without_tokens(each.raw[:3000])
                report.add(kind, f"{detail} | input {each.number} {each.tricks} | {shown!r}")

    async def _open(self) -> TlsConnection:
        return await TlsConnection.open(self._target.port, self._target.product.context, self._host)

    async def _send(self, each: Input) -> list[tuple[str, str]]:
        connection = await self._open()
        sending = asyncio.create_task(self._transmit(connection, each))
        talk = _Talk(connection, each.raw, self._judge)
        try:
            await talk.listen(sending, expected_of(each.raw))
            if talk.at_rest and each.asks_health:
                await talk.ask_health(self._health)
        finally:
            sending.cancel()
            talk.close()
        for answer in talk.answers:
            self._report.statuses[str(answer.status)] += 1
        self._report.statuses["closed without an answer"] += not talk.answers
        self._report.longest_s = max(self._report.longest_s, talk.longest_s)
        return talk.findings

    async def _transmit(self, connection: TlsConnection, each: Input) -> None:
        if each.one_record:
            pieces = cuts(connection.seal(each.raw), random.Random(each.number))
        else:
            pieces = [connection.seal(piece) for piece in each.pieces]
        try:
            async with asyncio.timeout(SEND_LIMIT_S):
                await connection.transmit(pieces, each.pause_s)
        except OSError:
            pass  # closed meanwhile: what was answered can still be read

    async def _hold(self, good: bytes, share: float) -> None:
        """An unfinished request, left alone: the server must end it."""
        self._report.parts["left unfinished"] += 1
        raw = good[: max(1, int(len(good) * share) - 1)]
        connection = await self._open()
        talk = _Talk(connection, raw, self._judge)
        try:
            await connection.send([raw])
            if not await talk.until_closed(HELD_LIMIT_S):
                talk.findings.append(("hang", f"an unfinished request was not ended in {HELD_LIMIT_S:g} s"))
        finally:
            talk.close()
        for kind, detail in talk.findings:
            self._report.add(kind, f"{detail} | left unfinished | {self._target.without_tokens(raw)!r}")


class _Talk:
    """One connection's answers, and what is wrong with them."""

    def __init__(self, connection: TlsConnection, raw: bytes, judge: Judges) -> None:
        self._connection = connection
        self._judge = judge
        self._reader = AnswerReader(may_lack_body=b"head" in raw.lower())
        self.answers: list[Answer] = []
        self.findings: list[tuple[str, str]] = []
        self.longest_s = 0.0
        self.at_rest = False
        self._closed = False
        self._receiving: asyncio.Task[bytes] | None = None
        self._methods: tuple[str, ...] = ()

    async def listen(self, sending: asyncio.Task[None], expected: Expected) -> None:
        """Reads until everything has come that must come."""
        self._methods = expected.methods
        while not self._closed:
            answered = len(self.answers) >= len(expected.methods)
            if answered and expected.state == "idle" and sending.done():
                self.at_rest = not any(answer.closes for answer in self.answers) and self._reader.idle
                return
            sent = sending.done()
            may_wait = expected.state in ("unfinished", "broken") and answered
            came = self._next(QUIET_S) if may_wait or not sent else self._comes(ANSWER_LIMIT_S)
            if await came or not sent:
                continue
            if may_wait:
                await self._end()
            else:
                missing = f"{len(self.answers)} answers to {len(expected.methods)} requests"
                self.findings.append(("hang", f"{missing} in {ANSWER_LIMIT_S:g} s, then {expected.state}"))
                return

    async def _end(self) -> None:
        """Stops sending; the server must close."""
        await self._connection.end_sending()
        if not await self.until_closed(ANSWER_LIMIT_S):
            self.findings.append(("hang", f"not closed {ANSWER_LIMIT_S:g} s after the client had ended"))
            self._closed = True

    async def until_closed(self, within_s: float) -> bool:
        """Reads to the end; whether it came in time."""
        patience = Patience(within_s)
        while not self._closed and (left_s := patience.left_s) > 0:
            await self._next(left_s)
        return self._closed

    async def _comes(self, within_s: float) -> bool:
        """The same as `_next`, with patience."""
        patience = Patience(within_s)
        while (left_s := patience.left_s) > 0:
            if await self._next(left_s):
                return True
        return False

    async def ask_health(self, request: bytes) -> None:
        """One more request, to see whether both sides agree where they are."""
        before = len(self.answers)
        with contextlib.suppress(OSError):
            await self._connection.send([request])
        while not self._closed and len(self.answers) == before:
            if not await self._comes(ANSWER_LIMIT_S):
                self.findings.append(("hang", "no answer to /health on a connection at rest"))
                return
        if len(self.answers) != before + 1 or b'"ready"' not in self.answers[-1].body:
            told = self.answers[-1].body[:200] if len(self.answers) > before else b""
            self.findings.append(("not an answer", f"to /health, on a connection at rest: {told!r}"))

    async def _next(self, within_s: float) -> bool:
        """Takes what comes next; False where nothing came in time."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        # Never cancelled, only waited for again: a time-out in the very moment of arrival would lose what arrived.
        self._receiving = self._receiving or asyncio.create_task(self._connection.receive())
        await asyncio.wait({self._receiving}, timeout=within_s)
        if not self._receiving.done():
            return False
        self.longest_s = max(self.longest_s, loop.time() - began)
        more, self._receiving = self._receiving.result(), None
        self._take(more)
        return True

    def close(self) -> None:
        """Lets go of the connection."""
        if self._receiving is not None:
            self._receiving.cancel()
        self._connection.close()

    def _read(self) -> Answer | None:
        at = len(self.answers)
        return self._reader.next(self._methods[at] if at < len(self._methods) else "GET")

    def _take(self, more: bytes) -> None:
        self._closed = self._closed or not more
        self._reader.feed(more)
        try:
            for answer in iter(self._read, None):
                self.answers.append(answer)
                self.findings += self._judge.of_bytes(answer)
        except NotAnAnswer as problem:
            self.findings.append(("not an answer", str(problem)))
            self._closed = True


def good_requests(target: Target) -> list[bytes]:
    """Requests with nothing wrong, of every kind: what is spoilt."""
    host, officer, manager = target.host(target.vault), target.tokens["officer"], target.managing["officer"]
    form = urlencode(
        {"grant_type": "client_credentials", "client_id": "nobody", "scope": "https://vault.azure.net/.default"}
    )
    value = '{"value":"raw","tags":{"a":"b"},"attributes":{"exp":2000000000}}'
    chunked = f"{len(value):x}\r\n{value}\r\n0\r\n\r\n"
    vault = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}/providers/Microsoft.KeyVault/vaults/raw"
    kinds = [
        ("GET", host, "/secrets/fuzz-1?api-version=7.6", officer, "", ""),
        ("GET", host, "/secrets/fuzz-1/?api%2Dversion=7.4", "", "", ""),
        ("GET", host, "/secrets?api-version=7.6&maxresults=2&$skiptoken=ZnV6ei0x", officer, "", ""),
        ("PUT", host, "/secrets/raw?api-version=7.6", officer, "Content-Type: application/json", value),
        ("PUT", host, "/secrets/raw?api-version=7.6", "", "", ""),
        ("PUT", host, "/secrets/raw?api-version=7.4", officer, "Transfer-Encoding: chunked", chunked),
        (
            "PATCH",
            host,
            "/secrets/fuzz-3/?api-version=7.6",
            officer,
            "Content-Type: application/json",
            '{"contentType":"x"}',
        ),
        ("PUT", host, "/secrets/raw?api-version=7.6", officer, "Expect: 100-continue", value),
        ("POST", host, "/secrets/restore?api-version=7.6", officer, "", '{"value":"AAAA"}'),
        ("POST", host, "/secrets/fuzz-3/backup?api-version=7.6", officer, "", ""),
        ("DELETE", host, "/deletedsecrets/raw?api-version=7.6", officer, "", ""),
        ("HEAD", host, "/secrets/fuzz-1?api-version=7.6", officer, "", ""),
        ("GET", "localhost", "/api/v1/cckm/azure/secrets?limit=10&secret_name=raw", "", "", ""),
        ("GET", "localhost", "/api/v1/auth/jwks.json", "", "", ""),
        ("POST", "localhost", "/api/v1/auth/revoke", officer, "Content-Type: application/json", '{"jwt":"raw"}'),
        (
            "POST",
            LOGIN,
            f"/{target.tenant_id}/oauth2/v2.0/token",
            "",
            "Content-Type: application/x-www-form-urlencoded",
            form,
        ),
        ("GET", LOGIN, "/common/v2.0/.well-known/openid-configuration", "", "", ""),
        (
            "GET",
            LOGIN,
            "/msi/token?api-version=2019-08-01&resource=https://vault.azure.net",
            "",
            "X-IDENTITY-HEADER: wrong",
            "",
        ),
        ("GET", MANAGEMENT, "/subscriptions?api-version=2022-12-01", manager, "", ""),
        (
            "PUT",
            MANAGEMENT,
            f"{vault}?api-version=2023-07-01",
            manager,
            "Content-Type: application/json",
            '{"location":"local"}',
        ),
        ("GET", host, "/health", "", "", ""),
        ("GET", host, "/metrics", "", "Connection: close", ""),
    ]
    return [_written(target.port, *kind) for kind in kinds]


def _written(port: int, method: str, host: str, path: str, token: str, line: str, body: str) -> bytes:
    length = [] if "chunked" in line or (not body and method in ("GET", "HEAD")) else [f"Content-Length: {len(body)}"]
    bearer = [f"Authorization: Bearer {token}"] if token else []
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}:{port}", *bearer, *filter(None, [line]), *length, "", ""]
    return "\r\n".join(itertools.chain(lines)).encode() + body.encode()
