"""What a server keeps when it stops, is killed, or starts again: everything that it has acknowledged, and whole."""

from __future__ import annotations

import os
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import httpx
import pytest

from tests.server import CommandFailed
from tests.serving import Estate
from tests.vaults import VaultClient, accepted, name_of

WRITERS = 8
KILLS = 3


def test_a_restart_keeps_everything(own_server: Estate):
    vault = own_server.make_vault("--retention-days", "8")
    policies = own_server.make_vault("--access-policies", "--purge-protection")
    for number in range(3):
        vault.put("live", f"v{number}", tags={"n": str(number)}, attributes={"enabled": number != 1, "exp": 9})
    vault.put("gone")
    vault.delete("gone")
    policies.put("other", "in the other vault")
    blob = vault.backup("live")
    before = vault.everything(), policies.everything()
    environment = own_server.server.exported
    own_server.server.restart()
    assert own_server.server.command("env") == environment
    assert (vault.everything(), policies.everything()) == before
    assert vault.recover("gone")["id"]
    vault.delete("live")
    vault.purge("live")
    assert name_of(vault.restore(blob)) == "live"


def test_a_command_beside_a_stopped_server_counts_at_the_next_start(own_server: Estate):
    own_server.make_vault()
    own_server.server.stop()
    own_server.server.command("vault", "create", "made-in-between")
    own_server.server.start()
    answer = own_server.http.get(f"https://made-in-between.vault.localhost:{own_server.server.port}/secrets")
    assert answer.status_code == 401


def test_a_second_server_on_the_same_data_is_refused(own_server: Estate):
    refused = own_server.server.program("serve", "--listen", "127.0.0.1:0")
    assert refused.returncode == 2
    assert "server runs already" in refused.stderr
    assert "fix:" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_command_that_is_refused_says_why_and_changes_nothing(own_server: Estate):
    before = own_server.server.command("vault", "list")
    for words in (
        ("vault", "create", "x"),
        ("vault", "create", "demo"),
        ("role", "assign", "Nobody", "x", "--vault", "demo"),
    ):
        with pytest.raises(CommandFailed) as caught:
            own_server.server.command(*words)
        assert caught.value.code == 1
    assert own_server.server.command("vault", "list") == before


@dataclass
class Writer:
    """One client's view: what it sent, and what was acknowledged to it."""

    number: int
    acknowledged: dict[str, str] = field(default_factory=dict)
    deleted: set[str] = field(default_factory=set)
    unsure: set[str] = field(default_factory=set)

    def write(self, vault: VaultClient, stop: threading.Event) -> None:
        """Sets secrets, and deletes every third again, until the server is gone."""
        count = 0
        with httpx.Client(verify=vault.server.trust, trust_env=False, timeout=30) as http:
            mine = VaultClient(vault.server, vault.name, http, vault.token)
            while not stop.is_set():
                name = f"w{self.number}-{count}-{os.urandom(3).hex()}"
                self.unsure.add(name)
                try:
                    value = f"{name}:" + "x" * (count % 2000)
                    accepted(mine.ask("PUT", f"/secrets/{name}", {"value": value}))
                    self.acknowledged[name] = value
                    if count % 3 == 0:
                        accepted(mine.ask("DELETE", f"/secrets/{name}"))
                        self.deleted.add(name)
                except httpx.TransportError:
                    return
                self.unsure.discard(name)
                count += 1


def test_a_kill_loses_nothing_that_was_acknowledged_and_leaves_nothing_half(own_server: Estate, seed: int):
    chance = random.Random(seed)
    server, vault = own_server.server, own_server.make_vault()
    writers: list[Writer] = []
    for _ in range(KILLS):
        fresh = [Writer(len(writers) + number) for number in range(WRITERS)]
        writers += fresh
        stop = threading.Event()
        with ThreadPoolExecutor(WRITERS) as pool:
            running = [pool.submit(writer.write, vault, stop) for writer in fresh]
            while not any(writer.acknowledged for writer in fresh):
                time.sleep(0.005)
            time.sleep(chance.uniform(0.05, 0.4))
            server.kill()
            stop.set()
            for each in running:
                each.result()
        server.start()
        _check(vault, writers, f"seed {seed}")
    assert sum(len(writer.acknowledged) for writer in writers) > KILLS


def _check(vault: VaultClient, writers: list[Writer], hint: str) -> None:
    live = {name_of(item) for item in vault.listed()}
    gone = {name_of(item) for item in vault.listed("/deletedsecrets")}
    assert not live & gone
    sure = {name for writer in writers for name in writer.acknowledged}
    unsure = {name for writer in writers for name in writer.unsure}
    deleted = {name for writer in writers for name in writer.deleted}
    assert sure - unsure <= live | gone, hint
    assert deleted <= gone, hint
    assert sure - deleted - unsure <= live, hint
    assert live | gone <= sure | unsure, hint
    for writer in writers:
        for name in live & (writer.acknowledged.keys() | writer.unsure):
            shown = vault.get(name)["value"]
            assert shown.startswith(f"{name}:"), hint
            assert shown == writer.acknowledged.get(name, shown), hint
