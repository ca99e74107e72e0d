"""`claviger audit` as it is typed: on a log of the data directory, with the public key alone, and on an export."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from claviger import bootstrap
from claviger.audit.log import AuditLog
from claviger.bootstrap import House
from claviger.cli.main import main
from claviger.core.clock import SystemClock
from claviger.core.sensitive import Sensitive
from claviger.settings import load_settings
from claviger.store.contract import Tx
from tests.auditing import entry
from tests.receiving import Reply, receiving


class Site:
    """A data directory with a log of 20 records."""

    def __init__(self, data: Path, url: str) -> None:
        self.data = data
        self.witness = data / "witness"
        self._url = url
        self.settings = load_settings({}, data=data, database_url=Sensitive(url))

    def run(self, *words: str, **environment: str) -> Result:
        """One command."""
        known = {"CLAVIGER_DATABASE_URL": self._url, "CLAVIGER_AUDIT_WITNESS": str(self.witness)}
        return CliRunner().invoke(main, ["audit", *words, "--data", str(self.data)], env={**known, **environment})

    def told(self, *words: str) -> Any:
        """The JSON of a command that must succeed."""
        result = self.run(*words, "--json")
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    def work(self, work: Any) -> Any:
        """Something in the open house."""

        async def run() -> Any:
            async with bootstrap.opened(self.settings, SystemClock()) as house:
                return await work(house)

        return asyncio.run(run())

    def spoil(self, sql: str) -> None:
        """A statement behind the log's back."""

        async def work(house: House) -> None:
            def change(tx: Tx) -> None:
                assert tx.execute(sql)

            await house.store.write(change)

        self.work(work)


@pytest.fixture
def site(database_url: str, tmp_path: Path) -> Site:
    site = Site(tmp_path / "data", database_url)

    async def fill(house: House) -> None:
        await AuditLog(house.store).record(*(entry(number) for number in range(20)))

    site.work(fill)
    return site


def test_a_log_is_signed_exported_and_verified(site: Site, tmp_path: Path):
    key = site.run("public-key").output.strip()
    assert key.startswith("claviger/audit/")
    signed = site.run("checkpoint")
    assert signed.output.split("\n")[1] == "20"
    assert json.loads(site.witness.read_text())["checkpoint"] == signed.output
    assert site.told("checkpoint")["size"] == 20

    report = site.told("verify", "--public-key", key, "--witness", str(site.witness))
    assert (report["result"], report["records"], report["signed_up_to"], report["witnessed_up_to"]) == (
        "good",
        20,
        20,
        20,
    )
    assert report["warnings"] == []
    asked = site.told("verify")
    assert "came from the server itself" in asked["warnings"][0]

    file = tmp_path / "log.jsonl"
    assert site.told("export", str(file))["records"] == 20
    (tmp_path / "key").write_text(key + "\n")
    report = site.told("verify", "--export", str(file), "--public-key", str(tmp_path / "key"))
    assert (report["result"], report["records"]) == ("good", 20)
    assert site.run("export", str(file)).exit_code == 2


def test_verifying_needs_no_root_key(site: Site):
    key = site.run("public-key").output.strip()
    site.run("checkpoint")
    (site.data / "root.key").unlink()
    assert site.run("verify", "--public-key", key).exit_code == 0
    assert site.run("verify").exit_code == 2


async def test_a_command_shows_its_checkpoint_to_a_webhook(site: Site, tmp_path: Path):
    async with receiving() as receiver:
        url = {"CLAVIGER_AUDIT_WITNESS_URL": receiver.url}
        signed = await asyncio.to_thread(site.run, "checkpoint", **url)
        (tmp_path / "received").write_bytes(b"".join(request.body for request in receiver.received))
        assert json.loads((tmp_path / "received").read_bytes())["checkpoint"] == signed.stdout
        told = await asyncio.to_thread(site.told, "verify", "--witness", str(tmp_path / "received"))
        assert (told["result"], told["witnessed_up_to"]) == ("good", 20)
        receiver.answer = lambda _: Reply(500)
        refused = await asyncio.to_thread(site.run, "checkpoint", **url)
        assert refused.exit_code == 0  # it is signed all the same
        bare = {"CLAVIGER_AUDIT_WITNESS_CA": str(tmp_path / "received"), **url}
        wrong = await asyncio.to_thread(site.run, "public-key", **bare)
        assert (wrong.exit_code, "CLAVIGER_AUDIT_WITNESS_CA" in wrong.stderr) == (2, True)


def test_what_is_wrong_is_named_and_exits_with_1(site: Site, tmp_path: Path):
    key = site.run("public-key").output.strip()
    site.run("checkpoint")
    site.run("export", str(tmp_path / "log"))
    site.spoil("UPDATE audit_records SET body = hashes WHERE seq = 7")
    result = site.run("verify", "--public-key", key, "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["bad_seq"] == 7
    assert "record 7" in result.stderr
    content = (tmp_path / "log").read_bytes().replace(b"r-11", b"r-12")
    (tmp_path / "log").write_bytes(content)
    result = site.run("verify", "--public-key", key, "--export", str(tmp_path / "log"))
    assert result.exit_code == 1
    assert "record 11" in result.stderr


def test_a_rewritten_log_is_not_signed(site: Site):
    site.run("checkpoint")
    site.spoil("DELETE FROM audit_records WHERE seq = 19")
    result = site.run("checkpoint")
    assert result.exit_code == 2
    assert "audit rewritten" in result.stderr


def test_mistakes_are_told_with_their_mending(site: Site, tmp_path: Path):
    assert site.run("verify", "--public-key", "nonsense").exit_code == 2
    assert site.run("verify", "--public-key", "a+b+c").exit_code == 1
    assert site.run("verify", "--witness", str(tmp_path / "none")).exit_code == 2
    empty = Site(tmp_path / "empty", f"sqlite://{tmp_path}/empty/x.db")
    empty.data.mkdir()
    assert "nothing to sign" in empty.run("checkpoint").stderr
