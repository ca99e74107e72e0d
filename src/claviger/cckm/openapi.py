"""Describes the whole API as an OpenAPI 3.1 document, drawn from the same table of routes that serves it.

Nothing here is written by hand for one endpoint: what a route does not say (errors that can occur, who may call it in
words, an id for its operation, an example) follows from what it does say. `reference.py` makes a page of the document.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from claviger.cckm.calls import Parameter, Permission, Route
from claviger.cckm.describing.glossary import FIELDS, SEGMENTS, TAGS
from claviger.cckm.describing.schemas import Schema, Schemas
from claviger.cckm.describing.word import ID
from claviger.cckm.errors import ErrorBody, Kind, every_kind

PREFIX = "/api/v1"
VARYING = re.compile(r"\{(\w+)\}")

INTRODUCTION = """\
Claviger manages the life of secrets in clouds. This API speaks the language of CipherTrust Cloud Key Manager, so that
automation written for it runs unchanged.

## Signing in

A call needs a token. `POST /api/v1/auth/tokens` gives one for five minutes; a `401` later means to get a new one. Set
`SERVER` to the address of this server, the one before `/api/v1/docs`, and paste:

```
read -rsp "Password: " PASSWORD
TOKEN=$(curl -sS "$SERVER/api/v1/auth/tokens" \\
  -H "Content-Type: application/json" \\
  -d @- <<JSON | jq -r .jwt
{"grant_type": "password", "username": "admin", "password": "$PASSWORD"}
JSON
)
```

A one-time password has to be changed first: `PATCH /api/v1/auth/changepw` with `username`, `password`, `new_password`.
Where the server's certificate comes from its own authority, curl needs that authority's file: `--cacert FILE`, or
`CURL_CA_BUNDLE` in the environment.

## Bodies

Bodies are JSON in UTF-8, both ways. A field that is `null`, and an optional one that is `""`, counts as absent. Unknown
fields and unknown query parameters are ignored. A slash at the end of a path makes no difference.

## Lists

`skip` and `limit` choose the page, and `limit=-1` is everything. `sort` names properties, each with an optional `-`
before it. Filters are combined; a filter that is repeated has alternatives, and `*` in one stands for any text. The
answer holds `skip`, `limit`, `total` and `resources`.

## Errors

An error has a status of 400 or more and says in `message` what is wrong with this very call. `code` and `codeDesc` name
its kind. `requestID` is `details.request_id` of a refused change in the audit log; in the server's own log it stands by
what failed with a `500`. Nothing was changed, except that after a `500` or `504` the cloud may still have done it: read
the record to see.

## Who may call

Some calls are for members of groups. Others lie with a container, such as a vault: its ACL lists who may do what there.
What the caller may not see answers `404`, as if it did not exist, and so does everything in another domain.
"""

_REQUEST_ID = {"X-Request-Id": {"$ref": "#/components/headers/X-Request-Id"}}
_RETRYABLE = frozenset({429, 503})
_WITH_BODY = frozenset({"POST", "PATCH", "PUT", "DELETE"})
_SUCCESS = {200: "Done.", 201: "Created.", 202: "Accepted; it goes on in the background.", 204: "Done; no body."}


def document(routes: Sequence[Route], version: str) -> dict[str, object]:
    """The OpenAPI 3.1 document of these routes, as values that encode to JSON.

    Raises ValueError for two paths that differ only in the names of their segments, which OpenAPI does not allow.
    """
    schemas = Schemas(routes)
    paths: dict[str, dict[str, Any]] = {}
    shapes: dict[str, str] = {}
    for route in routes:
        path = path_of(route)
        shape = VARYING.sub("{}", path)
        if shapes.setdefault(shape, path) != path:
            raise ValueError(f"{path} and {shapes[shape]} are the same path by two names")
        paths.setdefault(path, {})[route.method.lower()] = _operation(route, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Claviger control plane",
            "version": version,
            "summary": "One place for the secrets of every cloud",
            "description": INTRODUCTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/", "description": "This server"}],
        "security": [{"bearer": []}],
        "tags": [_tag(name) for name in dict.fromkeys(route.tag for route in routes)],
        "paths": paths,
        "components": _components(schemas),
    }


def path_of(route: Route) -> str:
    """The path from the root of the server, without a slash at the end."""
    return f"{PREFIX}/{route.path.strip('/')}"


def operation_id(route: Route) -> str:
    """An id that stays as long as method and path do: `postCckmAzureSecretsByIdSoftDelete`."""
    words = VARYING.sub(r"by-\1", route.path)
    return route.method.lower() + "".join(
        word[:1].upper() + word[1:] for word in re.split(r"[^A-Za-z0-9]+", words) if word
    )


def who_may(permission: Permission) -> str:
    """A permission in words."""
    if permission.kind == "public":
        return "Anyone, without a token."
    if permission.kind == "own-password":
        return "Any signed-in user, even before the password that must be changed is changed."
    if permission.kind == "signed-in":
        return "Any signed-in user."
    groups = _either(sorted(permission.groups, key=str.lower))
    if permission.kind == "members":
        return f"Members of {groups}."
    needed = " and ".join(f"`{name}`" for name in dict.fromkeys((permission.action, permission.view)) if name)
    return f"Members of {groups}, and whoever has {needed} in the container."


def statuses_of_errors(route: Route) -> list[int]:
    """The statuses of failure that a route can answer with."""
    signed_in = route.permission.kind != "public"
    changes = route.method in _WITH_BODY
    possible = {
        400: True,
        401: signed_in or changes,
        403: route.permission.kind in ("signed-in", "members", "container") or route.cloud,
        404: "{" in route.path or route.permission.kind == "container" or route.cloud,
        409: changes and signed_in,
        413: changes,
        429: route.cloud or (changes and not signed_in),
        500: True,
        502: route.cloud,
        503: True,
        504: route.cloud,
    }
    own = {status for status in (route.status, *route.errors) if status >= 400}
    return sorted({status for status, can_occur in possible.items() if can_occur} | own)


def _either(names: Iterable[str]) -> str:
    marked = [f"`{name}`" for name in names]
    return " or ".join(filter(None, (", ".join(marked[:-1]), *marked[-1:])))


def _tag(name: str) -> dict[str, str]:
    meaning = TAGS.get(name.lower())
    return {"name": name, "description": meaning} if meaning else {"name": name}


def _operation(route: Route, schemas: Schemas) -> dict[str, Any]:
    permission = route.permission
    told = [route.description.strip(), f"**Who may call:** {who_may(permission)}"]
    made: dict[str, Any] = {
        "operationId": operation_id(route),
        "tags": [route.tag],
        "summary": route.summary,
        "description": "\n\n".join(filter(None, told)),
        "x-claviger-permission": _permission(permission),
    }
    if permission.kind == "public":
        made["security"] = []
    parameters = [_segment(route, name) for name in VARYING.findall(route.path)]
    parameters += [_query_parameter(parameter) for parameter in route.query]
    if parameters:
        made["parameters"] = parameters
    if route.takes is not None:
        made["requestBody"] = _request_body(route, schemas)
    made["responses"] = _responses(route, schemas)
    return made


def _permission(permission: Permission) -> dict[str, Any]:
    told: dict[str, Any] = {"kind": permission.kind, "groups": sorted(permission.groups)}
    told |= {"view": permission.view, "action": permission.action}
    return {name: value for name, value in told.items() if value}


def _segment(route: Route, name: str) -> dict[str, Any]:
    parts = route.path.strip("/").split("/")
    before = parts[parts.index(f"{{{name}}}") - 1]
    schema: Schema = {"type": "string", "minLength": 1}
    told = {"name": name, "in": "path", "required": True, "description": SEGMENTS.get(before, ""), "schema": schema}
    return {key: value for key, value in told.items() if value != ""}


def _query_parameter(parameter: Parameter) -> dict[str, Any]:
    schema: Schema = {"type": parameter.type}
    limits = {"minimum": parameter.least, "maximum": parameter.most, "default": parameter.default}
    schema |= {name: value for name, value in limits.items() if value is not None}
    if parameter.values:
        schema["enum"] = list(parameter.values)
    made: dict[str, Any] = {"name": parameter.name, "in": "query"}
    meaning = parameter.description or getattr(FIELDS.get(parameter.name), "meaning", "")
    if meaning:
        made["description"] = meaning
    if parameter.repeated:
        return made | {"schema": {"type": "array", "items": schema}, "style": "form", "explode": True}
    return made | {"schema": schema}


def _request_body(route: Route, schemas: Schemas) -> dict[str, Any]:
    schema = schemas.of(route.takes)
    example = dict(route.example) if route.example is not None else schemas.example(schema)
    media: dict[str, Any] = {"schema": schema}
    if example:
        media["example"] = example
    return {"required": bool(schemas.resolved(schema).get("required")), "content": {"application/json": media}}


def _responses(route: Route, schemas: Schemas) -> dict[str, Any]:
    made: dict[str, Any] = {}
    if route.status < 400 and 501 not in route.errors:
        success: dict[str, Any] = {"description": _SUCCESS.get(route.status, "Done."), "headers": _REQUEST_ID}
        if route.media != "application/json":
            success["content"] = {route.media: {"schema": {"type": "string"}}}
        elif route.gives is not None:
            success["content"] = {route.media: {"schema": schemas.of(route.gives)}}
        made[str(route.status)] = success
    for status in statuses_of_errors(route):
        made[str(status)] = {"$ref": f"#/components/responses/{status}"}
    return made


def _components(schemas: Schemas) -> dict[str, Any]:
    kinds: dict[int, list[Kind]] = {}
    for kind in every_kind():
        kinds.setdefault(kind.status, []).append(kind)
    return {
        "schemas": schemas.components,
        "responses": {str(status): _failure(status, rows, schemas) for status, rows in kinds.items()},
        "headers": {
            "X-Request-Id": {"description": "Id of the request.", "schema": {"type": "string", "format": "uuid"}},
            "Retry-After": {
                "description": "Seconds to wait before the same call may succeed.",
                "schema": {"type": "integer", "minimum": 0},
            },
        },
        "securitySchemes": {
            "bearer": {
                "type": "http",
                "scheme": "bearer",
                "bearerFormat": "JWT",
                "description": "The `jwt` that `POST /api/v1/auth/tokens` answers with.",
            }
        },
    }


def _failure(status: int, kinds: Sequence[Kind], schemas: Schemas) -> dict[str, Any]:
    headers: dict[str, Any] = dict(_REQUEST_ID)
    if status in _RETRYABLE:
        headers["Retry-After"] = {"$ref": "#/components/headers/Retry-After"}
    examples: Mapping[str, Any] = {
        kind.code_desc.partition(":")[0]: {
            "value": {"code": kind.code, "codeDesc": kind.code_desc, "message": kind.message, "requestID": ID}
        }
        for kind in kinds
    }
    return {
        "description": f"{HTTPStatus(status).phrase}.",
        "headers": headers,
        "content": {"application/json": {"schema": schemas.of(ErrorBody), "examples": examples}},
    }
