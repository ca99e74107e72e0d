"""`claviger oci …` as it is typed: tenancies, compartments, users, API keys, grants, tags; and what the log tells."""

from __future__ import annotations

import asyncio
import configparser
import json
import stat
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import oci
import pytest
from click.testing import CliRunner, Result

from claviger import bootstrap
from claviger.audit.entry import Recorded
from claviger.audit.queries import Filters, page
from claviger.audit.trail import WHOLE_SERVER
from claviger.bootstrap import House
from claviger.cli.main import main
from claviger.core.clock import SystemClock
from claviger.core.sensitive import Sensitive
from claviger.crypto.api_keys import fingerprint_of, public_half
from claviger.settings import load_settings

T = TypeVar("T")


class Terminal:
    """A data directory and what is typed on it."""

    def __init__(self, data: Path, url: str) -> None:
        self.data = data
        self._url = url

    def run(self, *words: str) -> Result:
        return CliRunner().invoke(
            main, ["oci", *words, "--data", str(self.data)], env={"CLAVIGER_DATABASE_URL": self._url}
        )

    def told(self, *words: str) -> Any:
        """The JSON of a command that must succeed."""
        result = self.run(*words, "--json")
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    def refused(self, *words: str) -> str:
        """What a command says that must not succeed."""
        result = self.run(*words)
        assert result.exit_code == 1, result.output
        assert "Traceback" not in result.output
        return result.stderr

    def in_house(self, work: Callable[[House], Awaitable[T]]) -> T:
        settings = load_settings({}, data=self.data, database_url=Sensitive(self._url))

        async def run() -> T:
            async with bootstrap.opened(settings, SystemClock()) as house:
                return await work(house)

        return asyncio.run(run())


@pytest.fixture
def terminal(database_url: str, tmp_path: Path) -> Terminal:
    data = tmp_path / "data"
    data.mkdir()
    return Terminal(data, database_url)


def test_a_program_gets_all_it_needs_to_sign(terminal: Terminal, tmp_path: Path) -> None:
    tenancy = terminal.told("tenancy", "create", "acme", "--home-region", "fra", "--region", "iad")
    assert tenancy["regions"] == ["eu-frankfurt-1", "us-ashburn-1"]
    assert terminal.told("compartment", "create", "staging")["parent_id"] == tenancy["id"]
    team = terminal.told("compartment", "create", "staging/team-a", "--description", "Team A")
    assert (team["path"], team["description"]) == ("staging/team-a", "Team A")
    user = terminal.told("user", "create", "ann")
    granted = terminal.told("user", "grant", "ann", "use", "staging")
    assert (granted["verb"], granted["path"]) == ("use", "staging")

    key_file = tmp_path / "ann.pem"
    made = terminal.told("api-key", "create", "ann", "--out", str(key_file))
    assert stat.S_IMODE(key_file.stat().st_mode) == 0o600
    private_key = Sensitive(key_file.read_bytes())
    assert fingerprint_of(public_half(private_key)) == made["fingerprint"]
    assert "PRIVATE" not in json.dumps(made)

    config_file = tmp_path / "config"
    result = terminal.run("config", "ann", "--key-file", str(key_file), "--out", str(config_file))
    assert result.exit_code == 0, result.output
    assert stat.S_IMODE(config_file.stat().st_mode) == 0o600
    config = oci.config.from_file(str(config_file))
    oci.config.validate_config(config)
    assert {name: config[name] for name in ("user", "tenancy", "region", "fingerprint")} == {
        "user": user["id"],
        "tenancy": tenancy["id"],
        "region": "eu-frankfurt-1",
        "fingerprint": made["fingerprint"],
    }
    shown = terminal.told("user", "show", "ann")
    assert shown["fingerprints"] == [made["fingerprint"]]
    assert shown["grants"] == ["use:staging"]


def test_a_profile_is_shown_for_a_key_of_the_user_alone(terminal: Terminal, tmp_path: Path) -> None:
    terminal.told("tenancy", "create", "acme")
    terminal.told("user", "create", "ann")
    key_file = tmp_path / "ann.pem"
    fingerprint = terminal.told("api-key", "create", "ann", "--out", str(key_file))["fingerprint"]
    words = ("config", "ann", "--key-file", str(key_file), "--profile", "ANN", "--region", "PHX")
    profile = configparser.ConfigParser()
    profile.read_string(terminal.run(*words).stdout)
    assert dict(profile["ANN"])["region"] == "us-phoenix-1"
    assert dict(profile["ANN"])["key_file"] == str(key_file)
    assert "api key unknown" in terminal.refused(*words, "--fingerprint", "00:11")
    terminal.told("api-key", "delete", "ann", fingerprint.upper())
    assert "api key unknown" in terminal.refused(*words)
    key_file.write_text("no key")
    assert "private key" in terminal.refused(*words)


def test_a_private_key_is_shown_where_that_is_asked_and_never_over_a_file(terminal: Terminal, tmp_path: Path) -> None:
    terminal.told("tenancy", "create", "acme")
    terminal.told("user", "create", "ann")
    result = terminal.run("api-key", "create", "ann", "--out", "-")
    assert result.stdout.startswith("-----BEGIN PRIVATE KEY-----")
    public = tmp_path / "public.pem"
    public.write_text(public_half(Sensitive(result.stdout)))
    assert "api key taken" in terminal.refused("api-key", "add", "ann", str(public))
    there = tmp_path / "there.pem"
    there.write_text("mine")
    assert "file exists" in terminal.refused("api-key", "create", "ann", "--out", str(there))
    assert there.read_text() == "mine"
    new = tmp_path / "new.pem"
    assert "user unknown" in terminal.refused("api-key", "create", "bob", "--out", str(new))
    assert not new.exists()
    assert terminal.run("api-key", "create", "ann", "--out", str(tmp_path / "no" / "key")).exit_code == 2
    (kept,) = terminal.told("api-key", "list", "ann")
    assert kept["fingerprint"] == fingerprint_of(public.read_text())
    terminal.told("user", "create", "bob")
    assert terminal.told("api-key", "add", "bob", str(public))["fingerprint"] == kept["fingerprint"]


def test_things_are_listed_and_deleted(terminal: Terminal) -> None:
    tenancy = terminal.told("tenancy", "create", "acme", "--id", "ocid1.tenancy.oc1..known", "--namespace", "spaces")
    assert (tenancy["id"], tenancy["namespace"]) == ("ocid1.tenancy.oc1..known", "spaces")
    terminal.told("tenancy", "create", "other")
    assert [row["name"] for row in terminal.told("tenancy", "list")] == ["acme", "other"]
    assert "tenancy needed" in terminal.refused("compartment", "list")
    here = ("--tenancy", "acme")
    terminal.told("tenancy", "subscribe", "acme", "eu-zurich-1")
    assert terminal.told("tenancy", "show", "acme")["regions"] == ["us-ashburn-1", "eu-zurich-1"]
    for path in ("a", "a/b"):
        terminal.told("compartment", "create", path, *here)
    terminal.told("user", "create", "ann", *here)
    terminal.told("user", "create", "ann", "--tenancy", "other")
    assert [row["tenancy"] for row in terminal.told("user", "list")] == ["acme", "other"]
    terminal.told("grant", "add", "ann", "manage", *here)
    terminal.told("grant", "add", "ann", "read", "a/b", *here)
    assert [(row["verb"], row["path"]) for row in terminal.told("grant", "list", "--user", "ann", *here)] in (
        [("manage", "/"), ("read", "a/b")],
        [("read", "a/b"), ("manage", "/")],
    )
    terminal.told("grant", "remove", "ann", "/", *here)
    assert [row["path"] for row in terminal.told("grant", "list", *here)] == ["a/b"]
    made = terminal.told("tag-namespace", "create", "Costs", "--tag", "Centre", *here)
    assert made["tags"] == ["Centre"]
    assert terminal.told("tag-namespace", "add-tag", "costs", "Owner", *here)["tags"] == ["Centre", "Owner"]
    assert len(terminal.told("tag-namespace", "list", *here)) == 1
    terminal.told("tag-namespace", "delete", made["id"])
    assert "not empty" in terminal.refused("compartment", "delete", "a", *here)
    assert terminal.told("compartment", "show", "a/b", *here)["tenancy"] == "acme"
    terminal.told("compartment", "delete", "a/b", *here)
    terminal.told("compartment", "delete", "a", *here)
    assert terminal.told("compartment", "list", *here) == []
    terminal.told("user", "delete", "ann", *here)
    terminal.told("tenancy", "delete", "acme")
    assert [row["name"] for row in terminal.told("tenancy", "list")] == ["other"]


def test_tables_for_people(terminal: Terminal) -> None:
    terminal.told("tenancy", "create", "acme")
    terminal.told("compartment", "create", "a")
    terminal.told("user", "create", "ann")
    terminal.told("user", "grant", "ann", "inspect")
    for words, column in (
        (("tenancy", "list"), "REGIONS"),
        (("compartment", "list"), "PATH"),
        (("user", "list"), "TENANCY"),
        (("grant", "list"), "VERB"),
        (("api-key", "list", "ann"), "FINGERPRINT"),
        (("tag-namespace", "list"), "TAGS"),
    ):
        result = terminal.run(*words)
        assert result.exit_code == 0
        assert column in result.stdout.splitlines()[0]


def test_every_change_is_told_to_the_log(terminal: Terminal, tmp_path: Path) -> None:
    tenancy = terminal.told("tenancy", "create", "acme")["id"]
    user = terminal.told("user", "create", "ann")["id"]
    made = terminal.told("api-key", "create", "ann", "--out", str(tmp_path / "ann.pem"))
    place = terminal.told("compartment", "create", "a")["id"]
    terminal.told("grant", "add", "ann", "read", "a")
    terminal.told("user", "list")
    terminal.refused("compartment", "create", "b/c")

    async def look(house: House) -> list[Recorded]:
        found = await page(house.plain, WHOLE_SERVER, Filters(newest_first=False), 0, 20)
        return [record.entry for record in found.records]

    entries = terminal.in_house(look)
    assert [(each.action, each.outcome, each.object.kind, each.object.id) for each in entries] == [
        ("Create an OCI tenancy", "granted", "tenancy", tenancy),
        ("Create an OCI user", "granted", "user", user),
        ("Give an OCI user an API key", "granted", "user", user),
        ("Create an OCI compartment", "granted", "compartment", place),
        ("Grant an OCI user a right", "granted", "user", user),
        ("Create an OCI compartment", "refused", "", ""),
    ]
    assert entries[2].details == {"fingerprint": made["fingerprint"]}
    assert entries[4].details == {"compartment": place, "verb": "read"}
