"""Applications that programs know already: their client id and secret are made known here instead of made here."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from claviger.cli.main import main
from claviger.core.errors import Conflict, Invalid
from claviger.core.sensitive import Sensitive
from claviger.keyvault.directory import operations, records, signing
from claviger.keyvault.directory.operations import NewApplication
from tests.directory import RESOURCE, Directory, keys_made_before, open_directory

CLIENT_ID = "0b6bbd19-d3b4-4be5-9d3c-1f2d6c2f9c11"
SECRET = "Gx78Q~from.Entra_generated-0123456789abcd"


@pytest.fixture
async def directory(database_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Directory]:
    monkeypatch.setattr(signing, "new_key", keys_made_before())
    async with open_directory(database_url) as opened:
        await opened.vault()
        yield opened


async def signed_in(directory: Directory, made: NewApplication, secret: str) -> int:
    form = {
        "grant_type": "client_credentials",
        "client_id": made.application.app_id,
        "client_secret": secret,
        "scope": f"{RESOURCE}/.default",
    }
    answer = await directory.ask("POST", f"/{made.application.tenant_id}/oauth2/v2.0/token", form=form)
    return answer.status


async def test_a_program_signs_in_with_what_it_has(directory: Directory) -> None:
    made = await directory.application(client_id=CLIENT_ID.upper(), secret=Sensitive(SECRET))
    assert made.application.app_id == CLIENT_ID
    assert await signed_in(directory, made, SECRET) == 200
    assert await signed_in(directory, made, SECRET[:-1]) == 401
    kept = await records.credentials_of(directory.store, made.application.id)
    assert [each.sha256 for each in kept] == [operations.fingerprint(Sensitive(SECRET))]


async def test_what_is_not_given_is_made(directory: Directory) -> None:
    made = await directory.application(client_id=CLIENT_ID)
    assert made.application.app_id == CLIENT_ID
    assert await signed_in(directory, made, made.secret.reveal_text()) == 200
    other = await directory.application("other", secret=Sensitive(SECRET))
    assert other.application.app_id not in (CLIENT_ID, made.application.app_id)
    assert await signed_in(directory, other, SECRET) == 200


async def test_ids_and_secrets_belong_to_one_application(directory: Directory) -> None:
    first = await directory.application(client_id=CLIENT_ID, secret=Sensitive(SECRET))
    for taken in (CLIENT_ID, first.application.object_id):
        with pytest.raises(Conflict) as refused:
            await directory.application("second", client_id=taken)
        assert refused.value.reason == "ApplicationTaken"
    with pytest.raises(Conflict) as refused:
        await directory.application("second", secret=Sensitive(SECRET))
    assert refused.value.reason == "SecretTaken"
    assert SECRET not in str(refused.value.facts)
    assert [each.name for each in await operations.list_applications(directory.store)] == ["program"]


@pytest.mark.parametrize(
    "secret",
    [
        "",
        "short",
        SECRET[:31],
        "a" * 40,
        "abcabcabcabcabcabcabcabcabcabcabcabc",
        SECRET + " ",
        "a b" * 20,
        SECRET + "ä",
        SECRET + "\n",
        "0123456789" * 26,
    ],
)
async def test_a_secret_that_could_be_guessed_is_refused(directory: Directory, secret: str) -> None:
    with pytest.raises(Invalid) as refused:
        await directory.application(secret=Sensitive(secret))
    assert refused.value.reason == "ClientSecret"
    assert not secret or secret not in str(refused.value.facts)


@pytest.mark.parametrize("secret", [SECRET[:32], "0123456789abcdef" * 2, CLIENT_ID, SECRET * 6])
def test_a_secret_that_was_generated_passes(secret: str) -> None:
    assert operations.check_given_secret(Sensitive(secret)).reveal_text() == secret


async def test_a_client_id_that_is_none_is_refused(directory: Directory) -> None:
    with pytest.raises(Invalid) as refused:
        await directory.application(client_id="my-app")
    assert refused.value.reason == "Uuid"


class Command:
    """`claviger app create` on a directory of its own."""

    def __init__(self, data: Path) -> None:
        self.data = data
        assert self.run("tenant", "create", "T", "--domain", "t.example") == 0

    def run(self, *words: str, given: bytes = b"") -> int:
        self.done = CliRunner().invoke(main, [*words, "--data", str(self.data)], input=io.BytesIO(given))
        return self.done.exit_code


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n"])
def test_the_command_reads_a_file_or_standard_input(tmp_path: Path, end: bytes) -> None:
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    command = Command(data)
    (tmp_path / "secret").write_bytes(SECRET.encode() + end)
    given = ("app", "create", "one", "--client-id", CLIENT_ID, "--secret-file", str(tmp_path / "secret"))
    assert command.run(*given) == 0
    assert CLIENT_ID in command.done.output
    assert SECRET not in command.done.output
    assert command.run("app", "create", "two", "--secret-file", "-", given=SECRET.encode() + end) == 1
    assert "secret taken" in command.done.output, "it is the same secret, whatever its line ends in"
    assert command.run("app", "create", "two", "--secret-file", "-", given=SECRET.encode()[::-1] + end) == 0
    assert command.run("app", "create", "three", "--secret-file", "-", given=b"x" * 100_000) == 1
    assert "x" * 300 not in command.done.output
