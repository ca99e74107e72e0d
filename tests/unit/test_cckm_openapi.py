"""The OpenAPI document of the control plane: sound for any table of routes, and true to each route."""

from __future__ import annotations

import copy
from typing import Any

import msgspec
import pytest
import schemathesis

from claviger.cckm.azure.unbuilt import unbuilt_routes
from claviger.cckm.calls import OWN_PASSWORD, PUBLIC, SIGNED_IN, ListOf, Parameter, Route, in_container, members
from claviger.cckm.describing.glossary import FIELDS
from claviger.cckm.openapi import document, operation_id, who_may
from claviger.cckm.reference import ReferenceRoutes
from tests.described import every_route, operations_of, problems_of
from tests.sample_routes import CreateSecret, Secret, route, sample_routes


def _table() -> list[Route]:
    table: list[Route] = []
    table += [*sample_routes(), *unbuilt_routes(), *ReferenceRoutes(lambda: table, "1.2.3").routes()]
    return table


@pytest.fixture(scope="module")
def described() -> dict[str, Any]:
    return _json(document(_table(), "1.2.3"))


def _json(value: object) -> Any:
    """As a client of it sees it."""
    return msgspec.json.decode(msgspec.json.encode(value))


def _operation(described: dict[str, Any], ident: str) -> Any:
    return next(told for _, _, told in operations_of(described) if told["operationId"] == ident)


def test_the_document_is_sound(described: dict[str, Any]):
    assert problems_of(described, _table()) == []


def test_the_document_of_the_whole_api_is_sound_and_leaves_nothing_unexplained():
    table = every_route()
    described = _json(document(table, "1.2.3"))
    assert problems_of(described, table) == []
    schemas = described["components"]["schemas"]
    fields = {f"{struct}.{name}": field for struct in schemas for name, field in _fields(schemas[struct])}
    parameters = [each for _, _, told in operations_of(described) for each in told.get("parameters", ())]
    assert [name for name, field in fields.items() if "description" not in field] == []
    assert [each["name"] for each in parameters if "description" not in each] == []
    assert [tag["name"] for tag in described["tags"] if "description" not in tag] == []
    there = {name for place in fields for name in (place, place.partition(".")[2])}
    assert sorted(FIELDS.keys() - there) == []


def _fields(schema: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return list(schema.get("properties", {}).items())


def test_what_is_wrong_would_be_found(described: dict[str, Any]):
    broken = copy.deepcopy(described)
    broken["info"].pop("title")
    broken["components"]["schemas"]["Token"]["properties"]["duration"] = {"description": "no type"}
    broken["components"]["schemas"]["Token"]["properties"]["jwt"] = {"$ref": "#/components/schemas/Nothing"}
    broken["components"]["schemas"]["CreateSecret"]["properties"]["key_vault"]["type"] = "integer"
    broken["components"]["schemas"]["SignIn"]["properties"]["password"]["examples"] = ["hunter2"]
    broken["paths"]["/api/v1/cckm/azure/secrets"].pop("post")
    broken["paths"]["/api/v1/openapi.json"]["get"]["operationId"] = "getDocs"
    told = "\n".join(problems_of(broken, _table()))
    for word in (
        "title",
        "no type",
        "leads nowhere",
        "shown secret",
        "('POST', '/api/v1/cckm/azure/secrets')",
        "used twice: getDocs",
    ):
        assert word in told
    broken["paths"]["/api/v1/cckm/azure/secrets"]["post"] = described["paths"]["/api/v1/cckm/azure/secrets"]["post"]
    assert "example of post /api/v1/cckm/azure/secrets" in "\n".join(problems_of(broken, _table()))
    broken["components"]["schemas"]["Acl"]["type"] = "thing"
    assert "not a schema" in "\n".join(problems_of(broken, _table()))


def test_schemathesis_can_draw_requests_from_it(described: dict[str, Any]):
    schema = schemathesis.openapi.from_dict(described)
    schema.validate()
    try:
        found = list(schema.get_all_operations())
    except SystemError:  # CPython gh-106905: it miscounts the depth of syntax trees now and then, up to 3.11.7
        found = list(schema.get_all_operations())
    assert len([each.ok() for each in found]) == len(_table())  # type: ignore[union-attr]  # a bad one raises


def test_ids_of_operations_stay_as_long_as_method_and_path(described: dict[str, Any]):
    found = {told["operationId"] for _, _, told in operations_of(described)}
    assert len(found) == len(_table())
    assert operation_id(route("POST", "/cckm/azure/secrets/{id}/soft-delete")) == ("postCckmAzureSecretsByIdSoftDelete")
    assert operation_id(route("GET", "/auth/jwks.json")) == "getAuthJwksJson"
    alone = document([each for each in sample_routes() if each.method == "DELETE"], "1")
    assert "deleteCckmAzureSecretsById" in {told["operationId"] for _, _, told in operations_of(alone)} & found


@pytest.mark.parametrize(
    ("permission", "words"),
    [
        (PUBLIC, "Anyone, without a token."),
        (SIGNED_IN, "Any signed-in user."),
        (OWN_PASSWORD, "Any signed-in user, even before the password that must be changed is changed."),
        (members("User Admins"), "Members of `admin` or `User Admins`."),
        (members("A", "B"), "Members of `A`, `admin` or `B`."),
        (members(), "Members of `admin`."),
        (
            in_container("secretview"),
            "Members of `admin` or `CCKM Admins`, and whoever has `secretview` in the container.",
        ),
        (
            in_container("secretpurge"),
            "Members of `admin` or `CCKM Admins`, and whoever has `secretpurge` and `secretview` in the container.",
        ),
    ],
)
def test_a_permission_in_words(permission: Any, words: str):
    assert who_may(permission) == words
    told = _operation(_json(document([route("GET", "/x", permission=permission)], "1")), "getX")
    assert told["description"].endswith(words)
    assert told["x-claviger-permission"]["kind"] == permission.kind
    assert told.get("security") == ([] if permission is PUBLIC else None)


def test_parameters(described: dict[str, Any]):
    told = _operation(described, "getCckmAzureSecrets")
    found = {each["name"]: each for each in told["parameters"]}
    assert found["limit"]["schema"] == {"type": "integer", "minimum": -1, "maximum": 1_000_000_000, "default": 10}
    assert found["status"]["schema"]["type"] == "array"
    assert found["status"]["explode"] is True
    assert found["status"]["schema"]["items"]["enum"] == ["AVAILABLE", "SOFT-DELETED", "DELETED"]
    assert found["gone"]["schema"] == {"type": "boolean"}
    (segment,) = _operation(described, "getCckmAzureSecretsById")["parameters"]
    assert segment["in"] == "path"
    assert segment["required"] is True
    assert segment["description"] == "Id of the secret's record."


def test_a_list_says_what_it_is_a_list_of(described: dict[str, Any]):
    answer = _operation(described, "getCckmAzureSecrets")["responses"]["200"]
    assert answer["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/ListOfSecret"}
    properties = described["components"]["schemas"]["ListOfSecret"]["properties"]
    assert properties["resources"]["items"] == {"$ref": "#/components/schemas/Secret"}
    bare = _operation(described, "postCckmAzureVaultsByIdUpdateAcls")["responses"]["200"]
    assert bare["content"]["application/json"]["schema"]["type"] == "array"
    untold = _operation(described, "getUsermgmtUsers")["responses"]["200"]
    assert untold["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/ListOfAny"}


def test_errors_are_those_that_can_occur(described: dict[str, Any]):
    def errors(ident: str) -> set[int]:
        return {int(status) for status in _operation(described, ident)["responses"] if int(status) >= 400}

    assert errors("getOpenapiJson") == {400, 500, 503}
    assert errors("postAuthTokens") == {400, 401, 413, 429, 500, 503}
    assert errors("getCckmAzureSecretsById") == {400, 401, 403, 404, 500, 503}
    assert errors("deleteCckmAzureSecretsById") == {400, 401, 403, 404, 409, 413, 500, 503}
    assert errors("postCckmAzureSecrets") == {400, 401, 403, 404, 409, 413, 429, 500, 502, 503, 504}
    assert 501 in errors("postCckmAzureKeyTemplates")


def test_an_error_shows_its_body_with_every_number_of_its_status(described: dict[str, Any]):
    response = described["components"]["responses"]["401"]["content"]["application/json"]
    assert response["schema"] == {"$ref": "#/components/schemas/ErrorBody"}
    assert set(described["components"]["schemas"]["ErrorBody"]["required"]) == {
        "code",
        "codeDesc",
        "message",
        "requestID",
    }
    assert {example["value"]["code"] for example in response["examples"].values()} == {1, 5}


def test_success(described: dict[str, Any]):
    created = _operation(described, "postCckmAzureSecrets")["responses"]
    assert [status for status in created if status < "400"] == ["201"]
    assert "content" not in _operation(described, "deleteCckmAzureSecretsById")["responses"]["204"]
    assert [
        status for status in _operation(described, "postCckmAzureKeyTemplates")["responses"] if status < "400"
    ] == []
    page = _operation(described, "getDocs")["responses"]["200"]
    assert page["content"] == {"text/html": {"schema": {"type": "string"}}}


def test_secrets_are_marked_and_never_shown(described: dict[str, Any]):
    schemas = described["components"]["schemas"]
    taken = schemas["NewParam"]["properties"]["value"]
    assert taken["format"] == "password"
    assert taken["writeOnly"] is True
    answered = schemas["ShownParam"]["properties"]["value"]
    assert answered["format"] == "password"
    assert "writeOnly" not in answered
    optional = schemas["SignIn"]["properties"]["password"]
    assert {"type": "string", "format": "password"} in optional["anyOf"]
    assert optional["writeOnly"] is True
    for name in ("material", "pin"):
        assert schemas["Credentials"]["properties"][name]["format"] == "password"


def test_a_body_has_an_example_with_variables_for_secrets(described: dict[str, Any]):
    def example(ident: str) -> Any:
        return _operation(described, ident)["requestBody"]["content"]["application/json"]["example"]

    assert example("postAuthTokens") == {"grant_type": "password", "username": "admin", "password": "$PASSWORD"}
    assert example("patchAuthChangepw")["new_password"] == "$NEW_PASSWORD"
    made = example("postCckmAzureSecrets")
    assert made["secret_name"] == "db-password"
    assert made["azure_param"] == {"value": "$VALUE"}
    assert example("postClientManagementCredentials") == {"material": "$MATERIAL", "pin": "$PIN"}


def test_words_of_a_struct_win_over_the_glossary():
    class Told(msgspec.Struct):
        """A struct that speaks for itself."""

        status: msgspec.UnsetType | str = msgspec.field(default=msgspec.UNSET)
        name: Any = None

    made = _json(document([route("POST", "/x", takes=Told)], "1"))
    properties = made["components"]["schemas"]["Told"]["properties"]
    assert "AVAILABLE" in properties["status"]["description"]
    assert set(properties["name"]["type"]) >= {"string", "null", "object"}


def test_structs_of_one_name_stay_apart():
    first = msgspec.defstruct("Create", [("a", int)], module="claviger.cckm.azure.vaults.wire")
    second = msgspec.defstruct("Create", [("b", int)], module="claviger.cckm.access.users.wire")
    table = [
        route("POST", "/a", takes=first, gives=ListOf[first]),  # type: ignore[valid-type]
        route("POST", "/b", takes=second),
    ]
    made = _json(document(table, "1"))
    assert problems_of(made, table) == []
    assert {"AzureVaultsCreate", "AccessUsersCreate"} <= set(made["components"]["schemas"])
    assert list(made["components"]["schemas"]["AzureVaultsCreate"]["properties"]) == ["a"]


def test_one_path_by_two_names_is_a_mistake_in_the_table():
    with pytest.raises(ValueError, match="same path"):
        document([route("GET", "/users/{id}"), route("DELETE", "/users/{name}")], "1")


def test_the_table_is_not_touched():
    table = [
        route("POST", "/x", takes=CreateSecret, gives=Secret, query=(Parameter("a"),), example={"secret_name": "a"})
    ]
    first = _json(document(table, "1"))
    assert _json(document(table, "1")) == first
