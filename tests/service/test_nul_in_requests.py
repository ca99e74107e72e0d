"""NUL and its kin where a request's text becomes part of a query: PostgreSQL takes none, and that is no 5xx."""

from __future__ import annotations

import pytest

from tests.serving import Estate
from tests.vaults import VaultClient, unpadded

ODD = ["\0", "a\0", "\x1f", "\x7f", "a\nb", "\u2028"]


@pytest.mark.parametrize("odd", ODD, ids=ascii)
@pytest.mark.parametrize("path", ["/secrets", "/deletedsecrets", "/secrets/s/versions"])
def test_a_page_mark(kept: VaultClient, path: str, odd: str):
    answer = kept.ask("GET", f"{path}?$skiptoken={unpadded(odd.encode())}&api-version=7.6", version=None)
    if "\0" in odd:
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "BadParameter")
    else:
        assert answer.status_code == 200


@pytest.mark.parametrize("odd", ODD, ids=ascii)
def test_a_client_id(estate: Estate, odd: str):
    form = {"grant_type": "client_credentials", "client_id": odd, "client_secret": odd}
    form["scope"] = "https://vault.azure.net/.default"
    for tenant in (estate.tenant_id, odd):
        answer = estate.http.post(f"{estate.server.login}/{tenant.replace(odd, '%00')}/oauth2/v2.0/token", data=form)
        assert answer.status_code == 400
        assert answer.json()["error"] in ("unauthorized_client", "invalid_request")


@pytest.mark.parametrize("odd", ODD, ids=ascii)
def test_a_managed_identity(estate: Estate, odd: str):
    told = estate.server.exported
    query = {"api-version": "2019-08-01", "resource": "https://vault.azure.net", "client_id": odd}
    header = {"X-IDENTITY-HEADER": told["IDENTITY_HEADER"]}
    answer = estate.http.get(told["IDENTITY_ENDPOINT"], params=query, headers=header)
    assert answer.status_code == 400
    assert answer.json()["statusCode"] == 400


@pytest.mark.parametrize("odd", ODD, ids=ascii)
def test_names_types_and_tags(kept: VaultClient, name: str, odd: str):
    for path in ("/secrets/%00", "/secrets/s/%00", "/deletedsecrets/%00", "/secrets/%00/versions"):
        assert kept.ask("GET", path).status_code == 400
    typed = kept.ask("PUT", f"/secrets/{name}", {"value": odd, "contentType": odd})
    tagged = kept.ask("PUT", f"/secrets/{name}", {"value": odd, "tags": {odd: odd}})
    for answer in (typed, tagged):
        assert answer.status_code in (200, 400)
        if answer.status_code == 200:
            assert kept.get(name)["value"] == odd
    if 200 in (typed.status_code, tagged.status_code):
        kept.delete(name)
        kept.purge(name)
