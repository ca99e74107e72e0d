"""Tokens at a service of all tenants: whose they may be, and that what is remembered of them is asked again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from claviger.core.errors import Unauthenticated
from claviger.keyvault.challenge import Challenge
from claviger.keyvault.directory import signing
from claviger.keyvault.management.places import Place, place_at
from tests.directory import Directory, keys_made_before, open_directory

AUDIENCE = "https://management.azure.com/"
HOST = "management.localhost:8443"
STRANGER = "99999999-2222-3333-4444-555555555555"


@pytest.fixture
async def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Directory]:
    monkeypatch.setattr(signing, "new_key", keys_made_before())
    async with open_directory(f"sqlite://{tmp_path}/claviger.db") as directory:
        await directory.vault()
        yield directory


class Known:
    """The tenants that there are, as the application sees them."""

    def __init__(self, place: Place, *tenants: str) -> None:
        self.place = place
        self.tenants = set(tenants)

    def expected(self, tenant_id: str) -> Challenge | None:
        return self.place.expected(tenant_id) if tenant_id in self.tenants else None


async def test_a_token_of_a_tenant_there_is_not_is_refused_also_once_it_is_known(directory: Directory):
    made = await directory.application()
    known = Known(place_at(HOST), made.application.tenant_id)
    header = await directory.bearer(made, AUDIENCE)
    for _ in range(2):
        caller = directory.verifier.verify_any_tenant(header, HOST, known.expected)
        assert (caller.oid, caller.tid) == (made.application.object_id, made.application.tenant_id)
    known.tenants.clear()
    with pytest.raises(Unauthenticated, match="WrongIssuer"):
        directory.verifier.verify_any_tenant(header, HOST, known.expected)


async def test_the_issuer_must_be_that_of_the_tokens_own_tenant(directory: Directory):
    made = await directory.application()
    foreign = msgspec.structs.replace(made.application, tenant_id=STRANGER)
    issued = await directory.tokens.issue(foreign, AUDIENCE)
    header = b"Bearer " + issued.token.reveal()
    known = Known(place_at(HOST), made.application.tenant_id)
    with pytest.raises(Unauthenticated, match="WrongIssuer"):
        directory.verifier.verify_any_tenant(header, HOST, known.expected)
    known.tenants.add(STRANGER)
    assert directory.verifier.verify_any_tenant(header, HOST, known.expected).tid == STRANGER


async def test_no_header_and_another_audience(directory: Directory):
    made = await directory.application()
    known = Known(place_at(HOST), made.application.tenant_id)
    with pytest.raises(Unauthenticated, match="MissingToken"):
        directory.verifier.verify_any_tenant(None, HOST, known.expected)
    with pytest.raises(Unauthenticated, match="WrongAudience"):
        directory.verifier.verify_any_tenant(await directory.bearer(made), HOST, known.expected)
