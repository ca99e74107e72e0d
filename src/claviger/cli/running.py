"""A server in the background: the small file by which commands find it, starting it, waiting for it, stopping it."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import msgspec

from claviger.core.errors import Misconfigured
from claviger.settings import Settings

START_LIMIT_S = 90.0
STOP_LIMIT_S = 45.0
_POLL_S = 0.05


class Running(msgspec.Struct, frozen=True):
    """Where a server answers: what it wrote when it was ready."""

    pid: int
    host: str
    port: int

    @property
    def reached_at(self) -> str:
        """The address to connect to from this machine."""
        return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104 - compared, not bound

    @property
    def url(self) -> str:
        """The base URL that does not depend on any name being resolved."""
        host = self.reached_at
        return f"https://[{host}]:{self.port}" if ":" in host else f"https://{host}:{self.port}"


@contextlib.contextmanager
def sole_server(data: Path) -> Iterator[None]:
    """Holds the data directory for one server; the lock goes with the process, however it ends.

    Raises Misconfigured("ServerRunsAlready").
    """
    # Whoever asks whether a server runs holds the lock too, for an instant: see `_is_locked`.
    descriptor = os.open(data / "server.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        for is_last in (False, False, False, True):
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if is_last:
                    fix = f"use the one that runs, or stop it: claviger stop --data {data}"
                    raise Misconfigured("ServerRunsAlready", data=data, fix=fix) from None
                time.sleep(_POLL_S)
        yield
        running_file(data).unlink(missing_ok=True)
    finally:
        os.close(descriptor)


def running_file(data: Path) -> Path:
    """The file in which a ready server says where it is."""
    return data / "server.json"


def note_running(data: Path, running: Running) -> None:
    """Writes the file, whole or not at all."""
    beside = running_file(data).with_suffix(".tmp")
    beside.write_bytes(msgspec.json.encode(running))
    beside.replace(running_file(data))


def find_running(data: Path) -> Running | None:
    """The server that runs on this data and is ready; a file left over by a crash is not believed."""
    try:
        running = msgspec.json.decode(running_file(data).read_bytes(), type=Running)
    except (OSError, msgspec.MsgspecError):
        return None
    return running if _is_locked(data) else None


def health(running: Running) -> dict[str, object] | None:
    """What the server says of itself at /health; None where it does not answer within ten seconds.

    Nothing is told to it, and its certificate may be one of the operator's own: whether that holds is for `doctor`.
    """
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
    with contextlib.suppress(OSError, ValueError):
        request = urllib.request.Request(f"{running.url}/health", headers={"Host": "localhost"})  # noqa: S310
        with opener.open(request, timeout=10) as answer:
            told = json.load(answer)
            return told if isinstance(told, dict) else None
    return None


def start(settings: Settings) -> Running:
    """Starts `serve` in the background and waits until it is ready; the one that runs already, if there is one.

    Raises Misconfigured("ServerDidNotStart") with the end of its log.
    """
    found = find_running(settings.data)
    if found is not None and health(found) is not None:
        return found
    settings.data.mkdir(parents=True, exist_ok=True, mode=0o700)
    log_path = settings.data / "server.log"
    running_file(settings.data).unlink(missing_ok=True)
    # -P: a module of the folder that the user happens to be in must not stand in for one of ours.
    command = [sys.executable, "-P", "-m", "claviger", "serve"]
    command += ["--data", str(settings.data), "--listen", settings.listen]
    with os.fdopen(os.open(log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as log:
        from_here = log.tell()
        process = subprocess.Popen(  # noqa: S603 - our own program
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, close_fds=True
        )
    give_up_at = time.monotonic() + START_LIMIT_S
    while time.monotonic() < give_up_at:
        found = find_running(settings.data)
        if found is not None and found.pid == process.pid:
            return found
        if process.poll() is not None:
            break
        time.sleep(_POLL_S)
    else:
        process.terminate()
    tail = log_path.read_bytes()[from_here:].decode(errors="replace").strip()
    fix = f"see the message above, or all of {log_path}"
    raise Misconfigured("ServerDidNotStart", said="\n" + tail[-2000:], fix=fix)


def stop(data: Path) -> bool:
    """Asks the running server to end and waits; whether there was one. Raises Misconfigured("ServerDidNotStop")."""
    found = find_running(data)
    if found is None:
        return False
    os.kill(found.pid, signal.SIGTERM)
    give_up_at = time.monotonic() + STOP_LIMIT_S
    while _is_locked(data):
        if time.monotonic() > give_up_at:
            fix = f"look into {data / 'server.log'}; kill -9 is safe"
            raise Misconfigured("ServerDidNotStop", pid=found.pid, fix=fix)
        time.sleep(_POLL_S)
    return True


def _is_locked(data: Path) -> bool:
    try:
        descriptor = os.open(data / "server.lock", os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
