"""The schema trial of the control plane: requests drawn from the OpenAPI document that the server itself serves.

Every request goes out as an admin, as an admin of clouds, as a user with an ACL and as nobody, and in odd forms
(`varying`). An answer is judged by the contract (`planejudging`), and one to a request as drawn by the document too:
its status must be among those documented, and what it holds of the documented shape. At the end the server must live,
know what nobody named (`planetarget`), not have grown, and not have logged an error. The requests of a seed are the
same on every server: ids stand in them as words.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import sys
import tempfile
from collections.abc import Collection, Iterator, Mapping
from copy import deepcopy
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from figures import ociplane
from figures.databases import Database, Reports, kinds, on_each
from figures.fuzz import CHANNELS, FuzzReport
from figures.judging import JSON_TYPE
from figures.planejudging import PlaneJudge
from figures.planetarget import (
    ACTIONS,
    API,
    HOST,
    NAMES,
    ON_THIS_MACHINE,
    PASSWORD,
    ROLES,
    SETTINGS,
    SUBSCRIPTION,
    PlaneTarget,
    endpoints,
    prepare,
)
from figures.sending import Channel, Crew, Outcome
from figures.target import SetProduct

NAME = "planefuzz"
SIZE, QUICK_SIZE = 24_000, 6_000
FIRST = ("officer", "keeper", "reader", "nobody")
FORMS = 6
REFILLED_AFTER = 120
SERVICE = "plane"
_LAST = (f"{API}/auth/tokens", f"{API}/auth/changepw")
"""Where wrong passwords come in: after enough of them an address has to wait, and nobody can sign in any more."""

GONE = "11111111-1111-4111-8111-111111111111"
_ONE = "5eed0000-0000-4000-8000-00000000000a"
_TEXTS: Mapping[str, tuple[Any, ...]] = {
    "key_vault": ("fuzz-open", f"fuzz-spare::{SUBSCRIPTION}", "fuzz-nowhere"),
    "key_vaults": ("fuzz-open", "fuzz-nowhere"),
    "connection": ("embedded-azure", "embedded-oci", "fuzz-connection", "local_account"),
    "subscription_id": (SUBSCRIPTION, GONE),
    "secret_name": (*NAMES, "fuzz-new"),
    "group": ("fuzz-victims", "CCKM Users"),
    "username": ("fuzz-victim", "fuzz-ghost"),
    "password": (PASSWORD,),
    "new_password": (PASSWORD, "another-horse-7-Battery"),
    "domain": ("root", "fuzz-domain"),
    "actions": (*ACTIONS, *ociplane.ACTIONS),
    "action": (*ACTIONS, *ociplane.ACTIONS),
    "types": ("test", "drift", "near-expiry"),
    "status": ("AVAILABLE", "SOFT_DELETED", "DELETED"),
    "sort": ("-updatedAt", "name", "secret_name", "createdAt,-name"),
    "container_id": (PlaneTarget.word("/cckm/azure/vaults", 0),),
    "user_id": (PlaneTarget.word("/usermgmt/users", 0),),
    "admins": ("admin", "fuzz-victim"),
    "email": ("fuzz@example.org",),
    "exp": ("2033-01-01T00:00:00Z",),
    "azure_vault_id": (
        f"/subscriptions/{SUBSCRIPTION}/resourceGroups/fuzz/providers/Microsoft.KeyVault/vaults/fuzz-spare",
    ),
}
"""What is there, by the names of fields and parameters."""
_OF_OCI: Mapping[str, tuple[Any, ...]] = {**_TEXTS, **ociplane.texts(PlaneTarget.word)}


def _alone(port: str) -> dict[str, tuple[str, ...]]:
    """What alone is drawn for fields that say where the server shall send something: nothing leaves this machine."""
    closed = ("https://127.0.0.1:1", "https://[::1", "ftp://localhost", "nonsense", "")
    hook = (f"https://{HOST}:{port}{API}/fuzz-hook", "http://169.254.169.254/latest", "https://localhost:1/x", *closed)
    found = {name: (value, *closed) for name, value in endpoints(port).items()}
    clouds = ("AzureStack", "AzureCloud", "AzureChinaCloud", "oci", "nonsense")
    return found | ociplane.alone(port) | {"url": hook, "nextLink": ("", *closed), "cloud_name": clouds}


def run(folder: Path, inputs: int, seed: int) -> Reports:
    """The trial on each kind of database, the inputs shared between them."""
    return on_each(lambda database: run_on(database, folder, inputs // kinds(), seed))


def run_on(database: Database, folder: Path, inputs: int, seed: int) -> FuzzReport:
    """Sends so many inputs to a fresh server below `folder`, on an empty database."""
    report = FuzzReport(seed, NAME, database.kind)
    with tempfile.TemporaryDirectory() as made:
        (Path(made) / "sitecustomize.py").write_text(ON_THIS_MACHINE)
        settings = {**SETTINGS, "PYTHONPATH": os.pathsep.join((made, *sys.path)), **database.settings}
        product = SetProduct(folder / f"{NAME}-{database.kind.lower()}", settings)
        try:
            product.start()
            target = prepare(product)
            target.begin()
            asyncio.run(_send_all(target, inputs, report))
            report.growth_mib = target.growth_mib()
            for kind, detail in target.findings():
                report.add(kind, detail)
        finally:
            product.kill()
    return report


async def _send_all(target: PlaneTarget, inputs: int, report: FuzzReport) -> None:
    from figures.drawing import undocumented
    from figures.varying import Form

    described = target.must("GET", "/openapi.json")
    forms = itertools.islice(_forms(target, described, inputs, report.seed), inputs)
    judge = PlaneJudge()
    sent_with: dict[int, str] = {}

    def ready(form: Form) -> tuple[bytes, str]:
        if form.caller in ROLES and f"Bearer @token-{form.caller}@\r".encode() in form.raw:
            sent_with[id(form)] = target.tokens[form.caller]
        return target.with_token(form.raw), form.asked.method

    def note(form: Form, outcome: Outcome) -> None:
        report.inputs += 1
        report.parts[form.caller if form.caller in ROLES else "others"] += 1
        report.longest_s = max(report.longest_s, outcome.seconds)
        answer = outcome.answer
        if answer is None:
            findings = [(outcome.kind, outcome.detail)]
        else:
            report.statuses[str(answer.status)] += 1
            report.reached[form.drawn.label] += answer.status < 300
            known = _documented(described, form)
            findings = judge.of(answer, form.asked.method, known, media=_media(described, form) if form.plain else "")
            if form.plain and answer.status < 300:
                findings += [("undocumented", said) for said in undocumented(form.drawn.operation, answer)]
            elif form.plain and str(answer.status) not in known and answer.status not in (405, 431):
                findings.append(("undocumented", f"{answer.status} {answer.body[:300]!r}"))
            if target.lost(answer.status, answer.body) and sent_with.get(id(form)) == target.tokens.get(
                form.caller, ""
            ):
                target.renew(form.caller)
        for kind, detail in findings:
            report.add(kind, f"{detail} | {form.drawn.label} {form.oddities} | {form.raw[:1500]!r}")
        if report.inputs % REFILLED_AFTER == 0:
            target.refill()

    crew = Crew(forms, note)
    channels = [Channel(target.port, target.product.context, HOST) for _ in range(CHANNELS)]
    await asyncio.gather(*(crew.work(each, ready) for each in channels))


def _documented(described: Mapping[str, Any], form: Any) -> Collection[str]:
    """The statuses that the call may answer; where it went somewhere else, those in which a 5xx is honest."""
    if "path" in form.oddities:
        return ("501", "502", "504")
    operations = described["paths"][form.drawn.operation.path]
    found: Mapping[str, Any] = operations.get(form.asked.method.lower(), {})
    return tuple(found.get("responses", ()))


def _media(described: Mapping[str, Any], form: Any) -> str:
    """What a success of the operation is, by its document."""
    operation = described["paths"][form.drawn.operation.path].get(form.drawn.method.lower(), {})
    answers = operation.get("responses", {})
    contents = [each.get("content", {}) for status, each in answers.items() if status.startswith("2")]
    return next((kind for content in contents for kind in content), JSON_TYPE)


def _forms(target: PlaneTarget, described: dict[str, Any], inputs: int, seed: int) -> Iterator[Any]:
    """Drawn requests in all their forms, with the ids of this moment in them; again from the first after the last."""
    from figures.varying import Varying

    tokens = {who: f"@token-{who}@" for who in (*ROLES, "misfit")}
    varying = Varying({SERVICE: HOST}, {"port": str(target.port)}, {SERVICE: tokens}, FIRST)
    dice = random.Random(f"forms/{seed}")
    port = str(target.port).encode()
    count = -(-inputs // FORMS)
    drawn = list(itertools.islice(itertools.cycle(_drawn(_Described(described), count, seed)), count))
    drawn.sort(key=lambda each: each.target.partition("?")[0].rstrip("/") in _LAST)
    for each in drawn:
        body = target.replaced(each.body).replace(b"@port@", port)
        here = replace(each, target=target.replaced(each.target.encode()).decode(), body=body)
        yield from varying.forms(here, FORMS, dice)


class _Described:
    """A document as the key of what was drawn from it: all documents of one version are alike."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document

    def __hash__(self) -> int:
        return hash(len(self.document["paths"]))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Described) and self.document == other.document


@lru_cache(maxsize=2)
def _drawn(described: _Described, count: int, seed: int) -> list[Any]:
    from figures.drawing import Document

    offered = offering(deepcopy(described.document))
    paths = set(offered["paths"])

    def places(path: str) -> list[dict[str, str]]:
        """Two of what is listed where the varying segments of the path begin."""
        parts = path.split("/")
        found: list[dict[str, str]] = []
        for number in range(2):
            place = {}
            for at, part in enumerate(parts):
                if part.startswith("{"):
                    place[part[1:-1]] = _word("/".join(parts[:at]), part[1:-1], number, paths)
            found.append(place)
        return found if found[0] else []

    return Document(offered, SERVICE, places).draw(count, seed)


def _word(collection: str, name: str, number: int, paths: set[str]) -> str:
    if name == "versionID":
        return PlaneTarget.word(ociplane.VERSIONS, number)
    if name == "user_id":
        collection = f"{API}/usermgmt/users"
    elif name == "client_id":
        collection = f"{API}/auth/clients"
    elif name == "name" and "groups" in collection:
        return ("fuzz-victims", "fuzz-nobody")[number]
    return (
        PlaneTarget.word(collection.removeprefix(API), number)
        if collection in paths and "{" not in collection
        else _ONE
    )


def offering(document: dict[str, Any]) -> dict[str, Any]:
    """The document, changed so that it offers what is there, and never anything that leads off this machine."""
    alone = _alone("@port@")
    document.pop("security", None)  # tokens come from the forms
    document["components"].pop("securitySchemes", None)
    schemas = document["components"]["schemas"]
    paths = document["paths"]
    operations = [operation for path in paths.values() for operation in path.values()]
    given = _reached([each.get("responses") for each in operations] + [document["components"]["responses"]], schemas)
    for is_of_oci in (False, True):  # where both take a schema, OCI's values
        texts = _OF_OCI if is_of_oci else _TEXTS
        ours = [paths[path] for path in paths if path.startswith(ociplane.PATHS) == is_of_oci]
        of_these = [operation for path in ours for operation in path.values()]
        for name in _reached([each.get("requestBody") for each in of_these], schemas) - given:
            for field, inner in schemas[name].get("properties", {}).items():
                values = alone.get(field) or texts.get(field)
                if values:
                    schemas[name]["properties"][field] = _offered(inner, values)
        for operation in of_these:
            _offer_parameters(operation, texts)
    return document


def _offer_parameters(operation: dict[str, Any], texts: Mapping[str, tuple[Any, ...]]) -> None:
    # Waiting for the cloud is asked for by odd forms, within their own limits.
    kept = [each for each in operation.get("parameters", ()) if each["name"] != "wait"]
    for each in kept:
        if each["in"] == "query" and each["name"] in texts:
            each["schema"] = {"anyOf": [_offered(each["schema"], texts[each["name"]]), each["schema"]]}
    operation["parameters"] = kept
    operation.pop("security", None)


def _reached(start: list[Any], schemas: Mapping[str, Any]) -> set[str]:
    """The names of the schemas that these parts of a document refer to, and so on."""
    found: set[str] = set()
    left = list(start)
    while left:
        each = left.pop()
        if isinstance(each, dict):
            name = str(each.get("$ref", "")).removeprefix("#/components/schemas/")
            if name in schemas and name not in found:
                found.add(name)
                left.append(schemas[name])
            left += each.values()
        elif isinstance(each, list):
            left += each
    return found


def _offered(schema: dict[str, Any], values: tuple[Any, ...]) -> dict[str, Any]:
    """In the place of a schema of texts, numbers or objects; what is wrong there is drawn all the same."""
    kind = {int: "integer", dict: "object"}.get(type(values[0]), "string")
    if schema.get("type") == "array":
        if schema.get("items", {}).get("type") != kind:
            return schema
        return {**schema, "items": {"type": kind, "enum": list(values)}}
    return {"type": kind, "enum": list(values)}
