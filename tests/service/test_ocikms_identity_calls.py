"""The calls of OCI Identity (contract §11) on both databases: what each caller is told, and what is hidden."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from claviger.ocikms.calls import Caller
from claviger.ocikms.identity import administration
from tests.oci_identity import IdentityDesk, open_desk, shown

CHANGES: list[tuple[str, dict[str, str]]] = [
    ("CreateCompartment", {}),
    ("UpdateCompartment", {"compartmentId": "x"}),
    ("DeleteCompartment", {"compartmentId": "x"}),
    ("CreateUser", {}),
    ("UploadApiKey", {"userId": "x"}),
    ("CreateTagNamespace", {}),
]


class Tree:
    """A tenancy with a few compartments, one of them deleted, and three users who may do more or less in it."""

    def __init__(self, desk: IdentityDesk) -> None:
        self.desk = desk
        self.ids: dict[str, str] = {}
        self.root = ""
        self.admin: Caller
        self.member: Caller
        """May read production and manage staging/team-a."""
        self.stranger: Caller
        """May do nothing."""
        self.foreign: Caller

    async def plant(self) -> None:
        desk = self.desk
        self.root = (await desk.tenancy(regions=("eu-frankfurt-1",))).tenancy.id
        for path in ("production", "staging", "staging/team-a", "staging/team-b", "old"):
            self.ids[path] = await desk.compartment(path)
        await administration.delete_compartment(desk.store, "old")
        self.admin = await desk.caller("admin", manage="/")
        self.member = await desk.caller("member", read="production", manage="staging/team-a")
        self.stranger = await desk.caller("stranger")
        await desk.tenancy("foreign")
        self.foreign = await desk.caller("admin", "foreign", manage="/")

    async def names(self, caller: Caller, **query: str) -> list[str]:
        return await self.desk.names(caller, query.pop("compartmentId", self.root), **query)


@pytest.fixture
async def tree(database_url: str) -> AsyncIterator[Tree]:
    async with open_desk(database_url) as desk:
        planted = Tree(desk)
        await planted.plant()
        yield planted


async def test_compartments_directly_in_one_newest_first(tree: Tree) -> None:
    assert await tree.names(tree.admin) == ["old", "staging", "production"]
    assert await tree.names(tree.admin, compartmentId=tree.ids["staging"]) == ["team-b", "team-a"]
    assert await tree.names(tree.admin, compartmentId=tree.ids["production"]) == []
    assert await tree.names(tree.admin, sortOrder="ASC") == ["production", "staging", "old"]
    assert await tree.names(tree.admin, sortBy="NAME") == ["old", "production", "staging"]
    assert await tree.names(tree.admin, sortBy="name", sortOrder="desc") == ["staging", "production", "old"]


async def test_compartments_of_the_whole_tenancy(tree: Tree) -> None:
    subtree: dict[str, Any] = {"compartmentIdInSubtree": "true", "sortBy": "NAME"}
    everything = ["old", "production", "staging", "team-a", "team-b"]
    assert await tree.names(tree.admin, **subtree) == everything
    assert await tree.names(tree.admin, **subtree, lifecycleState="active") == everything[1:]
    assert await tree.names(tree.admin, **subtree, lifecycleState="DELETED") == ["old"]
    assert await tree.names(tree.admin, **subtree, name="team-a") == ["team-a"]
    assert await tree.names(tree.admin, **subtree, name="TEAM-A") == []
    assert await tree.names(tree.admin, compartmentIdInSubtree="false", name="team-a") == []


async def test_accessible_ones_are_those_with_a_right_in_or_below_them(tree: Tree) -> None:
    walk: dict[str, Any] = {
        "compartmentIdInSubtree": "true",
        "accessLevel": "ACCESSIBLE",
        "lifecycleState": "ACTIVE",
        "sortBy": "NAME",
    }
    assert await tree.names(tree.admin, **walk) == ["production", "staging", "team-a", "team-b"]
    assert await tree.names(tree.member, **walk) == ["production", "staging", "team-a"]
    assert await tree.names(tree.stranger, **walk) == []
    assert await tree.names(tree.stranger, compartmentIdInSubtree="true", accessLevel="ANY", sortBy="NAME") == [
        "old",
        "production",
        "staging",
        "team-a",
        "team-b",
    ]
    rows = await tree.desk.listed(tree.member, "ListCompartments", compartmentId=tree.root, **walk)
    assert [row["isAccessible"] for row in rows] == [True, True, True]
    assert [row["description"] for row in rows] == ["production", "", "team-a"]  # staging only leads to team-a
    rows = await tree.desk.listed(tree.member, "ListCompartments", compartmentId=tree.root)
    assert [row["isAccessible"] for row in rows] == [None, None, None]


async def test_a_compartment_as_the_wire_has_it(tree: Tree) -> None:
    answer = await tree.desk.ask(tree.admin, "GetCompartment", {"compartmentId": tree.ids["staging/team-a"]})
    assert shown(answer) == {
        "id": tree.ids["staging/team-a"],
        "compartmentId": tree.ids["staging"],
        "name": "team-a",
        "description": "team-a",
        "timeCreated": "2026-11-18T11:06:43.000Z",
        "lifecycleState": "ACTIVE",
        "inactiveStatus": None,
        "isAccessible": None,
        "freeformTags": {},
        "definedTags": {},
    }
    assert answer.etag is not None
    assert len(answer.etag) == 40
    gone = await tree.desk.ask(tree.admin, "GetCompartment", {"compartmentId": tree.ids["old"]})
    assert shown(gone)["lifecycleState"] == "DELETED"
    assert gone.etag not in (None, answer.etag)
    root = shown(await tree.desk.ask(tree.member, "GetCompartment", {"compartmentId": tree.root}))
    assert (root["id"], root["compartmentId"], root["name"]) == (tree.root, None, "acme")


async def test_pages_hold_while_compartments_come(tree: Tree) -> None:
    for order in ({"sortBy": "TIMECREATED"}, {"sortBy": "NAME"}, {"sortBy": "NAME", "sortOrder": "DESC"}):
        query: dict[str, Any] = {"compartmentId": tree.root, "compartmentIdInSubtree": "true", **order}
        whole = await tree.names(tree.admin, compartmentIdInSubtree="true", **order)
        found: list[str] = []
        page: dict[str, Any] = {}
        while True:
            answer = await tree.desk.ask(tree.admin, "ListCompartments", limit="2", **query, **page)
            assert answer.limit == 2
            found += [row["name"] for row in shown(answer)]
            if answer.next_page is None:
                break
            page = {"page": answer.next_page}
        assert found == whole
        assert len(found) == 5
        other = {"sortBy": "NAME" if order["sortBy"] != "NAME" else "TIMECREATED"}
        assert await tree.desk.refused(tree.admin, "ListCompartments", **{**query, **other, **page}) == (
            400,
            "InvalidParameter",
        )


async def test_what_may_not_be_seen_is_not_there(tree: Tree) -> None:
    hidden = (404, "NotAuthorizedOrNotFound")
    refused = tree.desk.refused
    for caller, place in (
        (tree.member, "staging/team-b"),
        (tree.member, "staging"),
        (tree.member, "old"),
        (tree.stranger, "production"),
        (tree.foreign, "production"),
    ):
        assert await refused(caller, "GetCompartment", {"compartmentId": tree.ids[place]}) == hidden
    for caller, ident in (
        (tree.member, tree.ids["staging/team-b"]),
        (tree.stranger, tree.ids["production"]),
        (tree.foreign, tree.ids["production"]),
        (tree.foreign, tree.root),
        (tree.admin, tree.ids["old"]),
        (tree.admin, "ocid1.compartment.oc1..nothing"),
    ):
        assert await refused(caller, "ListCompartments", compartmentId=ident) == hidden
        assert await refused(caller, "ListTagNamespaces", compartmentId=ident) == hidden
    for operation in ("GetTenancy", "ListRegionSubscriptions"):
        assert await refused(tree.foreign, operation, {"tenancyId": tree.root}) == hidden
    for caller, user in (
        (tree.member, tree.admin),
        (tree.foreign, tree.admin),
        (tree.admin, tree.foreign),
    ):
        assert await refused(caller, "GetUser", {"userId": user.user_id}) == hidden


async def test_values_that_cannot_be_used(tree: Tree) -> None:
    for query in (
        {},
        {"compartmentId": ""},
        {"compartmentId": tree.root, "compartmentIdInSubtree": "yes"},
        {"compartmentId": tree.ids["staging"], "compartmentIdInSubtree": "true"},
        {"compartmentId": tree.root, "accessLevel": "ALL"},
        {"compartmentId": tree.root, "lifecycleState": "GONE"},
        {"compartmentId": tree.root, "sortBy": "DISPLAYNAME"},
        {"compartmentId": tree.root, "sortOrder": "UP"},
        {"compartmentId": tree.root, "limit": "0"},
        {"compartmentId": tree.root, "page": "nonsense"},
    ):
        assert await tree.desk.refused(tree.admin, "ListCompartments", **query) == (400, "InvalidParameter")


async def test_a_tenancy_its_regions_and_its_users(tree: Tree) -> None:
    desk = tree.desk
    path = {"tenancyId": tree.root}
    told = shown(await desk.ask(tree.stranger, "GetTenancy", path))
    assert (told["id"], told["name"], told["homeRegionKey"]) == (tree.root, "acme", "IAD")
    assert shown(await desk.ask(tree.stranger, "ListRegionSubscriptions", path)) == [
        {"regionKey": "IAD", "regionName": "us-ashburn-1", "status": "READY", "isHomeRegion": True},
        {"regionKey": "FRA", "regionName": "eu-frankfurt-1", "status": "READY", "isHomeRegion": False},
    ]
    regions = shown(await desk.ask(tree.stranger, "ListRegions"))
    assert {"key": "FRA", "name": "eu-frankfurt-1"} in regions
    own = shown(await desk.ask(tree.stranger, "GetUser", {"userId": tree.stranger.user_id}))
    assert (own["name"], own["compartmentId"], own["lifecycleState"]) == ("stranger", tree.root, "ACTIVE")
    other = shown(await desk.ask(tree.admin, "GetUser", {"userId": tree.stranger.user_id}))
    assert other == own


async def test_tags(tree: Tree) -> None:
    desk = tree.desk
    make = administration.create_tag_namespace
    costs = await make(desk.store, desk.clock, name="Costs", tags=("Centre", "Owner"), tenancy="acme")
    team = await make(desk.store, desk.clock, name="Team", compartment="staging/team-a", tenancy="acme")
    root = {"compartmentId": tree.root}
    assert [row["name"] for row in await desk.listed(tree.admin, "ListTagNamespaces", **root)] == ["Costs"]
    deep = {**root, "includeSubcompartments": "true"}
    assert [row["id"] for row in await desk.listed(tree.admin, "ListTagNamespaces", **deep)] == [
        team.namespace.id,
        costs.namespace.id,
    ]
    assert [row["name"] for row in await desk.listed(tree.member, "ListTagNamespaces", **deep)] == ["Team"]
    assert await desk.listed(tree.admin, "ListTagNamespaces", **deep, lifecycleState="INACTIVE") == []
    path = {"tagNamespaceId": costs.namespace.id}
    tags = await desk.listed(tree.admin, "ListTags", path)
    assert sorted((row["name"], row["isRetired"], row["compartmentId"]) for row in tags) == [
        ("Centre", False, tree.root),
        ("Owner", False, tree.root),
    ]
    for caller in (tree.member, tree.foreign):
        assert await desk.refused(caller, "ListTags", path) == (404, "NotAuthorizedOrNotFound")


async def test_identity_is_not_changed_over_the_wire(tree: Tree) -> None:
    refused = tree.desk.refused
    for operation, path in CHANGES:
        assert await refused(tree.admin, operation, path) == (501, "MethodNotImplemented")
        assert await refused(tree.admin, operation, path, region="") == (501, "MethodNotImplemented")
        assert await refused(tree.admin, operation, path, region="eu-frankfurt-1") == (403, "NotAllowed")
