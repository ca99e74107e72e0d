"""A PostgreSQL of the tests' own: a cluster in a temporary folder, reached through a socket in it, gone afterwards.

Durable as in production unless asked otherwise. PostgreSQL refuses to run as root, so root runs it as user `postgres`.
"""

from __future__ import annotations

import itertools
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from urllib.parse import quote

import psycopg
from psycopg import conninfo, sql

from claviger.core.clock import SystemClock
from claviger.store.opening import migrate

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 20.0
OWNER = "claviger"


class Databases:
    """Databases by the piece, in any running server; `admin_url` names one that may create them."""

    def __init__(self, admin_url: str) -> None:
        self.admin_url = admin_url
        own = secrets.token_hex(4)  # there may be another of these in this process, on the same server
        self._names = (f"claviger_{own}_{number}" for number in itertools.count(1))
        self._migrated: str | None = None

    def create(self) -> str:
        """A new database with nothing in it; its URL."""
        return self._made("template0")

    def create_migrated(self) -> str:
        """A new database that is as all migrations leave it, copied from one: five times as quick as migrating."""
        if self._migrated is None:
            url = self.create()
            migrate(url, SystemClock())
            self._migrated = str(conninfo.conninfo_to_dict(url)["dbname"])
        return self._made(self._migrated)

    def _made(self, template: str) -> str:
        name = next(self._names)
        self._run(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template)))
        return _with_database(self.admin_url, name)

    def drop(self, url: str) -> None:
        """Drops what `create` made, whoever is still connected."""
        name = str(conninfo.conninfo_to_dict(url)["dbname"])
        self._run(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def _run(self, statement: sql.Composed) -> None:
        with psycopg.connect(self.admin_url, autocommit=True) as connection:
            connection.execute(statement)


class Cluster:
    """One private server process; `start` and `stop` may follow one another as often as a test likes."""

    def __init__(self, programs: Path, folder: Path, *, fsync: bool = True) -> None:
        self.programs = programs
        self.folder = folder
        self.url = f"postgresql://{OWNER}@/postgres?host={quote(str(folder), safe='')}"
        self._fsync = fsync
        self._user = _unprivileged_user()
        self._process: subprocess.Popen[bytes] | None = None

    @classmethod
    def make(cls, programs: Path, *, fsync: bool = True) -> Cluster:
        """Makes the folder and an empty cluster in it, not yet started."""
        cluster = cls(programs, Path(tempfile.mkdtemp(prefix="claviger-pg-")), fsync=fsync)
        if cluster._user is not None:
            shutil.chown(cluster.folder, cluster._user)
        options = ["-U", OWNER, "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync"]
        command = [str(programs / "initdb"), "-D", str(cluster._data), *options]
        made = subprocess.run(command, user=cluster._user, cwd="/", capture_output=True, text=True, check=False)
        if made.returncode != 0:
            shutil.rmtree(cluster.folder, ignore_errors=True)
            raise RuntimeError(f"initdb failed: {made.stderr}")
        return cluster

    @property
    def pid(self) -> int:
        """The server's process."""
        assert self._process is not None, "not started"
        return self._process.pid

    def start(self) -> None:
        """Starts the server and waits until it answers."""
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": str(self.folder),
            "fsync": "on" if self._fsync else "off",
            "max_connections": "200",
            "shared_buffers": "32MB",
        }
        command = [str(self.programs / "postgres"), "-D", str(self._data)]
        command += [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, user=self._user, cwd="/", stdout=log, stderr=log)
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop(at_once=True)
                raise RuntimeError(f"PostgreSQL did not start: {(self.folder / 'log').read_text()[-2000:]}")
            time.sleep(0.02)

    def stop(self, *, at_once: bool = False) -> None:
        """Ends the server; `at_once` as a crash does, without a last checkpoint."""
        if self._process is None:
            return
        for number in (signal.SIGQUIT if at_once else signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
            self._process.send_signal(number)
            try:
                self._process.wait(STOP_TIMEOUT_S)
                break
            except subprocess.TimeoutExpired:
                continue
        self._process = None

    def remove(self) -> None:
        """Stops the server and removes all it wrote."""
        self.stop(at_once=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.url, connect_timeout=5).close()
        except psycopg.OperationalError:
            return False
        return True


def _with_database(url: str, name: str) -> str:
    """The same server, another database; as a URL whatever form the server was named in."""
    parts = conninfo.conninfo_to_dict(url)
    user, password = (
        quote(str(parts.get("user", "")), safe=""),
        quote(str(parts.get("password", "")), safe=""),
    )
    host, port = quote(str(parts.get("host", "")), safe=""), str(parts.get("port", ""))
    login = f"{user}:{password}@" if password else f"{user}@" if user else ""
    query = "&".join(part for part in (f"host={host}" if host else "", f"port={port}" if port else "") if part)
    return f"postgresql://{login}/{name}?{query}"


def _unprivileged_user() -> str | None:
    """Whom to run as: oneself, or for root the first of the accounts that have no rights."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in ("postgres", "nobody") if name in known)
