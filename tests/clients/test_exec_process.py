"""`claviger exec` as a process: the program is as if nothing were around it, and what is beside it ends with it."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from claviger.core.clock import SystemClock
from claviger.server.authority import open_authority
from tests.executing import Shell, shell_on, until
from tests.needs import missing
from tests.server import RunningServer
from tests.wire_server import MemoryBox

ASKING = """
import sys, urllib.request, urllib.error
for line in sys.stdin:
    try:
        urllib.request.urlopen("https://demo.vault.azure.net/secrets?api-version=7.4")
    except urllib.error.HTTPError as answer:
        print(answer.code, flush=True)
    except OSError as failure:
        print(failure, flush=True)
"""


@pytest.fixture(autouse=True)
def signals_as_in_a_terminal() -> Iterator[None]:
    """Who runs the tests in the background may ignore signals, and everything that they start would ignore them too."""
    numbers = (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1)
    ignored = [number for number in numbers if signal.getsignal(number) is signal.SIG_IGN]
    for number in ignored:
        signal.signal(number, signal.SIG_DFL)
    yield
    for number in ignored:
        signal.signal(number, signal.SIG_IGN)


@pytest.fixture
def own_shell(tmp_path: Path) -> Iterator[Shell]:
    """For a test that stops the server."""
    with shell_on(tmp_path) as made:
        yield made


@pytest.mark.parametrize("code", [0, 1, 7, 255])
def test_the_exit_code_is_the_programs(shell: Shell, code: int) -> None:
    assert shell.run("sh", "-c", f"exit {code}").returncode == code


def test_standard_streams_are_the_programs_own(shell: Shell) -> None:
    given = bytes(range(256)) * 8_000
    done = shell.run("sh", "-c", "cat; echo oops >&2", given=given, options=("--quiet",))
    assert done.stdout == given
    assert done.stderr == b"oops\n"


def test_it_says_what_it_does_on_standard_error(shell: Shell) -> None:
    done = shell.run("true")
    lines = done.stderr.decode().splitlines()
    assert done.stdout == b""
    assert 2 <= len(lines) <= 3
    assert all(line.startswith("claviger exec: ") for line in lines)
    assert f"the server at https://127.0.0.1:{shell.server.port}" in lines[0]
    assert "to Azure as the demo application, to OCI as the demo user" in lines[1]
    told = shell.run("true", more={"AZURE_CLIENT_ID": "own"}).stderr
    assert b"with the credentials that are set" in told


def test_arguments_arrive_as_they_are(shell: Shell) -> None:
    words = ["--data", "x", "--", "--print", "a b", "", "ä", "-h"]
    said = shell.said(sys.executable, "-c", "import sys; sys.stdout.write(repr(sys.argv[1:]))", *words)
    assert said == repr(words)


def test_the_program_takes_the_place_of_the_command(shell: Shell) -> None:
    with shell.started("sh", "-c", "echo $$; read line") as process:
        assert process.stdout is not None
        assert int(process.stdout.readline()) == process.pid


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1])
def test_a_signal_reaches_the_program(shell: Shell, number: signal.Signals) -> None:
    with shell.started("sh", "-c", "echo ready; read line") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(number)
        assert process.wait(60) == -number


def test_a_program_may_handle_its_signals(shell: Shell) -> None:
    program = "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit(3)); print(1, flush=True); input()"
    with shell.started(sys.executable, "-c", program) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"1\n"
        process.terminate()
        assert process.wait(60) == 3


def test_signals_that_python_ignores_are_not_ignored_for_the_program(shell: Shell) -> None:
    assert shell.run("sh", "-c", "kill -PIPE $$; exit 0").returncode == -signal.SIGPIPE


def test_an_interrupt_from_the_keyboard_leaves_the_proxy_to_a_program_that_goes_on(shell: Shell) -> None:
    program = f"import os, signal; signal.signal(signal.SIGINT, lambda *_: os.write(1, b'no\\n'))\n{ASKING}"
    with shell.started(sys.executable, "-c", program) as process:
        assert ask(process) == "401"
        os.killpg(process.pid, signal.SIGINT)  # the whole session, as the terminal does
        # Python may only get round to its handler when the read that it is about to begin has ended.
        assert ask(process) == "no"
        assert process.stdout is not None
        assert process.stdout.readline() == b"401\n"


def test_the_program_has_no_child_that_it_did_not_start(shell: Shell) -> None:
    program = "import os\ntry: print(os.wait())\nexcept ChildProcessError: print('none')"
    assert shell.said(sys.executable, "-c", program) == "none\n"


def test_it_gets_no_descriptor_that_it_did_not_have(shell: Shell) -> None:
    program = "import os; print([n for n in range(3, 200) if os.path.exists(f'/dev/fd/{n}')])"
    with_it = shell.said(sys.executable, "-c", program)
    assert with_it == subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_the_proxy_ends_with_the_program(shell: Shell, number: signal.Signals) -> None:
    with shell.started("sh", "-c", "echo $HTTPS_PROXY; read line") as process:
        port = proxy_port(process)
        socket.create_connection(("127.0.0.1", port), 30).close()
        process.send_signal(number)
        process.wait(60)
        until(lambda: not listens(port), "the proxy outlived its program")


def test_a_background_process_does_not_hold_up_who_waits_for_the_output(shell: Shell) -> None:
    """The proxy's process has none of the program's streams: `claviger exec ... | cat` ends when the program ends."""
    done = shell.run("sh", "-c", "echo out", options=("--quiet",))
    assert (done.returncode, done.stdout, done.stderr) == (0, b"out\n", b"")


def test_its_own_trust_files_go_with_it(shell: Shell, tmp_path: Path) -> None:
    folder = tmp_path / "temporary"
    folder.mkdir()
    own = tmp_path / "own.pem"
    own.write_text("-----BEGIN CERTIFICATE-----\nown\n-----END CERTIFICATE-----\n")
    more = {"TMPDIR": str(folder), "REQUESTS_CA_BUNDLE": str(own)}
    with shell.started("sh", "-c", "echo $REQUESTS_CA_BUNDLE; read line", more=more) as process:
        assert process.stdout is not None
        merged = Path(process.stdout.readline().decode().strip())
        assert merged.is_relative_to(folder)
        text = merged.read_text()
        assert text.startswith(own.read_text())
        assert (shell.server.data / "tls" / "ca.pem").read_text() in text
        process.terminate()
        process.wait(60)
    until(lambda: list(folder.iterdir()) == [], "trust files were left behind")


def test_no_secret_stands_on_a_command_line(shell: Shell) -> None:
    if shutil.which("ps") is None:
        missing("ps", "`apt-get install procps`")
    with shell.started("sh", "-c", "echo $HTTPS_PROXY; echo $AZURE_CLIENT_SECRET; read line") as process:
        assert process.stdout is not None
        password = urlsplit(process.stdout.readline().decode().strip()).password
        secret = process.stdout.readline().decode().strip()
        lines = subprocess.run(["ps", "-A", "-o", "args="], capture_output=True, text=True, check=True).stdout
    assert password
    assert secret
    assert "claviger.cli.tunnelling" in lines
    for word in (password, secret, "secret-of-the-guard"):
        assert word not in lines


def test_another_process_may_not_use_the_proxy(shell: Shell) -> None:
    with shell.started("sh", "-c", "echo $HTTPS_PROXY; read line") as process:
        port = proxy_port(process)
        for target in ("demo.vault.azure.net:443", f"127.0.0.1:{shell.server.port}"):
            with socket.create_connection(("127.0.0.1", port), 20) as stranger:
                stranger.sendall(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode())
                assert stranger.recv(4096).startswith(b"HTTP/1.1 407 ")


def test_the_server_may_be_started_anew_elsewhere(own_shell: Shell) -> None:
    with own_shell.started(sys.executable, "-c", ASKING) as process:
        assert ask(process) == "401"
        own_shell.server.stop()
        assert "502" in ask(process), "nothing for a cloud goes anywhere else"
        before, own_shell.server.port = own_shell.server.port, 0
        with socket.create_server(("127.0.0.1", before)):
            own_shell.server.start()
        assert own_shell.server.port != before
        assert ask(process) == "401"


def test_modules_in_the_folder_of_the_user_stay_out_of_it(shell: Shell, tmp_path: Path) -> None:
    for name in ("asyncio", "secrets", "socket", "claviger"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('a module of the user')")
    asking = 'curl -qsS -o /dev/null -w "%{http_code}" "https://demo.vault.azure.net/secrets?api-version=7.4"'
    done = shell.run("sh", "-c", asking, options=("--quiet",), cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"401", b"")


def test_print_shows_and_runs_nothing(shell: Shell, tmp_path: Path) -> None:
    more = {"IDENTITY_ENDPOINT": "https://login.localhost:1/msi/token", "NO_PROXY": "*"}
    done = shell.run("touch", str(tmp_path / "made"), options=("--print",), more=more)
    lines = done.stdout.decode().splitlines()
    assert done.returncode == 0
    assert not (tmp_path / "made").exists()
    assert "set    HTTPS_PROXY=http://claviger:***@127.0.0.1:PORT" in lines
    assert "set    AZURE_CLIENT_SECRET=***" in lines
    assert "set    AZURE_KEYVAULT_URL=https://demo.vault.azure.net" in lines
    assert {"unset  IDENTITY_ENDPOINT", "unset  NO_PROXY"} <= set(lines)
    exported = shell.server.exported
    assert f"set    AZURE_CLIENT_ID={exported['AZURE_CLIENT_ID']}" in lines
    assert exported["AZURE_CLIENT_SECRET"].encode() not in done.stdout + done.stderr
    assert shell.run(options=("--print",)).returncode == 0


def test_without_the_demo_application(shell: Shell) -> None:
    done = shell.run("env", options=("--no-demo",))
    assert b"AZURE_" not in done.stdout
    assert b"for none are set" in done.stderr


def test_what_cannot_be_run(shell: Shell, tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.write_text("no program")
    assert shell.run("no-such-program-anywhere").returncode == 127
    assert shell.run(str(plain)).returncode == 126
    assert shell.run(str(plain / "below")).returncode == 127
    nothing = shell.run()
    assert nothing.returncode == 2
    assert b"claviger exec -- PROGRAM" in nothing.stderr


def test_an_upstream_proxy_of_another_kind_is_refused(shell: Shell) -> None:
    done = shell.run("true", more={"HTTPS_PROXY": "", "ALL_PROXY": "socks5h://user:hidden@127.0.0.1:1"})
    assert done.returncode == 2
    assert b"ALL_PROXY" in done.stderr
    assert b"hidden" not in done.stderr


def test_without_a_server_it_says_how_to_start_one(own_shell: Shell) -> None:
    own_shell.server.stop()
    done = own_shell.run("true")
    assert done.returncode == 2
    assert b"claviger start --data" in done.stderr
    own_shell.server.start()


async def test_a_server_with_a_certificate_of_its_own_cannot_speak_for_a_cloud(shell: Shell, tmp_path: Path) -> None:
    theirs = await open_authority(tmp_path, MemoryBox(), SystemClock())
    leaf = theirs.mint(["vault.example.org"])
    (tmp_path / "chain.pem").write_bytes(leaf.chain)
    key = leaf.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "key.pem").write_bytes(key)
    settings = {"CLAVIGER_TLS_CERTIFICATE": f"{tmp_path}/chain.pem", "CLAVIGER_TLS_KEY": f"{tmp_path}/key.pem"}
    server = RunningServer(tmp_path, settings=settings)
    try:
        server.start()
        done = Shell(server, shell.guard, shell.home).run("true")
    finally:
        server.kill()
    assert done.returncode == 2
    assert b"CLAVIGER_TLS_CERTIFICATE" in done.stderr


def ask(process: subprocess.Popen[bytes]) -> str:
    """Lets a program that runs `ASKING` ask once; what it says of the answer."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b"\n")
    process.stdin.flush()
    return process.stdout.readline().decode().strip()


def proxy_port(process: subprocess.Popen[bytes]) -> int:
    """The port in the first line that the program writes: the proxy's URL."""
    assert process.stdout is not None
    port = urlsplit(process.stdout.readline().decode().strip()).port
    assert port
    return port


def listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 30).close()
    except OSError:
        return False
    return True
