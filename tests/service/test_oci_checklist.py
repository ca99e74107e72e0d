"""The checklist of the OCI contract (§17): each line is one test, over signed requests, on both kinds of database."""

from __future__ import annotations

import functools
import re
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from claviger.core.asgi import Application
from claviger.core.clock import ManualClock
from claviger.core.sensitive import Sensitive
from claviger.crypto.api_keys import new_api_key
from claviger.crypto.root_key import EnvironmentKeys
from claviger.ocikms.assembly import Choices, Ground, Ocikms
from claviger.ocikms.identity import administration, people
from claviger.ocikms.texts import written
from claviger.sealing.keyring import Keyring
from claviger.store.opening import open_store
from tests.oci_requests import OciClient, Signing, code_of

START = 1_800_000_000.0
DAY_S = 86_400
TOLERANCE_S = 60
REGION = "us-ashburn-1"
CONTROL = f"kms.{REGION}.localhost"
SECRETS = f"vaults.{REGION}.oci.localhost"
VAULTS, KEYS = "/20180608/vaults", "/20180608/keys"
AES = {"algorithm": "AES", "length": 32}
WRONG_STATE = (409, "IncorrectState")
OUT_OF_WINDOW = (400, "InvalidParameter")
NOT_AUTHENTICATED = "The required information to complete authentication was not provided or was incorrect."


@functools.cache
def api_key() -> tuple[Sensitive, str]:
    """One for all of these tests; making one is slow."""
    return new_api_key()


class Tenancy:
    """A user who may do everything, and short words for what he asks; `vault` is the one at whose host he works."""

    def __init__(self, app: Application, signing: Signing, clock: ManualClock, tenancy_id: str) -> None:
        self.client = OciClient(app, signing)
        self.unsigned = OciClient(app, None)
        self.signing = signing
        self.clock = clock
        self.id = tenancy_id
        self.vault: dict[str, Any] = {}

    @property
    def host(self) -> str:
        """The vault's, for keys."""
        return f"{self.vault['id'].split('.')[4]}-management.kms.{REGION}.localhost"

    async def ask(self, method: str, target: str, body: Any = None, host: str = "", **headers: str) -> httpx.Response:
        """A request at the host that its path belongs to; headers are written with _ for -."""
        host = host or (CONTROL if target.startswith(VAULTS) else self.host)
        return await self.client.ask(
            method, host, target, body, {name.replace("_", "-"): value for name, value in headers.items()}
        )

    async def done(self, method: str, target: str, body: Any = None, **given: str) -> Any:
        """The same, which must succeed; its JSON."""
        answer = await self.ask(method, target, body, **given)
        assert answer.status_code == 200, answer.text
        return answer.json() if answer.content else None

    async def refusal(self, method: str, target: str, body: Any = None, **given: str) -> tuple[int, str]:
        return code_of(await self.ask(method, target, body, **given))

    async def new_vault(self) -> dict[str, Any]:
        body = {"compartmentId": self.id, "displayName": "main", "vaultType": "DEFAULT"}
        made: dict[str, Any] = await self.done("POST", VAULTS, body)
        return made

    async def new_key(self, name: str = "main") -> str:
        """The path of a new key."""
        made = await self.done("POST", KEYS, {"compartmentId": self.id, "displayName": name, "keyShape": AES})
        return f"{KEYS}/{made['id']}"

    async def state(self, path: str) -> str:
        return str((await self.done("GET", path))["lifecycleState"])


@pytest.fixture
async def tenancy(database_url: str) -> AsyncIterator[Tenancy]:
    clock = ManualClock(START)
    store = await open_store(database_url, clock)
    keyring = Keyring(store, EnvironmentKeys(Sensitive("A" * 43 + "=")), clock)
    await keyring.load()
    oci = Ocikms(Ground(store, keyring, clock, clock), Choices(), lambda *_: None)
    try:
        made = (await administration.create_tenancy(store, clock, name="acme", home_region=REGION)).tenancy
        person = (await people.create_user(store, clock, name="alice", tenancy="acme")).user
        private, public = api_key()
        _, key = await people.add_api_key(store, clock, "alice", public, "acme")
        await people.grant(store, "alice", "manage", "/", "acme")
        signing = Signing(made.id, person.id, key.fingerprint, private.reveal(), clock)
        found = Tenancy(oci.app, signing, clock, made.id)
        found.vault = await found.new_vault()
        yield found
    finally:
        await oci.stop()
        await store.close()


async def test_01_signatures_are_of_the_raw_request_line_and_five_minutes_old_at_most(tenancy: Tenancy):
    path = f"{VAULTS}/{tenancy.vault['id']}"
    for target in (path, f"/{path}", path.replace(".", "%2E"), f"{path}?x=%2f&a=b%20c"):
        assert (await tenancy.ask("GET", target, host=CONTROL)).status_code == 200
    url = f"https://{CONTROL}:8443{path}"
    signed = tenancy.signing.headers("GET", url)
    assert (await tenancy.unsigned.ask("GET", CONTROL, path, headers=signed)).status_code == 200
    for other in (f"/{path}", path.replace(".", "%2E"), f"{path}?a=b", f"{path}/usage"):
        refused = await tenancy.unsigned.ask("GET", CONTROL, other, headers=signed)
        assert code_of(refused) == (401, "NotAuthenticated")
        assert refused.json()["message"] == NOT_AUTHENTICATED
    for late_s, status in ((300, 200), (1, 401)):
        tenancy.clock.advance(late_s)
        assert (await tenancy.unsigned.ask("GET", CONTROL, path, headers=signed)).status_code == status


async def test_02_lists_are_bare_arrays_in_pages_and_each_change_has_a_new_etag(tenancy: Tenancy):
    for number in range(3):
        path = await tenancy.new_key(f"key-{number}")
    listed, page, sizes = [], "", []
    while True:
        answer = await tenancy.ask("GET", f"{KEYS}?compartmentId={tenancy.id}&limit=2{page}", opc_request_id="A" * 32)
        assert re.fullmatch("A{32}/[0-9A-F]{32}/[0-9A-F]{32}", answer.headers["opc-request-id"])
        assert answer.headers["opc-limit"] == "2"
        listed += [each["displayName"] for each in answer.json()]
        sizes.append(len(answer.json()))
        if "opc-next-page" not in answer.headers:
            break
        page = f"&page={quote(answer.headers['opc-next-page'], safe='')}"
    assert (listed, sizes) == (["key-2", "key-1", "key-0"], [2, 1])
    assert await tenancy.refusal("GET", f"{KEYS}/nothing") == (404, "NotAuthorizedOrNotFound")  # with a request id
    etags = []
    for method, more, body in (
        ("PUT", "", {"displayName": "other"}),
        ("POST", "/actions/disable", None),
        ("POST", "/actions/scheduleDeletion", None),
        ("POST", "/actions/cancelDeletion", None),
        ("POST", "/actions/changeCompartment", {"compartmentId": tenancy.id}),
    ):
        etags.append((await tenancy.ask(method, path + more, body)).headers["etag"])
        assert (await tenancy.ask("GET", path)).headers["etag"] == etags[-1]
    assert len(set(etags)) == 5
    assert all(re.fullmatch("[0-9a-f]{40}", etag) for etag in etags)


async def test_03_no_body_is_an_empty_object_and_null_is_absent(tenancy: Tenancy):
    nothing = dict.fromkeys(("protectionMode", "isAutoRotationEnabled", "autoKeyRotationDetails", "freeformTags"))
    body = {"compartmentId": tenancy.id, "displayName": "main", "keyShape": {**AES, "curveId": None}, **nothing}
    path = f"{KEYS}/{(await tenancy.done('POST', KEYS, body))['id']}"
    for empty in (None, b"{}", b'{"externalKeyVersionId": null}'):
        assert (await tenancy.done("POST", f"{path}/keyVersions", empty))["origin"] == "INTERNAL"
    for empty in (None, b"{}", b'{"timeOfDeletion": null}'):
        shown = await tenancy.done("POST", f"{path}/actions/scheduleDeletion", empty)
        assert shown["timeOfDeletion"] == written(START + 30 * DAY_S)
        await tenancy.done("POST", f"{path}/actions/cancelDeletion", empty)
    changed = await tenancy.done("PUT", path, {"displayName": None, "freeformTags": {"a": "b"}})
    assert (changed["displayName"], changed["freeformTags"]) == ("main", {"a": "b"})


async def test_04_answers_show_the_state_that_passes_and_then_it_has_settled(tenancy: Tenancy):
    assert tenancy.vault["lifecycleState"] == "CREATING"
    vault = f"{VAULTS}/{tenancy.vault['id']}"
    assert await tenancy.state(vault) == "ACTIVE"
    made = await tenancy.done("POST", KEYS, {"compartmentId": tenancy.id, "displayName": "main", "keyShape": AES})
    assert made["lifecycleState"] == "CREATING"
    path = f"{KEYS}/{made['id']}"
    assert await tenancy.state(path) == "ENABLED"
    for action, shown, settled in (
        ("disable", "DISABLING", "DISABLED"),
        ("enable", "ENABLING", "ENABLED"),
        ("scheduleDeletion", "SCHEDULING_DELETION", "PENDING_DELETION"),
        ("cancelDeletion", "CANCELLING_DELETION", "ENABLED"),
    ):
        assert (await tenancy.done("POST", f"{path}/actions/{action}"))["lifecycleState"] == shown
        assert await tenancy.state(path) == settled
    answer = await tenancy.done("POST", f"{vault}/actions/scheduleDeletion")
    assert answer["lifecycleState"] == "SCHEDULING_DELETION"
    assert await tenancy.state(vault) == "PENDING_DELETION"


@pytest.mark.parametrize("before", ["ENABLED", "DISABLED"])
async def test_05_cancel_leads_back_to_the_state_before(tenancy: Tenancy, before: str):
    path = await tenancy.new_key()
    if before == "DISABLED":
        await tenancy.done("POST", f"{path}/actions/disable")
    await tenancy.done("POST", f"{path}/actions/scheduleDeletion")
    assert (await tenancy.done("GET", path))["timeOfDeletion"] == written(START + 30 * DAY_S)
    assert (await tenancy.done("POST", f"{path}/actions/cancelDeletion"))["timeOfDeletion"] is None
    shown = await tenancy.done("GET", path)
    assert (shown["lifecycleState"], shown["timeOfDeletion"]) == (before, None)


async def test_06_seven_to_thirty_days_and_one_to_thirty_for_secrets(tenancy: Tenancy):
    path = await tenancy.new_key()
    first = (await tenancy.done("GET", path))["currentKeyVersion"]
    await tenancy.done("POST", f"{path}/keyVersions")
    held = {"vaultId": tenancy.vault["id"], "keyId": path.removeprefix(f"{KEYS}/"), "compartmentId": tenancy.id}
    content = {"contentType": "BASE64", "content": "aGVsbG8="}
    body = {**held, "secretName": "one", "secretContent": content}
    secret = f"/20180608/secrets/{(await tenancy.done('POST', '/20180608/secrets', body, host=SECRETS))['id']}"
    for thing, least_days, host in (
        (f"{path}/keyVersions/{first}", 7, ""),
        (path, 7, ""),
        (secret, 1, SECRETS),
        (f"{VAULTS}/{tenancy.vault['id']}", 7, ""),
    ):
        schedule, cancel = f"{thing}/actions/scheduleDeletion", f"{thing}/actions/cancelDeletion"
        for days, off_s in ((least_days, -TOLERANCE_S - 1), (30, TOLERANCE_S + 1)):
            asked = {"timeOfDeletion": written(START + days * DAY_S + off_s)}
            assert await tenancy.refusal("POST", schedule, asked, host=host) == OUT_OF_WINDOW
        for asked, days in (({"timeOfDeletion": written(START + least_days * DAY_S)}, least_days), ({}, 30)):
            await tenancy.done("POST", schedule, asked, host=host)
            shown = await tenancy.done("GET", thing, host=host)
            assert shown["timeOfDeletion"] == written(START + days * DAY_S)
            await tenancy.done("POST", cancel, host=host)


async def test_07_a_vault_takes_its_keys_along_and_not_before_their_own_date(tenancy: Tenancy):
    vault = f"{VAULTS}/{tenancy.vault['id']}"
    on, off, own = [await tenancy.new_key(name) for name in ("on", "off", "own")]
    await tenancy.done("POST", f"{off}/actions/disable")
    own_date, date = written(START + 10 * DAY_S), written(START + 12 * DAY_S)
    await tenancy.done("POST", f"{own}/actions/scheduleDeletion", {"timeOfDeletion": own_date})
    early = {"timeOfDeletion": written(START + 9 * DAY_S)}
    assert (await tenancy.refusal("POST", f"{vault}/actions/scheduleDeletion", early))[0] == 409
    await tenancy.done("POST", f"{vault}/actions/scheduleDeletion", {"timeOfDeletion": date})
    for path, at in ((on, date), (off, date), (own, own_date)):
        shown = await tenancy.done("GET", path)
        assert (shown["lifecycleState"], shown["timeOfDeletion"]) == ("PENDING_DELETION", at)
        assert await tenancy.refusal("POST", f"{path}/actions/cancelDeletion") == WRONG_STATE
    body = {"compartmentId": tenancy.id, "displayName": "late", "keyShape": AES}
    assert await tenancy.refusal("POST", KEYS, body) == WRONG_STATE
    await tenancy.done("POST", f"{vault}/actions/cancelDeletion")
    states = [await tenancy.state(path) for path in (on, off, own)]
    assert states == ["ENABLED", "DISABLED", "PENDING_DELETION"]


async def test_08_the_current_version_stays_and_only_an_enabled_key_rotates(tenancy: Tenancy):
    path = await tenancy.new_key()
    first = (await tenancy.done("GET", path))["currentKeyVersion"]
    versions = f"{path}/keyVersions"
    refused = await tenancy.ask("POST", f"{versions}/{first}/actions/scheduleDeletion")
    assert code_of(refused) == WRONG_STATE
    assert "cannot be deleted because it is the current key version" in refused.json()["message"]
    second = (await tenancy.done("POST", versions))["id"]
    assert (await tenancy.done("GET", path))["currentKeyVersion"] == second
    await tenancy.done("POST", f"{versions}/{first}/actions/scheduleDeletion")
    assert await tenancy.state(f"{versions}/{first}") == "PENDING_DELETION"
    await tenancy.done("POST", f"{path}/actions/disable")
    assert await tenancy.refusal("POST", versions) == WRONG_STATE
    await tenancy.done("POST", f"{path}/actions/scheduleDeletion")
    assert await tenancy.refusal("POST", versions) == WRONG_STATE


async def test_09_each_vault_has_endpoints_of_its_own(tenancy: Tenancy):
    other = await tenancy.new_vault()
    published = set()
    for vault in (tenancy.vault, other):
        prefix = vault["id"].split(".")[4]
        for plane in ("management", "crypto"):
            endpoint = f"https://{prefix}-{plane}.kms.{REGION}.localhost:8443"  # no slash at its end, no path
            assert vault[f"{plane}Endpoint"] == endpoint
            published.add(endpoint)
        assert vault["wrappingkeyId"].startswith("ocid1.key.")
    assert len(published) == 4
    path = await tenancy.new_key()
    tenancy.vault = other
    assert await tenancy.refusal("GET", path) == (404, "NotAuthorizedOrNotFound")
    assert await tenancy.done("GET", f"{KEYS}?compartmentId={tenancy.id}") == []
    at_the_region = await tenancy.ask("GET", path, host=CONTROL)
    assert code_of(at_the_region) == (404, "NotAuthorizedOrNotFound")
    assert at_the_region.json()["message"] == "Authorization failed or requested resource not found."


async def test_10_unknown_is_404_a_wrong_state_409_another_etag_412(tenancy: Tenancy):
    path = await tenancy.new_key()
    unknown = path[:-1] + ("a" if path[-1] != "a" else "b")
    hidden = await tenancy.ask("POST", f"{unknown}/actions/enable", if_match="0" * 40)
    assert code_of(hidden) == (404, "NotAuthorizedOrNotFound")
    assert hidden.json()["message"] == "Key does not exist or you are not authorized to access it."
    assert await tenancy.refusal("POST", f"{path}/actions/enable", if_match="0" * 40) == (412, "NoEtagMatch")
    assert await tenancy.refusal("POST", f"{path}/actions/enable", if_match="*") == WRONG_STATE
    etag = (await tenancy.ask("GET", path)).headers["etag"]
    await tenancy.done("POST", f"{path}/actions/disable", if_match=f"{etag}--gzip")
    assert await tenancy.refusal("POST", f"{path}/actions/enable", if_match=etag) == (412, "NoEtagMatch")


async def test_11_the_checksum_is_the_crc32_in_decimal(tenancy: Tenancy):
    key_id = (await tenancy.new_key()).removeprefix(f"{KEYS}/")
    host = tenancy.host.replace("-management.", "-crypto.")
    plaintext = "MGE4MjdjNTQtMWRiOS00YWJiLTllNjAtZmE0OGE0N2ZlY2Y1"
    sealed = await tenancy.done("POST", "/20180608/encrypt", {"keyId": key_id, "plaintext": plaintext}, host=host)
    body = {"keyId": key_id, "ciphertext": sealed["ciphertext"]}
    opened = await tenancy.done("POST", "/20180608/decrypt", body, host=host)
    assert (opened["plaintext"], opened["plaintextChecksum"]) == (plaintext, "81212494")


async def test_12_seven_days_pass_when_the_clock_says_so(tenancy: Tenancy):
    path = await tenancy.new_key()
    at = {"timeOfDeletion": written(START + 7 * DAY_S)}
    await tenancy.done("POST", f"{path}/actions/scheduleDeletion", at)
    tenancy.clock.advance(7 * DAY_S - 1)
    assert await tenancy.state(path) == "PENDING_DELETION"
    tenancy.clock.advance(1)
    assert await tenancy.state(path) == "DELETED"
    assert await tenancy.refusal("POST", f"{path}/actions/cancelDeletion") == WRONG_STATE
