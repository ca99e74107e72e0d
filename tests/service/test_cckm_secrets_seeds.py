"""The examples of the documentation: the calls as they are printed, and answers of the same fields and shapes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.desk import SECRETS, SETTINGS, Desk
from tests.serving import estate_on
from tests.vaults import spare_name

SEEDS = Path(__file__).resolve().parents[2].parent / "shared" / "seeds"
SHAPES = (
    ("uuid", r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"),
    ("time with fraction", r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z"),
    ("time", r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"),
    ("version", r"[0-9a-f]{32}"),
    ("backup", r"[0-9a-f]{60,64}"),
    ("address", r"https://[^/]+/secrets/[^/]+/[0-9a-f]{32}"),
    ("uri", r"kylo:kylo:cckm:azure-secret:.+"),
    ("vault", r"[a-z0-9-]+::[0-9a-f-]{36}"),
)
WORDS = {"account", "application", "devAccount", "status", "cloud_name", "value"}
"""What has to be the same word."""


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def echoing(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    settings = SETTINGS | {"CLAVIGER_ECHO_VALUES": "true"}
    for estate in estate_on(request.param, request, tmp_path_factory.mktemp("echo"), **settings):
        found = Desk(estate.server)
        yield found
        found.close()


def seed(number: int) -> str:
    found = sorted(SEEDS.glob(f"{number:03}_*.txt"))
    if not found:
        pytest.skip("the documentation's pages are not here")
    return found[0].read_text()


def example_of(page: str) -> Any:
    """The answer that a page prints: the object that begins with an id."""
    at = re.search(r'\{\s*"id"', page)
    assert at is not None
    return json.JSONDecoder().raw_decode(page[at.start() :])[0]


def shape(value: Any) -> str:
    if not isinstance(value, str):
        return type(value).__name__
    return next((name for name, pattern in SHAPES if re.fullmatch(pattern, value)), "text")


def compare(ours: Any, theirs: Any, place: str = "") -> list[str]:
    """What the example has and we have not, or not of that shape."""
    found = []
    for name, example in theirs.items():
        where = f"{place}{name}"
        if name not in ours:
            found.append(f"{where} is missing")
        elif isinstance(example, dict):
            found += compare(ours[name], example, f"{where}.")
        elif shape(ours[name]) != shape(example):
            found.append(f"{where}: {ours[name]!r} is not like {example!r}")
        elif name in WORDS and ours[name] != example:
            found.append(f"{where}: {ours[name]!r} is not {example!r}")
    return found


def test_creating_azure_secrets(echoing: Desk) -> None:
    page = seed(1)
    vault = echoing.vault()
    printed = page[page.index('{\\n "secret_name": "azure_secret"') : page.index("' --compressed\nExample Response")]
    mended = printed.replace("\\n", "\n").replace('"Recoverable" \n', '"Recoverable",\n')  # a comma is missing there
    body = json.loads(mended) | {"key_vault": vault.id, "secret_name": spare_name("azure-secret")}
    made = echoing.admin.accept("POST", SECRETS, body, 201)
    assert compare(made, example_of(page)) == []
    assert vault.sdk().get_secret(body["secret_name"]).value == "test-secret-value"


def test_purging_azure_secrets(echoing: Desk) -> None:
    page = seed(0)
    vault, admin = echoing.vault(), echoing.admin
    made = admin.create(spare_name("secret-13-apr"), vault, "secret value")
    softly = admin.act(made, "soft-delete")
    assert softly["azure_param"]["value"] == "secret value"
    ended = admin.act(made, "hard-delete")
    example = example_of(page)
    assert compare(ended, example) == []
    for flag in ("deleted", "gone", "soft_delete_enabled", "secret_soft_deleted_in_azure"):
        assert ended[flag] == example[flag]
    assert ended["azure_param"]["attributes"]["recoveryLevel"] == "Recoverable+Purgeable"


def test_each_version_echoes_its_own_value_until_it_is_removed(echoing: Desk) -> None:
    vault, admin = echoing.vault(), echoing.admin
    name = spare_name()
    one, two = admin.create(name, vault, "one"), admin.create(name, vault, "two")
    assert [each["azure_param"]["value"] for each in (one, two)] == ["one", "two"]
    assert admin.read(one)["azure_param"]["value"] == "one"
    for action in ("soft-delete", "hard-delete", "restore", "soft-delete", "hard-delete"):
        assert admin.act(two, action)["azure_param"]["value"] == "two"
    admin.remove(one)
    assert admin.records(vault) == []


def test_the_comparison_sees_what_is_missing_or_unlike() -> None:
    theirs = {"id": "73524b70-1234-4f92-954b-6312f4567d1a", "deleted": False, "azure_param": {"value": "x"}}
    assert compare(theirs, theirs) == []
    assert len(compare({"id": "5", "azure_param": {}}, theirs)) == 3
