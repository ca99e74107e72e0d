"""`claviger export`, `import` and `serve --seed` as a user types them, beside a server that goes on serving."""

from __future__ import annotations

import json
import signal
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.server import CommandFailed, RunningServer
from tests.serving import Estate
from tests.vaults import VaultClient, spare_name

CANARY = "canary-4c1d-open-sesame"
PASSPHRASE = "correct horse battery"


@pytest.fixture
def filled(estate: Estate) -> VaultClient:
    vault = estate.make_vault()
    vault.put("live", CANARY, tags={"a": "b"})
    vault.put("live", CANARY + "-2")
    vault.put("gone", CANARY)
    vault.delete("gone")
    return vault


@pytest.fixture
def passphrase_file(tmp_path: Path) -> str:
    path = tmp_path / "passphrase"
    path.write_text(PASSPHRASE + "\n")
    return str(path)


def refusal(server: RunningServer, *arguments: str, code: int) -> str:
    with pytest.raises(CommandFailed) as failed:
        server.command(*arguments)
    assert failed.value.code == code
    assert CANARY not in failed.value.said
    return failed.value.said


def test_a_vault_goes_out_sealed_and_comes_in_again(
    estate: Estate, filled: VaultClient, tmp_path: Path, passphrase_file: str
):
    server, file, target = estate.server, tmp_path / "vault.archive", spare_name("vault")
    told = server.command("export", filled.name, "--to", str(file), "--passphrase-file", passphrase_file)
    assert (told["secrets"], told["versions"], told["sealed"]) == (2, 3, "yes")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert CANARY.encode() not in file.read_bytes()
    done = server.command("import", str(file), "--vault", target, "--passphrase-file", passphrase_file)
    assert (done["created"], done["versions_stored"]) == (True, 3)
    caller = estate.demo_application
    server.command("role", "assign", "Key Vault Secrets Officer", caller.client_id, "--vault", target)
    moved = VaultClient(server, target, estate.http, estate.token(caller))
    estate.noticed(lambda: moved.ask("GET", "/secrets").status_code == 200)
    assert json.dumps(moved.everything()) == json.dumps(filled.everything()).replace(filled.name, target)
    again = server.command("import", str(file), "--vault", target, "--passphrase-file", passphrase_file)
    assert (again["secrets_already_there"], again["versions_stored"]) == (2, 0)


def test_what_is_plain_says_so_and_is_for_its_owner_alone(estate: Estate, filled: VaultClient, tmp_path: Path):
    file = tmp_path / "vault.json"
    done = estate.server.program("export", filled.name, "--to", str(file), "--plain-json")
    assert done.returncode == 0
    assert "in the clear" in done.stderr
    assert CANARY not in done.stdout + done.stderr
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    told: dict[str, Any] = json.loads(file.read_bytes())
    assert [each["value"] for each in told["secrets"]["live"]["versions"]] == [CANARY, CANARY + "-2"]
    assert told["secrets"]["gone"]["purge_at"]
    assert estate.server.command("import", str(file), "--vault", spare_name("vault"))["versions_stored"] == 3


def test_an_existing_file_is_not_overwritten_unless_told(estate: Estate, filled: VaultClient, tmp_path: Path):
    file = tmp_path / "vault.archive"
    file.write_text("precious")
    words = ("export", filled.name, "--to", str(file), "--for-this-server")
    assert "--force" in refusal(estate.server, *words, code=1)
    assert file.read_text() == "precious"
    estate.server.command(*words, "--force")
    assert file.read_bytes().startswith(b"claviger-vault-archive-1\0S")
    assert [path.name for path in tmp_path.iterdir()] == ["vault.archive"]


def test_an_export_that_fails_leaves_no_file(estate: Estate, tmp_path: Path):
    refusal(estate.server, "export", "no-such-vault", "--to", str(tmp_path / "x"), "--for-this-server", code=1)
    refusal(estate.server, "export", "demo", "--to", str(tmp_path / "none" / "x"), "--for-this-server", code=2)
    assert "passphrase needed" in refusal(estate.server, "export", "demo", "--to", str(tmp_path / "x"), code=2)
    refusal(estate.server, "export", "demo", "--to", str(tmp_path / "x"), "--plain-json", "--for-this-server", code=2)
    assert list(tmp_path.iterdir()) == []


def test_a_conflict_names_the_secrets_and_the_way_out(estate: Estate, filled: VaultClient, tmp_path: Path):
    file = tmp_path / "vault.json"
    document = {"secrets": {"live": {"value": "another " + CANARY}, "new": {"value": "x"}}}
    file.write_text(json.dumps(document))
    said = refusal(estate.server, "import", str(file), "--vault", filled.name, code=1)
    assert "live" in said
    assert "--on-conflict skip" in said
    assert filled.ask("GET", "/secrets/new").status_code == 404
    done = estate.server.command("import", str(file), "--vault", filled.name, "--on-conflict", "skip")
    assert (done["skipped"], done["secrets_imported"]) == (["live"], 1)
    assert filled.ask("GET", "/secrets/live").json()["value"] == CANARY + "-2"


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"", "not an archive"),
        (b"\x00\x01", "not an archive"),
        (b'{"secrets": {"a": {"value": 5}}}', "$.secrets.a.value"),
        (b"claviger-vault-archive-1\0", "newer archive"),
        (b"claviger-vault-archive-1\0S\x05abcde" + bytes(61), "foreign archive"),
        (b"claviger-vault-archive-1\0S\x05abc", "archive broken"),
        (b"claviger-vault-archive-2\0P" + bytes(99), "newer archive"),
    ],
)
def test_a_file_that_is_none_is_told_in_words(estate: Estate, tmp_path: Path, content: bytes, word: str):
    file = tmp_path / "file"
    file.write_bytes(content)
    with pytest.raises(CommandFailed) as failed:
        estate.server.command("import", str(file), "--vault", "some-vault", "--tenant", estate.tenant_id)
    assert word in failed.value.said
    assert "fix:" in failed.value.said


def test_a_file_that_cannot_be_read_is_told(estate: Estate, tmp_path: Path):
    assert "file unreadable" in refusal(estate.server, "import", str(tmp_path / "none"), code=2)
    assert "plain file" in refusal(estate.server, "import", "/dev/null", code=2)


def test_doctor_and_export_tell_of_an_import_that_did_not_end(estate: Estate, filled: VaultClient, tmp_path: Path):
    import asyncio

    from claviger.core.clock import SystemClock
    from claviger.keyvault.moving import records
    from claviger.keyvault.vaults.records import live_vault
    from claviger.store.opening import open_store

    server = estate.server

    async def note(begun: bool) -> None:
        url = server.database_url or f"sqlite://{server.data.resolve()}/claviger.db"
        store = await open_store(url, SystemClock())
        try:
            vault = await store.write(lambda tx: live_vault(tx, filled.name))
            if begun:
                await store.write(lambda tx: records.note_import(tx, vault.id, 1_800_000_000))
            else:
                await store.write(lambda tx: records.end_import(tx, vault.id))
        finally:
            await store.close()

    asyncio.run(note(True))
    try:
        said = server.program("export", filled.name, "--to", str(tmp_path / "x"), "--for-this-server").stderr
        assert "has not ended" in said
        assert f"import into {filled.name}" in server.program("doctor").stdout
    finally:
        asyncio.run(note(False))
    assert "import into" not in server.program("doctor").stdout


def test_a_server_starts_with_a_seed(tmp_path: Path):
    seed = tmp_path / "seed.toml"
    seed.write_text('[vault]\nname = "seeded"\n[secrets.greeting]\nvalue = { env = "GREETING" }\n')
    server = RunningServer(tmp_path, settings={"CLAVIGER_SEED": str(seed), "GREETING": "hello"})
    try:
        server.start()
        file = tmp_path / "seeded.json"
        server.program("export", "seeded", "--to", str(file), "--plain-json")
        assert json.loads(file.read_bytes())["secrets"]["greeting"]["versions"][0]["value"] == "hello"
        server.restart()
        assert "made nothing" in server.said()
    finally:
        server.kill()


def test_a_server_does_not_start_with_a_seed_that_is_wrong(tmp_path: Path):
    seed = tmp_path / "seed.json"
    seed.write_text('{"vault": {"name": "seeded"}, "secrets": {"greeting": {"value": {"env": "GREETING"}}}}')
    server = RunningServer(tmp_path)
    done = server.program("serve", "--seed", str(seed), "--listen", "127.0.0.1:0")
    assert done.returncode == 2
    assert str(seed) in done.stderr
    assert "$.secrets.greeting.value" in done.stderr
    assert "GREETING is not set" in done.stderr
    assert "fix:" in done.stderr


def test_an_import_that_is_killed_is_told_of_and_goes_on(tmp_path: Path):
    server = RunningServer(tmp_path)
    count = 6_000
    document = {"vault": {"name": "killed"}, "secrets": {f"s{number}": {"value": CANARY} for number in range(count)}}
    file = tmp_path / "document.json"
    file.write_text(json.dumps(document))
    try:
        server.start()
        command = [sys.executable, "-m", "claviger", "import", str(file), "--data", str(server.data)]
        with subprocess.Popen(command, env=server.environment(), stdout=subprocess.DEVNULL) as process:
            while len(server.command("vault", "list")) < 2:
                assert process.poll() is None
            process.kill()
        assert process.returncode == -signal.SIGKILL
        assert "import into killed" in server.program("doctor").stdout
        done = server.command("import", str(file))
        assert done["secrets_imported"] + done["secrets_already_there"] == count
        assert "import into" not in server.program("doctor").stdout
        assert server.command("import", str(file))["secrets_already_there"] == count
    finally:
        server.kill()
