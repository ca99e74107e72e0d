"""What must hold of any OpenAPI document of the control plane, whatever its routes."""

from __future__ import annotations

import importlib
import inspect
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jsonschema_rs
from schemathesis.specs.openapi.definitions import OPENAPI_31

import claviger
from claviger.cckm.azure.unbuilt import unbuilt_routes
from claviger.cckm.calls import Route
from claviger.cckm.describing.schemas import is_secret
from claviger.cckm.openapi import path_of
from claviger.cckm.reference import ReferenceRoutes

SOURCE = Path(claviger.__file__).parent
TELLS_A_TYPE = ("type", "$ref", "anyOf", "oneOf", "allOf", "const")


def problems_of(document: Mapping[str, Any], routes: Sequence[Route]) -> list[str]:
    """Everything that is wrong with the document of these routes; empty where it is sound."""
    found = [f"meta-schema: {each.message[:200]}" for each in jsonschema_rs.iter_errors(OPENAPI_31, document)]
    operations = list(operations_of(document))
    there = Counter((method.upper(), path) for method, path, _ in operations)
    missing = {(route.method, path_of(route)) for route in routes} - there.keys()
    found += [f"not described: {each}" for each in sorted(missing)]
    ids = Counter(told["operationId"] for _, _, told in operations)
    found += [f"used twice: {name}" for name, count in ids.items() if count > 1]
    tags = {tag["name"] for tag in document["tags"]}
    found += [f"unknown tag: {told['tags']}" for _, _, told in operations if not tags.issuperset(told["tags"])]
    for schema in schemas_of(document):
        try:
            jsonschema_rs.meta.validate({"$schema": "https://json-schema.org/draft/2020-12/schema", **schema})
        except jsonschema_rs.ValidationError as wrong:
            return [*found, f"not a schema: {schema}: {wrong.message}"]
        if not any(word in schema for word in TELLS_A_TYPE):
            found.append(f"no type: {schema}")
        if is_secret(schema) and any(schema.get(word) for word in ("examples", "example", "default")):
            found.append(f"shown secret: {schema}")
    found += [f"leads nowhere: {ref}" for ref in refs_of(document) if not _resolves(document, ref)]
    return found + list(_bad_examples(document, operations))


_NOTHING = SimpleNamespace(echoes=False)
"""What handlers of `every_route` are bound to: as a server that does not echo values."""


def every_route() -> list[Route]:
    """The whole table of the API. Its handlers are bound to nothing, so none of them can be called."""
    found = [*unbuilt_routes()]
    for place in sorted((SOURCE / "cckm").rglob("routes.py")):
        module = importlib.import_module(".".join(("claviger", *place.relative_to(SOURCE).with_suffix("").parts)))
        for kind in vars(module).values():
            if inspect.isclass(kind) and kind.__module__ == module.__name__ and hasattr(kind, "routes"):
                nothing = [_NOTHING] * len(inspect.signature(kind).parameters)
                found += kind(*nothing).routes()  # type: ignore[attr-defined]
    found += ReferenceRoutes(lambda: found, "1.2.3").routes()
    return found


def operations_of(document: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Method, path and operation."""
    for path, methods in document["paths"].items():
        for method, told in methods.items():
            yield method, path, told


def schemas_of(document: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Every schema, with those within."""
    for schema in document["components"]["schemas"].values():
        yield from _with_inner(schema)
    yield from _held_by(document["paths"])
    yield from _held_by(document["components"]["responses"])
    yield from _held_by(document["components"]["headers"])


def refs_of(value: Any) -> Iterator[str]:
    """Every $ref."""
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for each in value.values():
            yield from refs_of(each)
    elif isinstance(value, list):
        for each in value:
            yield from refs_of(each)


def _held_by(value: Any) -> Iterator[Mapping[str, Any]]:
    """What stands under the word `schema` outside of schemas."""
    if isinstance(value, dict):
        for name, each in value.items():
            if name == "schema":
                yield from _with_inner(each)
            elif name not in ("example", "examples"):
                yield from _held_by(each)
    elif isinstance(value, list):
        for each in value:
            yield from _held_by(each)


def _with_inner(schema: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield schema
    inner = [*schema.get("properties", {}).values(), *(schema.get("anyOf") or ()), *(schema.get("allOf") or ())]
    inner += [schema[name] for name in ("items", "additionalProperties") if isinstance(schema.get(name), dict)]
    for each in inner:
        yield from _with_inner(each)


def _resolves(document: Mapping[str, Any], ref: str) -> bool:
    at: Any = document
    for part in ref.removeprefix("#/").split("/"):
        if not isinstance(at, dict) or part not in at:
            return False
        at = at[part]
    return ref.startswith("#/")


def _bad_examples(document: Mapping[str, Any], operations: Sequence[tuple[str, str, Any]]) -> Iterator[str]:
    """Bodies that the schema beside them does not let pass."""
    for method, path, told in operations:
        for content in told.get("requestBody", {}).get("content", {}).values():
            if "example" in content:
                whole = content["schema"] | {"components": document["components"]}
                for each in jsonschema_rs.Draft202012Validator(whole).iter_errors(content["example"]):
                    yield f"example of {method} {path}: {each.message[:200]}"
