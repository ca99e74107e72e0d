"""No value of a secret is ever in a file, a log line, an error, a metric or a column: shown with canaries.

A hundred canaries go in through every route and every kind of error. Then everything that the server wrote is searched
for them, as they are and in every spelling that a log or a database might give them.
"""

from __future__ import annotations

import base64
import json
import os
import re
import secrets
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest
from psycopg import sql

from tests.rawhttp import RawConnection, exchange, head
from tests.serving import Estate, estate_on
from tests.vaults import VaultClient, unpadded, version_of

API = "?api-version=7.6"
COUNT = 100


class Canaries:
    """Values that all begin with one word, which occurs nowhere else; half of them hold characters that get escaped."""

    def __init__(self) -> None:
        self.word = secrets.token_hex(10)
        self.used: list[str] = []

    def next(self) -> str:
        """A new one."""
        rest = secrets.token_hex(4)
        canary = self.word + (rest if len(self.used) % 2 else f'"ä/+&\\{rest}')
        self.used.append(canary)
        return canary


def spellings(canary: str) -> set[bytes]:
    """How a value may look after somebody wrote it down."""
    raw = canary.encode()
    texts = {canary, json.dumps(canary)[1:-1], json.dumps(canary, ensure_ascii=False)[1:-1], quote(canary, safe="")}
    texts |= {quote(canary), raw.hex(), raw.hex().upper(), repr(raw)[2:-1], repr(canary)[1:-1]}
    found = {text.encode() for text in texts} | {canary.encode("utf-16-le"), canary.encode("utf-16-be")}
    for shift in range(3):  # wherever in a longer text it began
        body = base64.b64encode(b"\0" * shift + raw)
        inside = body[(0, 2, 3)[shift] :].rstrip(b"=")
        inside = inside[: len(inside) - (2 if (shift + len(raw)) % 3 else 0)]
        found |= {inside, inside.translate(bytes.maketrans(b"+/", b"-_"))}
    return found


class Haystack:
    """Everything that a server wrote, by where it was found."""

    def __init__(self) -> None:
        self.pieces: dict[str, bytes] = {}

    def add_files(self, folder: Path) -> None:
        """All files below a folder."""
        for path in folder.rglob("*"):
            if path.is_file():
                content = re.sub(rb"\0{64,}", b"\0", path.read_bytes())  # empty pages would only take time
                self.pieces[str(path.relative_to(folder.parent))] = content

    def add_tables(self, url: str) -> None:
        """Every column of every row of every table."""
        with psycopg.connect(url) as connection:
            tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
            assert len(tables) > 5
            for (table,) in tables:
                rows = connection.execute(sql.SQL("SELECT * FROM {}").format(sql.Identifier(table))).fetchall()
                cells = (cell if isinstance(cell, bytes) else str(cell).encode() for row in rows for cell in row)
                self.pieces[f"table {table}"] = b"\n".join(cells)

    def places_of(self, canary: str) -> list[str]:
        """Where it is, in whatever spelling."""
        wanted = spellings(canary)
        return [place for place, content in self.pieces.items() if any(each in content for each in wanted)]


@pytest.fixture(params=["sqlite", "postgresql"])
def talkative(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Estate]:
    """A server that logs all it ever logs."""
    yield from estate_on(request.param, request, tmp_path, CLAVIGER_LOG_LEVEL="debug", CLAVIGER_SWEEP_S="1")


def test_no_value_is_written_down_anywhere(talkative: Estate, request: pytest.FixtureRequest):
    server, canaries = talkative.server, Canaries()
    vault = talkative.make_vault()
    answers: list[str] = []
    _live(vault, canaries)
    answers += _err(talkative, vault, canaries)
    _sign_in_wrongly(talkative, canaries)
    while len(canaries.used) < COUNT:
        vault.put(f"last-{len(canaries.used)}", canaries.next())
    server.command("keys", "rotate", "--root", "--data-keys", "--signing")
    vault.put("visible", "hidden", contentType="control-in-clear", tags={"coded": unpadded(b"control-in-base64 ")})

    server.kill()  # with whatever stands in memory and in the write-ahead log
    haystacks = [_all_that_was_written(talkative, request)]
    server.start()
    server.restart()
    metrics = talkative.http.get(f"{server.login}/metrics").text
    haystacks.append(_all_that_was_written(talkative, request))
    haystacks[1].pieces |= {"metrics": metrics.encode(), "answers to errors": "\n".join(answers).encode()}
    haystacks[1].pieces["commands"] = json.dumps(
        [server.command("vault", "list"), server.command("app", "list")]
    ).encode()

    for number, haystack in enumerate(haystacks):
        # The search itself works: what is kept in clear is found, in clear and in base64.
        assert haystack.places_of("control-in-clear"), number
        assert haystack.places_of("control-in-base64"), number
        assert haystack.places_of(canaries.word) == [], f"haystack {number}"
        told = server.exported
        for name in ("AZURE_CLIENT_SECRET", "IDENTITY_HEADER"):
            assert haystack.places_of(told[name]) == [], name
        assert haystack.places_of(str(vault.token).rsplit(".", 1)[1]) == []


def _all_that_was_written(estate: Estate, request: pytest.FixtureRequest) -> Haystack:
    haystack = Haystack()
    haystack.add_files(estate.server.data.parent)
    assert any(place.endswith("server.log") for place in haystack.pieces)
    assert any(place.endswith("root.key") for place in haystack.pieces)
    if estate.server.database_url is not None:
        haystack.add_tables(estate.server.database_url)
        if "CLAVIGER_TEST_POSTGRES_URL" not in os.environ:  # the server is ours, and so are its files
            haystack.add_files(request.getfixturevalue("postgres_cluster").folder / "data" / "pg_wal")
    else:
        assert any(place.endswith("claviger.db") for place in haystack.pieces)
    return haystack


def _live(vault: VaultClient, canaries: Canaries) -> None:
    """Through everything that works."""
    for number in range(20):
        name = f"s{number}"
        vault.put(name, canaries.next())
        vault.put(name, canaries.next())
        vault.get(name)
    vault.patch("s0", tags={"a": "b"})
    vault.patch("s1", attributes={"enabled": False})
    for name in ("s2", "s3", "s4"):
        blob = vault.backup(name)
        vault.delete(name)
        if name == "s3":
            vault.recover(name)
        if name == "s4":
            vault.purge(name)
            vault.restore(blob)
    list(vault.pages("/secrets", maxresults=3))
    vault.versions("s0")


def _err(estate: Estate, vault: VaultClient, canaries: Canaries) -> list[str]:
    """Through everything that is refused; the bodies of the answers."""
    said: list[str] = []

    def ask(method: str, path: str, content: str | bytes, **more: str) -> None:
        said.append(vault.ask(method, path, content=content, headers=more).text)

    def quoted() -> str:
        return json.dumps(canaries.next())

    vault.put("off", canaries.next(), attributes={"enabled": False})
    said.append(vault.ask("GET", "/secrets/off").text)
    for path in ("/secrets/e1", "/secrets/under_score", "/secrets/s2", "/deletedsecrets/e1", "/nowhere"):
        for nobody in (vault, vault.as_caller(None), vault.as_caller(str(vault.token) + "x")):
            answer = nobody.ask("PUT", path, {"value": canaries.next(), "contentType": "x" * 300})
            said.append(answer.text)
    for template in (
        '{"value":%s', '{"value":[%s]}', '{"value":{"a":%s}}', '{"value":"x","contentType":[%s]}', "[%s]", "%s",
        '{"value":%s,"tags":{"a":1}}', '{"value":%s,"attributes":{"exp":"x"}}', '{"value":%s,"attributes":5}',
        '{"value":%s}}', '{"vaule":%s}', '{"value":"x","tags":[%s]}', '{"value":"x","attributes":{"enabled":%s}}',
        '{"value":%s,"attributes":{"exp":-1}}', '{"value":%s,"x":"\\ud800"}', '{"value":%s,"attributes":{"nbf":1e999}}',
    ):  # fmt: skip
        ask("PUT", "/secrets/e2", template % quoted())
        ask("PATCH", "/secrets/s5/", template % quoted())
    ask("PUT", "/secrets/e3", json.dumps({"value": canaries.next() + "x" * 25_600}))
    ask("PUT", "/secrets/e3", canaries.next() * 40_000)
    ask("PUT", "/secrets/e3", b"\xff" + canaries.next().encode())
    ask("PATCH", "/secrets/s5/", json.dumps({"value": canaries.next()}))
    ask("POST", "/secrets/restore", json.dumps({"value": canaries.next()}))
    ask("POST", "/secrets/restore", json.dumps({"value": unpadded(canaries.next().encode())}))
    ask("GET", "/secrets", json.dumps({"value": canaries.next()}))
    lower = estate.make_application()
    said.append(vault.as_caller(estate.token(lower)).ask("PUT", "/secrets/e4", {"value": canaries.next()}).text)
    said.append(vault.ask("GET", f"/secrets/s0/{version_of(vault.get('s5'))}").text)
    _break_off(vault, canaries)
    return said


def _break_off(vault: VaultClient, canaries: Canaries) -> None:
    """Through requests that are no HTTP, or end in the middle."""
    body = json.dumps({"value": canaries.next()}).encode()
    lines = ("Content-Type: application/json", f"Content-Length: {len(body) + 5}")
    with RawConnection(vault.server, vault.host) as connection:
        connection.send(head("PUT", "/secrets/cut" + API, vault.host, vault.token, *lines) + body)
    bad = head("PUT", "/secrets/cut" + API, vault.host, vault.token, "Transfer-Encoding: chunked")
    assert exchange(vault.server, vault.host, bad + canaries.next().encode() + b"\r\n").status == 400
    assert exchange(vault.server, vault.host, canaries.next().encode() + b" / HTTP/1.1\r\n\r\n").status == 400


def _sign_in_wrongly(estate: Estate, canaries: Canaries) -> None:
    """Through the login host: what a client takes for its secret is one, even where it is wrong."""
    url = f"{estate.server.login}/{estate.tenant_id}/oauth2/v2.0/token"
    form = {"grant_type": "client_credentials", "client_id": estate.demo_application.client_id}
    for more in ({"client_secret": canaries.next()}, {"client_secret": canaries.next(), "scope": "x"}):
        assert estate.http.post(url, data=form | more).status_code in (400, 401)
    assert estate.http.post(url, content=canaries.next().encode()).status_code in (400, 401)
    header = {"X-IDENTITY-HEADER": unpadded(canaries.next().encode())}
    query = {"api-version": "2019-08-01", "resource": "https://vault.azure.net"}
    answer = estate.http.get(estate.server.exported["IDENTITY_ENDPOINT"], params=query, headers=header)
    assert answer.status_code == 401


@pytest.mark.parametrize("shift", range(3))
def test_the_search_finds_every_spelling(shift: int):
    haystack = Haystack()
    canaries = Canaries()
    for number in range(4):
        raw = canaries.next().encode()
        coded = base64.b64encode(b"abc"[:shift] + raw + b"more")
        for written in (raw, raw.hex().encode(), coded, raw.decode().encode("utf-16-le")):
            haystack.pieces = {f"place {number}": b"before " + written + b" after"}
            assert haystack.places_of(canaries.word) == [f"place {number}"]
            assert haystack.places_of(Canaries().word) == []
