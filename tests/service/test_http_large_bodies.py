"""200 MB that nobody wants, sent over TLS by the clients people use: the answer arrives, memory stays flat."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from claviger.core.clock import SystemClock
from claviger.server.authority import open_authority
from claviger.server.contexts import HostContexts
from claviger.server.metrics import resident_bytes
from claviger.server.run import Tls
from scripts.machine import node
from tests.needs import missing
from tests.wire_server import MemoryBox, Served, served

MIB = 1024 * 1024
SIZE = 200 * MIB
GROWTH = 40 * MIB
PATHS = ("early/401", "early/413", "limited/65536")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where ca.pem is."""
    return tmp_path_factory.mktemp("tls")


@pytest.fixture(scope="module")
def it(folder: Path) -> Iterator[Served]:
    """A server with TLS and the limits it has in earnest."""
    authority = asyncio.run(open_authority(folder, MemoryBox(), SystemClock()))
    contexts = HostContexts(authority, lambda _: False, SystemClock())
    with served(tls=Tls(contexts.context, contexts.refresh)) as running:
        yield running


@pytest.fixture(autouse=True)
def _flat(it: Served) -> Iterator[None]:
    before, taken = resident_bytes(), it.app.body_bytes
    yield
    assert resident_bytes() - before < GROWTH
    assert it.app.body_bytes - taken < MIB
    with it.connection() as connection:
        connection.close()


def expected(path: str) -> int:
    """The status of the early answer."""
    return 401 if "401" in path else 413


class Zeros:
    """A file of zeros that is never in memory."""

    def __init__(self) -> None:
        self.left = SIZE

    def __len__(self) -> int:
        return SIZE

    def read(self, size: int = -1) -> bytes:
        """As a file does."""
        piece = bytes(min(self.left, 65536 if size < 0 else size))
        self.left -= len(piece)
        return piece


@pytest.mark.parametrize("path", PATHS)
class TestPythonRequests:
    def test_with_a_length(self, it: Served, folder: Path, path: str) -> None:
        url = f"https://127.0.0.1:{it.port}/{path}"
        answer = requests.put(url, data=Zeros(), verify=str(folder / "ca.pem"), timeout=60)
        assert answer.status_code == expected(path)
        assert answer.json()

    def test_in_chunks(self, it: Served, folder: Path, path: str) -> None:
        url = f"https://127.0.0.1:{it.port}/{path}"
        chunks = (bytes(65536) for _ in range(SIZE // 65536))
        answer = requests.put(url, data=chunks, verify=str(folder / "ca.pem"), timeout=60)
        assert answer.status_code == expected(path)
        assert answer.json()

    def test_and_the_session_goes_on(self, it: Served, folder: Path, path: str) -> None:
        with requests.Session() as session:
            session.verify = str(folder / "ca.pem")
            for _ in range(3):
                url = f"https://127.0.0.1:{it.port}"
                assert session.get(f"{url}/hello/a", timeout=60).json() == {"hello": "a"}
                answer = session.put(f"{url}/{path}", data=Zeros(), timeout=60)
                assert answer.status_code == expected(path)
                assert session.put(f"{url}/early/401", data=b"x" * 100_000, timeout=60).status_code == 401


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("how", ["with leave", "at once", "in chunks"])
def test_curl(it: Served, folder: Path, tmp_path: Path, path: str, how: str) -> None:
    curl = shutil.which("curl") or missing("curl", "apt-get install curl")
    sparse = tmp_path / "zeros"
    with sparse.open("wb") as file:
        file.truncate(SIZE)
    more = {"with leave": [], "at once": ["-H", "Expect:"], "in chunks": ["-H", "Transfer-Encoding: chunked"]}[how]
    said = subprocess.run(
        [curl, "-sS", "-T", sparse, *more, "--cacert", folder / "ca.pem", "-w", " %{http_code} %{size_upload}",
         f"https://127.0.0.1:{it.port}/{path}"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    body, status, sent = said.stdout.rsplit(" ", 2)
    assert (said.returncode, int(status)) == (0, expected(path)), said.stderr
    assert body.startswith("{")
    assert int(sent) < SIZE


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("how", ["fetch", "https"])
def test_node(it: Served, folder: Path, tmp_path: Path, path: str, how: str) -> None:
    program = node()
    if program is None:
        missing("Node.js", "apt-get install nodejs")
    script = tmp_path / "put.mjs"
    script.write_text(_NODE)
    environment = {"NODE_EXTRA_CA_CERTS": str(folder / "ca.pem"), "PATH": os.environ["PATH"]}
    said = subprocess.run(
        [*program.command, script, how, f"https://127.0.0.1:{it.port}/{path}", str(SIZE)],
        env=environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert said.stdout.split() == [str(expected(path)), "object"], said.stdout + said.stderr


_NODE = """
import https from "node:https";
import {Readable} from "node:stream";
const [how, url, size] = process.argv.slice(2);
async function* zeros() { for (let left = Number(size); left > 0; left -= 65536) yield new Uint8Array(65536); }
const show = (status, text) => console.log(status, typeof JSON.parse(text));
if (how === "fetch") {
    const answer = await fetch(url, {method: "PUT", body: Readable.toWeb(Readable.from(zeros())), duplex: "half"});
    show(answer.status, await answer.text());
} else {
    const request = https.request(url, {method: "PUT"}, answer => {
        let text = "";
        answer.on("data", part => text += part);
        answer.on("end", () => { show(answer.statusCode, text); process.exit(0); });
    });
    request.on("error", () => {});
    Readable.from(zeros()).pipe(request);
}
"""
