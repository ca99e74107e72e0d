"""Every operation on keys of OCI, by every way, with every outcome leaves exactly its records, here and in OCI."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests import oci_recording
from tests.oci_plane import OciDesk, oci_desk_on
from tests.oci_recording import PLANE, STEPS, OciWorld, records_of


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OciWorld]:
    for desk in oci_desk_on(request.param, request, tmp_path_factory.mktemp(f"recorded-oci-{request.param}")):
        yield oci_recording.world_at(desk)


def test_every_operation_leaves_exactly_its_records(world: OciWorld) -> None:
    """The table of operation, outcome and origin. `make figures` runs it too."""
    assert oci_recording.run_table(world, STEPS) == []
    check_that_both_sides_can_be_told_apart(world.desk)


def check_that_both_sides_can_be_told_apart(desk: OciDesk) -> None:
    """What an operator did has his name and the key's record; what OCI was asked has the key's OCID, whoever asked."""
    key = next(each for each in desk.records() if each["key_name"] == "k1")
    ours = desk.admin.accept("GET", "/audit/records", query={"object_id": key["id"], "limit": -1})["resources"]
    theirs = desk.admin.accept("GET", "/audit/records", query={"object_id": key["oci_params"]["key_id"], "limit": -1})[
        "resources"
    ]
    assert {each["source"] for each in ours} == {"api"}
    assert {each["source"] for each in theirs} == {"ocikms"}
    assert {each["username"] for each in theirs} >= {PLANE}
    assert PLANE not in {each["username"] for each in ours}
    by_name = desk.admin.accept("GET", "/audit/records", query={"source": "ocikms", "username": PLANE, "limit": 5})
    assert by_name["total"] > 10
    assert len(records_of(desk)) > len(ours) + len(theirs)
