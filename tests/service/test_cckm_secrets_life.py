"""Secrets through the control plane of a real server, seen from the other side by the unmodified SDK."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from azure.core.exceptions import ResourceNotFoundError

from tests.desk import SECRETS, SETTINGS, Desk, Managed
from tests.serving import estate_on
from tests.vaults import spare_name


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def desk(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    for estate in estate_on(request.param, request, tmp_path_factory.mktemp("desk"), **SETTINGS):
        found = Desk(estate.server)
        yield found
        found.close()


@pytest.fixture(scope="module")
def vault(desk: Desk) -> Managed:
    return desk.vault()


def test_a_whole_life(desk: Desk, vault: Managed) -> None:
    name, sdk, admin = spare_name(), vault.sdk(), desk.admin
    made = admin.create(name, vault, "first", contentType="password", tags={"a": "b"})
    seen = sdk.get_secret(name)
    assert (seen.value, seen.properties.version, seen.properties.tags) == ("first", made["version"], {"a": "b"})
    assert (made["status"], made["azure_param"]["id"]) == ("AVAILABLE", seen.id)
    assert "value" not in made["azure_param"]
    changed = admin.patch(made, attributes={"enabled": False}, tags={"c": "d"})
    assert changed["azure_param"]["tags"] == {"c": "d"}
    assert not changed["azure_param"]["attributes"]["enabled"]
    admin.patch(made, attributes={"enabled": True})
    gone = admin.act(made, "soft-delete")
    assert (gone["status"], gone["deleted"], gone["secret_soft_deleted_in_azure"]) == ("SOFT-DELETED", False, True)
    assert sdk.get_deleted_secret(name).name == name
    back = admin.act(made, "recover")
    assert (back["status"], back["secret_soft_deleted_in_azure"]) == ("AVAILABLE", False)
    assert sdk.get_secret(name).value == "first"
    admin.act(made, "soft-delete")
    ended = admin.act(made, "hard-delete")
    assert (ended["status"], ended["deleted"], ended["gone"]) == ("DELETED", True, False)
    with pytest.raises(ResourceNotFoundError):
        sdk.get_deleted_secret(name)
    again = admin.act(made, "restore")
    assert (again["id"], again["status"], again["deleted"]) == (made["id"], "AVAILABLE", False)
    assert sdk.get_secret(name).value == "first"
    admin.act(made, "soft-delete")
    admin.act(made, "hard-delete")
    admin.remove(made)
    admin.refuse("GET", f"{SECRETS}/{made['id']}", status=404)
    assert admin.records(vault, name) == []
