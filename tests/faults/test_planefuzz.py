"""The schema trial of the control plane in a size for every run, and proof that it sees what is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from figures import planefuzz
from figures.answers import Answer
from figures.databases import Database
from figures.judging import JSON_TYPE
from figures.planejudging import PlaneJudge

pytestmark = pytest.mark.usefixtures("patience")

INPUTS = 150


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_requests_drawn_from_the_servers_own_document_break_nothing(
    tmp_path: Path, seed: int, kind: str, request: pytest.FixtureRequest
) -> None:
    url = request.getfixturevalue("postgres_url") if kind == "postgresql" else None
    report = planefuzz.run_on(Database(url), tmp_path, INPUTS, seed)
    assert report.inputs == INPUTS
    assert set(report.parts) >= set(planefuzz.FIRST) - {"nobody"}
    assert set(report.statuses) >= {"200", "400", "401", "403", "404"}
    assert any(report.reached.values())
    assert report.found == 0, report.table()


def test_the_same_seed_draws_the_same_requests() -> None:
    document = {
        "openapi": "3.1.0",
        "info": {"title": "x", "version": "1"},
        "components": {"schemas": {}, "responses": {}},
        "paths": {
            "/api/v1/things": {"get": {"responses": {"200": {"description": "yes"}}}},
            "/api/v1/things/{id}": {
                "get": {
                    "parameters": [{"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}],
                    "responses": {"200": {"description": "yes"}},
                }
            },
        },
    }

    def drawn(seed: int) -> list[tuple[str, str, bytes]]:
        planefuzz._drawn.cache_clear()
        found = planefuzz._drawn(planefuzz._Described(document), 12, seed)
        return [(each.method, each.target, each.body) for each in found]

    assert drawn(5) == drawn(5)
    assert drawn(5) != drawn(6)
    assert any("~things~" in target for _, target, _ in drawn(5))  # a word for an id of the server at hand


# What the trial takes for wrong


GUID = "01234567-89ab-cdef-0123-456789abcdef"
OTHER = "11234567-89ab-cdef-0123-456789abcdef"
HEADERS = {
    "content-type": JSON_TYPE,
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "strict-transport-security": "max-age=31536000; includeSubDomains",
    "x-request-id": GUID,
}
ERROR = {"code": 15, "codeDesc": "NCERRBadRequest: Bad HTTP request", "message": "no", "requestID": GUID}


def answer(status: int = 400, body: object = ERROR, **headers: str | None) -> Answer:
    """An answer with other headers; None leaves one out."""
    given = HEADERS | {name.replace("_", "-"): value for name, value in headers.items()}
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Answer(status, {name: value for name, value in given.items() if value is not None}, content)


def test_right_answers_pass() -> None:
    right = [
        answer(),
        answer(200, {"id": 1}),
        answer(204, b"", content_type=None),
        answer(401, www_authenticate="Bearer"),
        answer(405, allow="GET"),
        answer(501, ERROR),
        answer(404, {"error": {"code": "NotFound", "message": "no"}}, x_request_id=None),
    ]
    for each in right:
        assert PlaneJudge().of(each, "GET", ("501",)) == []


@pytest.mark.parametrize(
    ("wrong", "kind"),
    [
        (answer(500), "5xx"),
        (answer(503), "5xx"),
        (answer(502), "5xx"),
        (answer(body=b"Bad Request"), "error shape"),
        (answer(body={"error": {"code": "NotFound", "message": "no"}}), "error shape"),
        *((answer(body={**ERROR, name: None}), "error shape") for name in ERROR),
        *((answer(body={key: ERROR[key] for key in ERROR if key != name}), "error shape") for name in ERROR),
        (answer(body={**ERROR, "more": 1}), "error shape"),
        (answer(body={**ERROR, "code": True}), "error shape"),
        (answer(body={**ERROR, "codeDesc": "Bad HTTP request"}), "error shape"),
        (answer(body={**ERROR, "requestID": OTHER}), "error shape"),
        (answer(body={**ERROR, "message": "in app.py line 3"}), "error shape"),
        (answer(content_type="text/plain"), "content type"),
        (answer(204, b"", content_type=JSON_TYPE), "content type"),
        (answer(401), "header"),
        (answer(www_authenticate="Bearer"), "header"),
        (answer(405), "header"),
        (answer(200, {}, x_request_id=None), "header"),
        (answer(x_request_id="5"), "header"),
        *(
            (Answer(400, HEADERS | {name: "other"}, json.dumps(ERROR).encode()), "header")
            for name in HEADERS
            if name != "content-type"
        ),
    ],
)
def test_a_wrong_answer_is_found(wrong: Answer, kind: str) -> None:
    assert kind in {found for found, _ in PlaneJudge().of(wrong, "GET", ("200", "400", "501"))}


def test_a_request_id_that_comes_twice_is_found() -> None:
    judge = PlaneJudge()
    judge.of(answer(), "GET", ("400",))
    assert [kind for kind, _ in judge.of(answer(), "GET", ("400",))] == ["header"]
