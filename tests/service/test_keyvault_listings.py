"""Listings page by page: order, page sizes, links, marks (Key Vault contract §4, paging)."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from tests.serving import Estate
from tests.vaults import VaultClient, accepted, name_of, refused, unpadded, version_of


@pytest.fixture
def filled(estate: Estate) -> VaultClient:
    """A vault of 30 secrets in mixed case, 27 deleted ones, and one secret of 28 versions; nobody changes it."""
    vault = estate.shared_vault("--retention-days", "30")
    if not vault.listed():
        for number in range(30):
            vault.put(f"{'Live' if number % 2 else 'live'}-{number:02}")
        for number in range(27):
            vault.put(f"gone-{number:02}")
            vault.delete(f"gone-{number:02}")
        for _ in range(27):
            vault.put("live-00")
    return vault


LISTINGS = {"/secrets": 30, "/deletedsecrets": 27, "/secrets/live-00/versions": 28}


@pytest.mark.parametrize("path", LISTINGS)
@pytest.mark.parametrize("size", [None, 1, 7, 24, 25])
def test_the_pages_together_are_the_listing(filled: VaultClient, path: str, size: int | None):
    query = {} if size is None else {"maxresults": size}
    pages = list(filled.pages(path, **query))
    keys = [item["id"].lower() for page in pages for item in page]
    assert len(keys) == LISTINGS[path]
    assert keys == sorted(set(keys))
    assert {len(page) for page in pages[:-1]} <= {size or 25}
    assert 0 < len(pages[-1]) <= (size or 25)


@pytest.mark.parametrize("path", LISTINGS)
def test_a_link_leads_on_with_the_same_size_host_port_and_version(filled: VaultClient, path: str):
    page = accepted(filled.ask("GET", path, version="7.4", maxresults=3))
    link = urlsplit(page["nextLink"])
    assert f"{link.scheme}://{link.netloc}" == filled.url
    assert link.path == path
    query = parse_qs(link.query, strict_parsing=True)
    assert query.keys() == {"api-version", "$skiptoken", "maxresults"}
    assert (query["api-version"], query["maxresults"]) == (["7.4"], ["3"])
    following = accepted(filled.follow(page["nextLink"]))
    assert len(following["value"]) == 3
    assert parse_qs(urlsplit(following["nextLink"]).query)["maxresults"] == ["3"]


@pytest.mark.parametrize("path", LISTINGS)
def test_a_last_page_that_is_exactly_full_has_no_link(filled: VaultClient, path: str):
    half = LISTINGS[path] // 2
    if LISTINGS[path] % 2:
        half = LISTINGS[path] // 3
    assert [len(page) for page in filled.pages(path, maxresults=half)] == [half] * (LISTINGS[path] // half)


@pytest.mark.parametrize("path", LISTINGS)
@pytest.mark.parametrize(
    "size", ["0", "26", "-1", "", "x", "1.0", "1e1", "٣", "+5", " 5", "99999999999999999999", "0x10", "5\0"]
)
def test_a_page_size_outside_1_to_25_is_refused(filled: VaultClient, path: str, size: str):
    refused(filled.ask("GET", path, maxresults=size), 400, "BadParameter")


@pytest.mark.parametrize("path", LISTINGS)
@pytest.mark.parametrize("mark", ["", "!", "%00", "a", unpadded(b"\xff\xfe"), "x" * 2000, "=", "é"])
def test_a_mark_that_is_none_does_no_harm(filled: VaultClient, path: str, mark: str):
    answer = filled.ask("GET", f"{path}?{urlencode({'api-version': '7.6', '$skiptoken': mark})}", version=None)
    if mark == "":
        assert accepted(answer)["value"]
    else:
        refused(answer, 400, "BadParameter")


def test_pages_hold_while_secrets_come_and_go(estate: Estate, empty_vault: VaultClient):
    for letter in "bdfhj":
        empty_vault.put(letter)
    first = accepted(empty_vault.ask("GET", "/secrets", maxresults=2))
    assert [name_of(item) for item in first["value"]] == ["b", "d"]
    for letter in "ag":
        empty_vault.put(letter)
    for letter in "df":
        empty_vault.delete(letter)
    rest: list[Any] = []
    link = first["nextLink"]
    while link:
        page = accepted(empty_vault.follow(link))
        rest += [name_of(item) for item in page["value"]]
        link = page["nextLink"]
    assert rest == ["g", "h", "j"]


def test_secrets_are_listed_by_name_without_regard_to_case(estate: Estate, empty_vault: VaultClient):
    for each in ("b", "A", "c", "B2", "a-1", "a1", "Z", "0", "-"):
        empty_vault.put(each)
    names = [name_of(item) for item in empty_vault.listed()]
    assert names == sorted(names, key=str.lower)
    assert names == ["-", "0", "A", "a-1", "a1", "b", "B2", "c", "Z"]
    for each in names:
        empty_vault.delete(each)
    assert [name_of(item) for item in empty_vault.listed("/deletedsecrets")] == names
    assert empty_vault.listed() == []


def test_versions_are_listed_by_id_not_by_time(filled: VaultClient):
    versions = [version_of(item) for item in filled.versions("live-00")]
    assert versions == sorted(versions)
    assert len(set(versions)) == 28


def test_no_listing_ever_holds_a_value(filled: VaultClient):
    for path in LISTINGS:
        assert not any("value" in item for item in filled.listed(path))
