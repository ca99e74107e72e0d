"""The official credential that signs in with a certificate: registered by command line, used unmodified, taken away."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import CertificateCredential, DefaultAzureCredential
from azure.identity.aio import CertificateCredential as AsyncCertificateCredential
from azure.keyvault.secrets import SecretClient
from azure.keyvault.secrets.aio import SecretClient as AsyncSecretClient
from azure.mgmt.subscription import SubscriptionClient
from azure.mgmt.subscription.aio import SubscriptionClient as AsyncSubscriptionClient

from claviger.core.clock import SystemClock
from tests.certificates import certificate, pem, rsa_key
from tests.server import CommandFailed
from tests.serving import Application, Estate
from tests.vaults import VaultClient

SCOPES = ["https://management.azure.com/.default"]


class Program:
    """An application that signs in with the certificate in a file, and a vault in which it finds `s`."""

    def __init__(self, estate: Estate, file: Path) -> None:
        self.estate = estate
        self.file = file
        self.application: Application = estate.make_application()
        self.vault: VaultClient = estate.make_vault(for_application=self.application)
        self.vault.put("s", "the value")
        self.registered = self.command("add", str(file))

    def command(self, verb: str, *arguments: str) -> Any:
        return self.estate.server.command("app", "certificate", verb, self.application.client_id, *arguments)

    def credential(self, kind: Callable[..., Any] = CertificateCredential, **more: Any) -> Any:
        """The credential, from the file with certificate and key."""
        return kind(
            self.estate.tenant_id,
            self.application.client_id,
            str(self.file),
            authority=self.estate.server.login,
            disable_instance_discovery=True,
            **more,
        )


@pytest.fixture
def program(estate: Estate, exported: dict[str, str], tmp_path: Path) -> Program:
    file = tmp_path / "program.pem"
    file.write_bytes(pem(certificate(rsa_key(), SystemClock().now() - 60), rsa_key()))
    return Program(estate, file)


@pytest.mark.parametrize("chain", [False, True])
def test_a_certificate_reads_a_secret_and_asks_management(program: Program, chain: bool):
    """The second token is asked for with the same assertion: the library keeps one for nine minutes."""
    credential = program.credential(send_certificate_chain=chain)
    with SecretClient(program.vault.url, credential) as client:
        assert client.get_secret("s").value == "the value"
    base_url = f"https://management.localhost:{program.estate.server.port}"
    with SubscriptionClient(credential, base_url=base_url, credential_scopes=SCOPES) as client:
        found: Any = list(client.subscriptions.list())
    assert [each.display_name for each in found] == ["Claviger"]


async def test_a_certificate_reads_a_secret_and_asks_management_asynchronously(
    program: Program, exported: dict[str, str]
):
    trusted = exported["SSL_CERT_FILE"]
    base_url = f"https://management.localhost:{program.estate.server.port}"
    async with program.credential(AsyncCertificateCredential, connection_verify=trusted) as credential:
        async with AsyncSecretClient(program.vault.url, credential, connection_verify=trusted) as client:
            assert (await client.get_secret("s")).value == "the value"
        async with AsyncSubscriptionClient(
            credential, base_url=base_url, credential_scopes=SCOPES, connection_verify=trusted
        ) as management:
            assert len([each async for each in management.subscriptions.list()]) == 1


def test_the_environment_may_name_the_certificate(program: Program, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("AZURE_CLIENT_SECRET")
    monkeypatch.delenv("AZURE_TOKEN_CREDENTIALS", raising=False)
    monkeypatch.setenv("AZURE_CLIENT_ID", program.application.client_id)
    monkeypatch.setenv("AZURE_CLIENT_CERTIFICATE_PATH", str(program.file))
    with SecretClient(program.vault.url, DefaultAzureCredential(disable_instance_discovery=True)) as client:
        assert client.get_secret("s").value == "the value"


def test_a_certificate_that_was_taken_away_signs_in_no_more(program: Program):
    assert [each["thumbprint"] for each in program.command("list")] == [program.registered["thumbprint"]]
    assert program.credential().get_token(*SCOPES).token
    removed = program.command("remove", program.registered["thumbprint"].lower())
    assert removed == {"removed": True, **program.registered}
    with pytest.raises(ClientAuthenticationError, match=r"AADSTS700027.*The key was not found"):
        program.credential().get_token(*SCOPES)
    assert program.command("list") == []


def test_a_file_that_holds_no_good_certificate_is_refused(program: Program, tmp_path: Path):
    file = tmp_path / "other.pem"
    for content, said in (
        (b"nothing", "certificate unreadable"),
        (pem(certificate(rsa_key(0, 1024), SystemClock().now())), "certificate key .*2048"),
        (pem(certificate(rsa_key(), SystemClock().now() - 90_000, days=1)), "certificate expired"),
        (program.file.read_bytes(), "certificate taken"),
    ):
        file.write_bytes(content)
        with pytest.raises(CommandFailed, match=said) as refused:
            program.command("add", str(file))
        assert refused.value.code == 1
    with pytest.raises(CommandFailed, match="certificate unknown"):
        program.command("remove", "00" * 20)
