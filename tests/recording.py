"""What is done to a server, by whom and how it ends, with exactly the audit records that has to leave: a table.

`run_table` does every step on a server of its own and answers what differs. A record is written here as one line:
source, action, outcome, status, who, kind and name of the object, and the stage or the reason where it tells one.
"""

from __future__ import annotations

import getpass
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import httpx

from claviger.keyvault.directory.control_plane import NAME as CONTROL_PLANE
from claviger.keyvault.vaults.operations import DEFAULT_SUBSCRIPTION
from tests.desk import PASSWORD, SECRETS, Desk, Managed, Operator
from tests.serving import Application

CANARY = "canary-31f0b7-never-in-a-record"
SETTLE_S = 0.25
LIMIT_S = 60.0
MANAGEMENT = "https://management.azure.com"
ARM_VERSION = "2023-07-01"
CREATE = "Create a secret, or a new version of one"
START = "Synchronize vaults"


@dataclass
class World:
    """Everything that steps need."""

    desk: Desk
    vault: Managed
    bob: Operator
    bob_id: str
    stranger: Application
    memory: dict[str, Any] = field(default_factory=dict)

    def application(self, word: str) -> Any:
        """An application of the embedded cloud, by its name or client id."""
        return next(each for each in self.desk.server.command("app", "list") if word in each.values())

    @property
    def admin(self) -> Operator:
        """Who may do everything."""
        return self.desk.admin

    def plain(self, method: str, path: str, body: Any = None, token: str | None = None) -> httpx.Response:
        """A call to the control plane on nobody's behalf, or with this token."""
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        url = f"https://localhost:{self.desk.server.port}/api/v1{path}"
        return self.desk.cloud.http.request(method, url, json=body, headers=headers)

    def arm(self, method: str, path: str, body: Any = None, token: str | None = None) -> int:
        """A call to the management host as the demo application; the status."""
        bearer = token or self.desk.cloud.token(self.desk.cloud.demo_application, MANAGEMENT)
        url = f"https://management.localhost:{self.desk.server.port}/subscriptions/{DEFAULT_SUBSCRIPTION}{path}"
        return self.desk.cloud.http.request(
            method, url, json=body, params={"api-version": ARM_VERSION}, headers={"Authorization": f"Bearer {bearer}"}
        ).status_code

    def get_token(self, application: Application, secret: str) -> int:
        """A call to the token endpoint; the status."""
        estate = self.desk.cloud
        form = {
            "grant_type": "client_credentials",
            "client_id": application.client_id,
            "client_secret": secret,
            "scope": f"https://vault.localhost:{estate.server.port}/.default",
        }
        return estate.http.post(f"{estate.server.login}/{estate.tenant_id}/oauth2/v2.0/token", data=form).status_code


Work = Callable[[World], object]


def world_at(desk: Desk, witness: object = "") -> World:
    """A vault under management, a user without rights, an application without rights; the cloud was used before."""
    bob, bob_id = desk.user()
    vault = desk.vault()
    world = World(desk, vault, bob, bob_id, desk.cloud.make_application())
    told = bob.accept("GET", "/auth/self/user")
    world.memory |= {"bob": told["username"], "witness": str(witness)}
    desk.admin.create("warm", vault)  # so that the control plane has its token, and the connection is open
    return world


@dataclass(frozen=True)
class Step:
    """`records` are lines as `line_of` writes them; `answer` is what the work has to come to."""

    name: str
    work: Work
    records: tuple[str, ...]
    answer: object = None


def line_of(record: Any, names: dict[str, str]) -> str:
    """A record as one line. Names that differ from run to run are told by what they stand for."""
    details = record["details"]
    username = record["username"]
    words = [
        record["source"],
        record["message"],
        details["outcome"],
        str(details["status"]),
        names.get(username, username) or "nobody",
        f"{details['kind']} {names.get(details['name'], details['name'])}".strip(),
        details.get("stage", ""),
        str(details.get("reason", "")),
    ]
    return " | ".join(word for word in words if word)


def all_records(desk: Desk) -> list[Any]:
    """The whole log as the root domain's admin sees it, the oldest first. What is buffered is waited for."""
    time.sleep(SETTLE_S)
    told = desk.admin.accept("GET", "/audit/records", query={"limit": -1, "sort": "createdAt"})
    return sorted(told["resources"], key=lambda record: int(record["seq"]))


def run_table(world: World, steps: Iterable[Step]) -> list[str]:
    """Does the steps, one after the other; what differs from the table, in words."""
    stranger = world.application(world.stranger.client_id)["name"]
    names = {
        stranger: "stranger",
        world.desk.cloud.demo_application.client_id: "demo",
        world.application(CONTROL_PLANE)["client_id"]: "plane",
        getpass.getuser(): "os",
        world.vault.name: "VAULT",
        world.stranger.client_id: "stranger",
        world.memory["bob"]: "bob",
    }
    return differing(
        world,
        steps,
        lambda: all_records(world.desk),
        lambda fresh: Counter(line_of(record, names) for record in fresh),
    )


def differing(
    world: Any,
    steps: Iterable[Any],
    recorded: Callable[[], list[Any]],
    lines: Callable[[list[Any]], Counter[str]],
) -> list[str]:
    """Does the steps of a table, one after the other; what differs from it, in words.

    `recorded` reads the whole log, `lines` makes what a table has of records that have come since.
    """
    wrong: list[str] = []
    seen = len(recorded())
    for step in steps:
        answer = step.work(world)
        if step.answer is not None and answer != step.answer:
            wrong.append(f"{step.name}: {answer!r} instead of {step.answer!r}")
        expected = Counter(step.records)
        give_up_at = time.monotonic() + (LIMIT_S if expected else 0)
        while True:
            fresh = recorded()[seen:]
            found = lines(fresh)
            if found == expected or time.monotonic() > give_up_at or found.total() > expected.total():
                break
        seen += len(fresh)
        wrong += [f"{step.name}: missing {line}" for line in (expected - found).elements()]
        wrong += [f"{step.name}: not expected {line}" for line in (found - expected).elements()]
    return wrong


# ------------------------------------------------------------------ what is done


def _create(name: str, who: str = "admin") -> Work:
    def work(world: World) -> int:
        operator = world.admin if who == "admin" else world.bob
        body = {
            "secret_name": name,
            "key_vault": world.vault.id,
            "azure_param": {"value": CANARY, "tags": {"team": "billing"}},
        }
        answer = operator.ask("POST", SECRETS, body)
        if answer.status_code == 201:
            world.memory[name] = answer.json()
        return answer.status_code

    return work


def _act(name: str, action: str, who: str = "admin") -> Work:
    def work(world: World) -> int:
        operator = world.admin if who == "admin" else world.bob
        return operator.ask("POST", f"{SECRETS}/{world.memory[name]['id']}/{action}").status_code

    return work


def _plane(method: str, path: str, body: Any = None, keep: str = "") -> Work:
    def work(world: World) -> int:
        filled = path.format(**{name: value for name, value in world.memory.items() if isinstance(value, str)})
        answer = world.admin.ask(method, filled, body)
        if keep:
            told = answer.json()
            world.memory[keep] = told.get("user_id") or told.get("client_id") or told.get("id", answer.text)
        return answer.status_code

    return work


def _vault(method: str, path: str, body: Any = None, token: str | None = "own") -> Work:
    def work(world: World) -> int:
        client = world.vault.azure if token == "own" else world.vault.azure.as_caller(token)
        return client.ask(method, path, body).status_code

    return work


def _as_stranger(method: str, path: str, body: Any = None) -> Work:
    def work(world: World) -> int:
        client = world.vault.azure.as_caller(world.desk.cloud.token(world.stranger))
        return client.ask(method, path, body).status_code

    return work


def _restored(world: World) -> int:
    blob = world.vault.azure.backup("plain")
    world.vault.azure.delete("plain")
    world.vault.azure.purge("plain")
    return world.vault.azure.ask("POST", "/secrets/restore", {"value": blob}).status_code


def _recovered(world: World) -> None:
    world.vault.azure.delete("plain")
    world.vault.azure.recover("plain")


def _signed_in(username: str, password: str = PASSWORD) -> Work:
    def work(world: World) -> int:
        body = {"grant_type": "password", "username": username.format(**world.memory), "password": password}
        answer = world.plain("POST", "/auth/tokens", body)
        world.memory |= {"tokens": answer.json()}
        return answer.status_code

    return work


def _with_tokens(method: str, path: str, **body: str) -> Work:
    def work(world: World) -> int:
        tokens = world.memory["tokens"]
        filled = {name: tokens[name] if value == "$" else value for name, value in body.items()}
        return world.plain(method, path, filled or None, tokens["jwt"]).status_code

    return work


def _command(*words: str) -> Work:
    def work(world: World) -> int:
        try:
            world.desk.server.command(*words)
        except Exception:  # noqa: BLE001 - whatever the command says, its records are what counts
            return 1
        return 0

    return work


def _synchronized(world: World) -> str:
    job = world.admin.accept("POST", f"{SECRETS}/synchronization-jobs", {"key_vaults": [world.vault.id]}, 201)
    give_up_at = time.monotonic() + LIMIT_S
    while job["overall_status"] == "in_progress" and time.monotonic() < give_up_at:
        time.sleep(0.1)
        job = world.admin.accept("GET", f"{SECRETS}/synchronization-jobs/{job['id']}")
    return str(job["overall_status"])


def _fault(call: str, **fault: Any) -> Callable[[Work], Work]:
    def around(work: Work) -> Work:
        def faulty(world: World) -> object:
            world.desk.board().fault_add(service="keyvault", operation=call, place=world.vault.name, count=1, **fault)
            return work(world)

        return faulty

    return around


def _config(world: World) -> int:
    body = {
        "name": "nightly",
        "operation": "cckm_synchronization",
        "run_at": "0 0 29 2 *",
        "cckm_synchronization_params": {"cloud_name": "AzureCloud", "key_vaults": [world.vault.id]},
    }
    answer = world.admin.ask("POST", "/scheduler/job-configs", body)
    world.memory["config"] = answer.json().get("id", answer.text)
    return answer.status_code


# ------------------------------------------------------------------ the table


def _begun(action: str, name: str, who: str = "admin", kind: str = "azure-secret") -> str:
    return f"api | {action} | granted | 0 | {who} | {kind} {name} | begun"


def _done(action: str, name: str, status: int = 200, who: str = "admin") -> str:
    return f"api | {action} | granted | {status} | {who} | azure-secret {name} | done"


def _cloud(*calls: str) -> tuple[str, ...]:
    """What the control plane's own calls leave in the log of the embedded cloud."""
    return tuple(f"keyvault | {call.split()[0]} | granted | 200 | plane | secret {call.split()[1]}" for call in calls)


STEPS: tuple[Step, ...] = (
    Step(
        "create",
        _create("one"),
        (_begun(CREATE, "one"), _done(CREATE, "one", 201), *_cloud("SecretSet one", "SecretBackup one")),
        201,
    ),
    Step(
        "create refused by permission",
        _create("two", "bob"),
        (f"api | {CREATE} | refused | 404 | bob | azure-secret | NotFound",),
        404,
    ),
    Step(
        "create refused by its input",
        _create("no good name"),
        (f"api | {CREATE} | refused | 400 | admin | azure-secret | Validation",),
        400,
    ),
    Step(
        "recover refused by state",
        _act("one", "recover"),
        ("api | Recover a soft-deleted secret | refused | 400 | admin | azure-secret | StateForbids",),
        400,
    ),
    Step(
        "hard-delete of what is not there",
        _plane("POST", f"{SECRETS}/00000000-0000-4000-8000-000000000000/hard-delete"),
        ("api | Purge a soft-deleted secret in Azure | refused | 404 | admin | azure-secret | NotFound",),
        404,
    ),
    Step("reading it is no change", lambda world: world.admin.read(world.memory["one"])["status"], (), "AVAILABLE"),
    Step(
        "soft-delete",
        _act("one", "soft-delete"),
        (
            _begun("Soft-delete a secret in Azure", "one"),
            _done("Soft-delete a secret in Azure", "one"),
            *_cloud("SecretBackup one", "SecretDelete one"),
        ),
        200,
    ),
    Step(
        "create refused by the cloud",
        _create("one"),
        (
            _begun(CREATE, "one"),
            f"api | {CREATE} | refused | 409 | admin | azure-secret one | done | CloudConflict",
            "keyvault | SecretSet | refused | 409 | plane | secret one | ObjectIsDeletedButRecoverable",
        ),
        409,
    ),
    Step(
        "recover",
        _act("one", "recover"),
        (
            _begun("Recover a soft-deleted secret", "one"),
            _done("Recover a soft-deleted secret", "one"),
            *_cloud("SecretGetDeleted one", "SecretRecover one"),
        ),
        200,
    ),
    Step(
        "create throttled by the cloud",
        _fault("SecretSet", kind="status", status=429, retry_after_s=77)(_create("three")),
        (
            _begun(CREATE, "three"),
            f"api | {CREATE} | refused | 429 | admin | azure-secret three | done | CloudThrottled",
            "keyvault | SecretSet | refused | 429 | plane | secret three | TooManyRequests",
        ),
        429,
    ),
    Step(
        "user",
        _plane("POST", "/usermgmt/users", {"username": "carol", "password": PASSWORD}, keep="carol"),
        ("api | Create a user | granted | 201 | admin | user carol",),
        201,
    ),
    Step(
        "user again",
        lambda world: (
            world.admin.ask("POST", "/usermgmt/users", {"username": "carol", "password": PASSWORD}).status_code
        ),
        ("api | Create a user | refused | 409 | admin | user | UsernameInUse",),
        409,
    ),
    Step(
        "user by a user",
        lambda world: world.bob.ask("POST", "/usermgmt/users", {"username": "x", "password": PASSWORD}).status_code,
        ("api | Create a user | refused | 403 | bob | user | GroupMissing",),
        403,
    ),
    Step(
        "group",
        _plane("POST", "/usermgmt/groups", {"name": "auditors"}),
        ("api | Create a group | granted | 201 | admin | group auditors",),
        201,
    ),
    Step(
        "member",
        _plane("POST", "/usermgmt/groups/auditors/users/{carol}"),
        ("api | Add a user to a group | granted | 200 | admin | group auditors",),
        200,
    ),
    Step(
        "sign in",
        _signed_in("carol"),
        ("api | Sign in | granted | 200 | carol | session carol",),
        200,
    ),
    Step(
        "refresh",
        _with_tokens("POST", "/auth/tokens", grant_type="refresh_token", refresh_token="$"),
        ("api | Sign in | granted | 200 | carol | session carol",),
        200,
    ),
    Step(
        "sign in with a wrong password",
        _signed_in("carol", CANARY),
        ("api | Sign in | refused | 401 | nobody | user carol | WrongCredentials",),
        401,
    ),
    Step(
        "sign in as nobody who exists",
        _signed_in(CANARY, CANARY),
        ("api | Sign in | refused | 401 | nobody | session | WrongCredentials",),
        401,
    ),
    Step(
        "refresh token that is none",
        lambda world: (
            world.plain(
                "POST", "/auth/tokens", {"grant_type": "refresh_token", "refresh_token": CANARY * 3}
            ).status_code
        ),
        ("api | Sign in | refused | 401 | nobody | session | WrongCredentials",),
        401,
    ),
    Step(
        "bad token",
        lambda world: world.plain("POST", "/usermgmt/groups", {"name": "x"}, CANARY).status_code,
        ("api | Create a group | refused | 401 | nobody | group | TokenMalformed",),
        401,
    ),
    Step("password", _signed_in("carol"), ("api | Sign in | granted | 200 | carol | session carol",), 200),
    Step(
        "log out",
        _with_tokens("POST", "/auth/logout"),
        ("api | Log out | granted | 204 | carol | session",),
        204,
    ),
    Step(
        "user gone",
        _plane("DELETE", "/usermgmt/users/{carol}"),
        ("api | Delete a user | granted | 204 | admin | user carol",),
        204,
    ),
    Step(
        "acl",
        lambda world: world.desk.permit(world.vault, world.bob_id, "secretview"),
        ("api | Change who may do what in a vault | granted | 200 | admin | azure-vault VAULT",),
    ),
    Step(
        "create refused by an action that is missing",
        _create("two", "bob"),
        (f"api | {CREATE} | refused | 403 | bob | azure-secret | ActionMissing",),
        403,
    ),
    Step(
        "synchronize",
        _synchronized,
        (
            f"api | {START} | granted | 0 | admin | synchronization | begun",
            f"api | {START} | granted | 0 | admin | synchronization | done",
        ),
        "completed",
    ),
    Step(
        "job config",
        _config,
        ("api | Schedule a job | granted | 201 | admin | job-config nightly",),
        201,
    ),
    Step(
        "not built",
        _plane("POST", "/cckm/azure/keys", {}),
        ("api | Create a key | refused | 501 | admin | Azure keys | NotBuilt",),
        501,
    ),
    Step(
        "set",
        _vault("PUT", "/secrets/plain", {"value": CANARY}),
        ("keyvault | SecretSet | granted | 200 | demo | secret plain",),
        200,
    ),
    Step("get", _vault("GET", "/secrets/plain"), ("keyvault | SecretGet | granted | 200 | demo | secret plain",), 200),
    Step("list", _vault("GET", "/secrets"), (), 200),
    Step(
        "update",
        _vault("PATCH", "/secrets/plain", {"tags": {"a": "b"}}),
        ("keyvault | SecretUpdate | granted | 200 | demo | secret plain",),
        200,
    ),
    Step(
        "get of nothing",
        _vault("GET", "/secrets/nothing"),
        ("keyvault | SecretGet | refused | 404 | demo | secret nothing | SecretNotFound",),
        404,
    ),
    Step("no token", _vault("GET", "/secrets/plain", token=None), (), 401),
    Step(
        "bad token at a vault",
        _vault("GET", "/secrets/plain", token=CANARY),
        ("keyvault | SecretGet | refused | 401 | nobody | secret plain | InvalidToken",),
        401,
    ),
    Step(
        "no right",
        _as_stranger("PUT", "/secrets/plain", {"value": CANARY}),
        (
            "login | Get token | granted | 200 | stranger | application stranger",
            "keyvault | SecretSet | refused | 403 | stranger | secret plain | ForbiddenByRbac",
        ),
        403,
    ),
    Step(
        "backup, delete, purge, restore",
        _restored,
        (
            "keyvault | SecretBackup | granted | 200 | demo | secret plain",
            "keyvault | SecretDelete | granted | 200 | demo | secret plain",
            "keyvault | SecretPurge | granted | 204 | demo | secret plain",
            "keyvault | SecretRestore | granted | 200 | demo | secret plain",
        ),
        200,
    ),
    Step(
        "delete and recover",
        _recovered,
        (
            "keyvault | SecretDelete | granted | 200 | demo | secret plain",
            "keyvault | SecretRecover | granted | 200 | demo | secret plain",
        ),
    ),
    Step(
        "failed at a fault",
        _fault("SecretGet", kind="status", status=503)(_vault("GET", "/secrets/plain")),
        ("keyvault | SecretGet | failed | 503 | demo | secret plain | Fault503",),
        503,
    ),
    Step(
        "wrong client secret",
        lambda world: world.get_token(world.stranger, CANARY),
        ("login | Get token | refused | 401 | nobody | application | ClientSecretWrong",),
        401,
    ),
    Step(
        "unknown application",
        lambda world: world.get_token(Application(CANARY, "", ""), CANARY),
        ("login | Get token | refused | 400 | nobody | application | ApplicationNotFound",),
        400,
    ),
    Step(
        "group of resources",
        lambda world: world.arm("PUT", "/resourceGroups/lab", {"location": "westeurope"}),
        (
            "login | Get token | granted | 200 | demo | application demo",
            "management | Put group | granted | 201 | demo | group lab",
        ),
        201,
    ),
    Step(
        "group without a location",
        lambda world: world.arm("PUT", "/resourceGroups/lab", {}),
        ("management | Put group | refused | 400 | demo | group lab | LocationMissing",),
        400,
    ),
    Step("groups listed", lambda world: world.arm("GET", "/resourceGroups"), (), 200),
    Step(
        "management with a bad token",
        lambda world: world.arm("DELETE", "/resourceGroups/lab", token=CANARY),
        ("management | Delete group | refused | 401 | nobody | group lab | InvalidToken",),
        401,
    ),
    Step(
        "group gone",
        lambda world: world.arm("DELETE", "/resourceGroups/lab"),
        ("management | Delete group | granted | 200 | demo | group lab",),
        200,
    ),
    Step(
        "application by command",
        _command("app", "create", "recorded"),
        ("cli | Create an application | granted | 0 | os | application recorded",),
        0,
    ),
    Step(
        "application by command again",
        _command("app", "create", "recorded"),
        ("cli | Create an application | refused | 0 | os | application recorded | ApplicationTaken",),
        1,
    ),
    Step("applications listed", _command("app", "list"), (), 0),
    Step(
        "keys rotated",
        _command("keys", "rotate", "--data-keys"),
        (
            "cli | Rotate keys | granted | 0 | os | begun",
            "cli | Rotate keys | granted | 0 | os | done",
        ),
        0,
    ),
    Step(
        "application gone",
        _command("app", "delete", "recorded"),
        ("cli | Delete an application | granted | 0 | os | application recorded",),
        0,
    ),
)

LAST: tuple[Step, ...] = (
    Step(
        "a job that is due",
        lambda world: world.admin.ask("POST", f"/scheduler/job-configs/{world.memory['config']}/run-now").status_code,
        (
            "api | Run a job at once | granted | 201 | admin | job nightly",
            "scheduler | Run what is scheduled | granted | 0 | nobody | synchronization | begun",
            "scheduler | Run what is scheduled | granted | 0 | nobody | synchronization | done",
        ),
    ),
)
"""What is best done at the end: work that goes on behind its answer."""
