"""The server behind the fixtures: a process of its own on a free port, and a quick way into its data from here."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from claviger.bootstrap import House
    from claviger.settings import Settings
    from claviger.switches.client import Switchboard

START_LIMIT_S = 60.0
_POLL_S = 0.01

T = TypeVar("T")


class ServerFailed(RuntimeError):
    """The server did not start; the message ends with what it said last."""


class ServerProcess:
    """`claviger serve --switches` on `folder/data`. Everything is made anew in there, and nothing outside."""

    def __init__(self, folder: Path, settings: Mapping[str, str]) -> None:
        """`settings` are environment variables, such as CLAVIGER_DATABASE_URL; those of the caller do not count."""
        self.data = folder / "data"
        self.log = folder / "server.log"
        self.port = 0
        self._environment = {"CLAVIGER_LOG_LEVEL": "warning", **settings}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Starts the process and waits until it answers. Raises ServerFailed."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("CLAVIGER_")}
        command = [sys.executable, "-m", "claviger.testing.child", str(os.getpid()), "serve", "--switches"]
        command += ["--data", str(self.data), "--listen", "127.0.0.1:0"]
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own program
                command, env={**inherited, **self._environment}, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        from claviger import bootstrap  # noqa: F401 - takes a moment, in which the server starts

        give_up_at = time.monotonic() + START_LIMIT_S
        while not self._is_ready():
            if self._process.poll() is not None or time.monotonic() > give_up_at:
                said = self.log.read_text(errors="replace")
                self.stop()
                raise ServerFailed(f"Claviger did not start:\n{said[-3000:]}")
            time.sleep(_POLL_S)

    def stop(self) -> None:
        """Ends the process at once: its data is not needed any more, and would survive that anyway."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()

    @property
    def settings(self) -> Settings:
        """The settings that the server runs with."""
        from claviger.settings import load_settings

        return load_settings(self._environment, data=self.data, listen=f"127.0.0.1:{self.port}")

    def inside(self, work: Callable[[House], Awaitable[T]]) -> T:
        """The result of `work` on the server's data, beside the server, as commands do it.

        In a thread of its own: the caller may be in the middle of an event loop.
        """

        async def run() -> T:
            from claviger import bootstrap
            from claviger.core.clock import SystemClock

            async with bootstrap.opened(self.settings, SystemClock()) as house:
                return await work(house)

        results: list[T] = []
        failures: list[BaseException] = []

        def body() -> None:
            try:
                results.append(asyncio.run(run()))
            except BaseException as failure:  # noqa: BLE001 - raised again by the caller's thread
                failures.append(failure)

        thread = threading.Thread(target=body)
        thread.start()
        thread.join()
        if failures:
            raise failures[0]
        return results[0]

    def exported(self) -> dict[str, str]:
        """What `claviger env --json` says. Raises ServerFailed where there is no demo to sign in as."""
        from claviger.cli.demo import load_demos
        from claviger.cli.environment import exported_for

        demos = self.inside(load_demos)
        if demos.azure is None:
            raise ServerFailed("Claviger runs without its demo application; leave CLAVIGER_DEMO out of the settings")
        return exported_for(self.settings, demos)

    def switchboard(self) -> Switchboard:
        """The server's switches."""
        from claviger.bootstrap import SWITCHBOARD_NOTE
        from claviger.switches.client import Switchboard

        token = self.inside(lambda house: house.notes.get(SWITCHBOARD_NOTE))
        if token is None:
            raise ServerFailed("Claviger runs without its switches; leave CLAVIGER_SWITCHES out of the settings")
        return Switchboard(f"https://127.0.0.1:{self.port}", token, self.data / "tls" / "ca.pem")

    def make_vault(self, name: str, **settings: Any) -> None:
        """Makes a vault in which the demo application and the demo identity may do everything."""
        from claviger.keyvault.directory.demo import APPLICATION, IDENTITY, ROLE
        from claviger.keyvault.vaults import operations

        async def work(house: House) -> None:
            asked = operations.NewVault(name=name, **settings)
            await operations.create_vault(house.store, house.clock, asked)
            for principal in (APPLICATION, IDENTITY):
                if asked.rbac:
                    await operations.assign_role(house.store, house.clock, role=ROLE, principal=principal, vault=name)
                else:
                    permissions = ("all", "purge")
                    await operations.set_access_policy(
                        house.store, vault=name, principal=principal, permissions=permissions
                    )

        self.inside(work)

    def _is_ready(self) -> bool:
        """Whether this very process has written where it listens, which it does once it lets requests through."""
        with contextlib.suppress(OSError, ValueError, KeyError):
            told = json.loads((self.data / "server.json").read_bytes())
            if self._process is not None and told["pid"] == self._process.pid:
                self.port = int(told["port"])
                return True
        return False
