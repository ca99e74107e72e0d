"""Switches on a running server, met by the official SDK: pollers, retries, a retention watched by moving the clock."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError, ServiceRequestError, ServiceResponseError
from azure.identity import ClientSecretCredential
from azure.keyvault.secrets import SecretClient

from claviger.core.sensitive import Sensitive
from claviger.switches.client import Switchboard
from tests.server import RunningServer
from tests.serving import Estate

DAY_S = 86_400


@pytest.fixture(scope="module")
def switched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Estate]:
    server = RunningServer(tmp_path_factory.mktemp("switched"), settings={"CLAVIGER_SWITCHES": "true"})
    try:
        server.start()
        yield Estate(server)
    finally:
        server.kill()


@pytest.fixture
def board(switched: Estate) -> Iterator[Switchboard]:
    found = switched.server.command("switches", "--token")
    board = Switchboard(found["url"], Sensitive(found["token"]), switched.server.data / "tls" / "ca.pem")
    yield board
    board.faults_clear()
    board.settle()
    board.limits_off()
    board.revoke_tokens(0)
    board.clock_reset()


def sdk(estate: Estate, **options: Any) -> SecretClient:
    """A client of a new vault, as any program makes one; `options` are the SDK's own."""
    told = estate.server.exported
    credential = ClientSecretCredential(
        told["AZURE_TENANT_ID"],
        told["AZURE_CLIENT_ID"],
        told["AZURE_CLIENT_SECRET"],
        authority=told["AZURE_AUTHORITY_HOST"],
        disable_instance_discovery=True,
        connection_verify=str(estate.server.authority),
    )
    vault = estate.make_vault("--retention-days", "90")
    return SecretClient(vault.url, credential, connection_verify=str(estate.server.authority), **options)


def test_pollers_wait_while_a_delete_and_a_recover_are_under_way(switched: Estate, board: Switchboard) -> None:
    client = sdk(switched)
    client.set_secret("slow", "v")
    board.clock_freeze()
    board.settle(delete_s=5, recover_s=5)
    poller = client.begin_delete_secret("slow", _polling_interval=0.05)
    with pytest.raises(ResourceNotFoundError):
        client.get_deleted_secret("slow")
    with pytest.raises(HttpResponseError) as early:
        client.purge_deleted_secret("slow")
    assert early.value.status_code == 409
    with pytest.raises(HttpResponseError) as taken:
        client.set_secret("slow", "w")
    assert taken.value.status_code == 409
    poller.wait(0.2)
    assert not poller.done()
    board.clock_advance(5)
    poller.wait(60)
    assert client.get_deleted_secret("slow").name == "slow"
    recovering = client.begin_recover_deleted_secret("slow", _polling_interval=0.05)
    with pytest.raises(ResourceNotFoundError):
        client.get_secret("slow")
    board.clock_advance(5)
    recovering.wait(60)
    assert client.get_secret("slow").value == "v"


@pytest.mark.parametrize(("status", "retry_after_s"), [(429, None), (429, 1), (503, None), (503, 1)])
def test_the_sdk_retries_and_gets_through(
    switched: Estate, board: Switchboard, status: int, retry_after_s: int | None
) -> None:
    client = sdk(switched, retry_backoff_factor=0.05)
    client.set_secret("busy", "v")
    seen: list[httpx.Response] = []
    board.fault_add(kind="status", status=status, retry_after_s=retry_after_s, operation="SecretGet", count=2)
    assert client.get_secret("busy", raw_response_hook=lambda each: seen.append(each.http_response)).value == "v"
    assert board.show()["faults"][0]["hits"] == 2


def test_without_retries_the_answer_is_the_services_own(switched: Estate, board: Switchboard) -> None:
    client = sdk(switched, retry_total=0)
    client.set_secret("busy", "v")
    board.fault_add(kind="status", status=429, retry_after_s=7, operation="SecretGet", count=1)
    with pytest.raises(HttpResponseError) as refused:
        client.get_secret("busy")
    answer = refused.value
    assert answer.status_code == 429
    assert answer.error is not None
    assert answer.error.code == "Throttled"
    headers: Any = getattr(answer.response, "headers", {})
    assert headers["Retry-After"] == "7"


def test_a_cut_connection_is_retried_and_changes_nothing(switched: Estate, board: Switchboard) -> None:
    client = sdk(switched, retry_backoff_factor=0.05)
    board.fault_add(kind="drop", operation="SecretSet", count=1)
    client.set_secret("cut", "v")
    assert len(list(client.list_properties_of_secret_versions("cut"))) == 1
    board.fault_add(kind="drop", operation="SecretGet")
    impatient = sdk(switched, retry_total=0)
    with pytest.raises((ServiceRequestError, ServiceResponseError)):
        impatient.get_secret("cut")


def test_a_delay_holds_an_answer_back(switched: Estate, board: Switchboard) -> None:
    client = sdk(switched, retry_total=0)
    client.set_secret("late", "v")
    held = board.fault_add(kind="delay", delay_s=60, operation="SecretGet")
    with pytest.raises(ServiceResponseError):
        sdk(switched, retry_total=0, read_timeout=0.5).get_secret("late")
    board.fault_remove(held)
    assert client.get_secret("late").value == "v"


def test_published_limits_throttle_one_vault_and_not_the_other(switched: Estate, board: Switchboard) -> None:
    first, second = sdk(switched, retry_total=0), sdk(switched, retry_total=0)
    board.clock_freeze()
    board.limits(creates=3, others=100)
    for _ in range(3):
        first.set_secret("a", "v")
    with pytest.raises(HttpResponseError) as refused:
        first.set_secret("a", "v")
    assert refused.value.status_code == 429
    assert first.get_secret("a").value == "v"
    second.set_secret("a", "v")
    board.clock_advance(10)
    first.set_secret("a", "v")


def test_ninety_days_in_a_moment(switched: Estate, board: Switchboard) -> None:
    client = sdk(switched)
    client.set_secret("leaving", "v")
    client.set_secret("staying", "v")
    deleted = client.begin_delete_secret("leaving").result()
    assert deleted.scheduled_purge_date is not None
    until = int(deleted.scheduled_purge_date.timestamp())
    board.clock_freeze()
    board.clock_set(until - 1)
    assert [each.name for each in client.list_deleted_secrets()] == ["leaving"]
    board.clock_set(until)
    assert list(client.list_deleted_secrets()) == []
    with pytest.raises(ResourceNotFoundError):
        client.begin_recover_deleted_secret("leaving")
    client.set_secret("leaving", "new")
    assert len(list(client.list_properties_of_secret_versions("leaving"))) == 1
    assert client.get_secret("staying").value == "v"


def test_a_claims_challenge_brings_a_newer_token(switched: Estate, board: Switchboard) -> None:
    client = sdk(switched)
    client.set_secret("fresh", "v")
    now = time.time()
    board.revoke_tokens(now + 1)
    deadline = now + 2
    while time.time() < deadline and int(time.time()) <= int(now):
        continue  # the next token must carry a later second than the one in use
    assert client.get_secret("fresh").value == "v"


def test_faults_reach_the_login_host(switched: Estate, board: Switchboard) -> None:
    board.fault_add(kind="status", status=503, service="login", operation="token", count=1)
    told = switched.server.exported
    form = {
        "grant_type": "client_credentials",
        "client_id": told["AZURE_CLIENT_ID"],
        "client_secret": told["AZURE_CLIENT_SECRET"],
        "scope": "https://vault.azure.net/.default",
    }
    address = f"{switched.server.login}/{told['AZURE_TENANT_ID']}/oauth2/v2.0/token"
    assert [switched.http.post(address, data=form).status_code for _ in range(2)] == [503, 200]


def test_the_switchboard_wants_its_token_and_is_off_by_default(switched: Estate, tmp_path: Path) -> None:
    base = f"https://127.0.0.1:{switched.server.port}/claviger/switches"
    assert switched.http.get(base).status_code == 401
    assert switched.http.get(base, headers={"Authorization": "Bearer wrong"}).status_code == 401
    server = RunningServer(tmp_path)
    try:
        server.start()
        answer = httpx.get(f"https://127.0.0.1:{server.port}/claviger/switches", verify=server.trust, timeout=60)
        assert answer.status_code == 404
    finally:
        server.kill()


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("clock", b"{"),
        ("clock", b'{"at":"yesterday"}'),
        ("clock", b'{"at":1e300}'),
        ("clock", b'{"unknown":1}'),
        ("faults", b"{}"),
        ("faults", b'{"kind":"status","status":404}'),
        ("limits", b'{"limits":{"creates":0}}'),
        ("delays", b'{"delete_s":-1}'),
        ("revoke", b'{"issued_before":-5}'),
        ("nothing", b"{}"),
        ("clock", b"x" * 20_000),
    ],
)
def test_bad_moves_change_nothing(switched: Estate, board: Switchboard, path: str, body: bytes) -> None:
    token = switched.server.command("switches", "--token")["token"]
    address = f"https://127.0.0.1:{switched.server.port}/claviger/switches/{path}"
    before = board.show()
    answer = switched.http.post(address, content=body, headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code in (400, 404, 413)
    assert answer.json()["error"]["code"]
    after = board.show()
    assert (after["faults"], after["limits"], after["delays"]) == (before["faults"], before["limits"], before["delays"])
    assert abs(after["clock"]["offset_s"] - before["clock"]["offset_s"]) < 1
