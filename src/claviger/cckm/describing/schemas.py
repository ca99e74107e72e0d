"""The structs of the wire as JSON Schema, the way OpenAPI 3.1 wants them: named well, explained, secrets marked.

msgspec knows the types; this module adds the words (`glossary.py`), gives what has no type one, and makes examples.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from claviger.cckm.calls import ListOf, Route
from claviger.cckm.describing.glossary import FIELDS, SECRET_FIELDS
from claviger.cckm.errors import ErrorBody
from claviger.cckm.listing import Page
from claviger.core.sensitive import Sensitive

Schema = dict[str, Any]

ANY_TYPE = ["object", "array", "string", "number", "boolean", "null"]
_REF = "#/components/schemas/"
_DEEPEST = 6
_TELLS_TYPE = ("type", "$ref", "anyOf", "oneOf", "allOf", "const")
_QUALIFIED = re.compile(r"(?:\w+\.)+\w+")
_OUR_PARTS = frozenset({"claviger", "cckm", "wire", "routes", "operations", "calls"})
_JSON_TYPES: Mapping[type, str] = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array"}


class Schemas:
    """The schemas of everything that these routes take and give."""

    def __init__(self, routes: Sequence[Route]) -> None:
        kinds: list[Any] = [ErrorBody]
        for route in routes:
            for kind in (route.takes, _spoken(route)):
                if kind is not None and kind not in kinds:
                    kinds.append(kind)
        schemas, found = msgspec.json.schema_components(
            kinds, schema_hook=_of_another_type, ref_template=_REF + "{name}"
        )
        names = _names(found)
        self.components: dict[str, Schema] = {names[name]: _renamed(schema, names) for name, schema in found.items()}
        self._kinds = [(kind, _renamed(schema, names)) for kind, schema in zip(kinds, schemas, strict=True)]
        for _, schema in self._kinds:
            _give_types(schema)
        shown = self._reached(route.gives for route in routes if _spoken(route) is not None)
        for name, schema in sorted(self.components.items()):
            _give_types(schema)
            _explain(name, schema, is_shown=name in shown)

    def of(self, kind: Any) -> Schema:
        """The schema of a type that one of the routes takes or gives."""
        return next(schema for known, schema in self._kinds if known == _unpaged(kind))

    def resolved(self, schema: Schema) -> Schema:
        """The schema itself, or the one that it refers to."""
        if len(schema.get("allOf", ())) == 1:
            schema = schema["allOf"][0]
        ref = schema.get("$ref")
        return self.components[ref.removeprefix(_REF)] if ref else schema

    def example(self, schema: Schema, depth: int = 0) -> Any:
        """A value that fits: an object's required fields, or the first two that have an example where none is."""
        schema = self.resolved(schema)
        if "const" in schema or "enum" in schema:
            return schema["const"] if "const" in schema else schema["enum"][0]
        for choice in schema.get("anyOf", []):
            if choice.get("type") != "null":
                return self.example(choice, depth)
        kind = schema.get("type")
        if isinstance(kind, list):
            kind = kind[0]
        if kind == "object":
            return {} if depth > _DEEPEST else self._example_of_object(schema, depth)
        if kind == "array":
            items = schema.get("items")
            return [self.example(items, depth + 1)] if isinstance(items, dict) and depth < _DEEPEST else []
        if kind in ("integer", "number"):
            return schema.get("minimum", 1)
        return True if kind == "boolean" else "text"

    def _example_of_object(self, schema: Schema, depth: int) -> dict[str, Any]:
        fields: Mapping[str, Schema] = schema.get("properties", {})
        wanted = list(schema.get("required", ()))
        if not wanted:
            wanted = [name for name, field in fields.items() if "examples" in field][:2]
        return {name: self._example_of_field(name, fields[name], depth) for name in wanted}

    def _example_of_field(self, name: str, field: Schema, depth: int) -> Any:
        if is_secret(field):
            return f"${name.upper()}"
        return field["examples"][0] if "examples" in field else self.example(field, depth + 1)

    def _reached(self, kinds: Iterator[Any]) -> set[str]:
        """Names of the components that answers hold."""
        found: set[str] = set()
        waiting = [self.of(kind) for kind in kinds]
        while waiting:
            for name in _references(waiting.pop()):
                if name not in found:
                    found.add(name)
                    waiting.append(self.components[name])
        return found


def is_secret(field: Mapping[str, Any]) -> bool:
    """Whether a field holds a secret."""
    return field.get("format") == "password" or any(is_secret(choice) for choice in field.get("anyOf", ()))


def _spoken(route: Route) -> Any:
    """What a route gives as JSON, or None."""
    return _unpaged(route.gives) if route.media == "application/json" else None


def _unpaged(kind: Any) -> Any:
    return ListOf[Any] if kind is Page else kind


def _of_another_type(kind: type) -> Schema:
    """A type that msgspec does not know goes over the wire as text."""
    return {"type": "string", "format": "password"} if kind is Sensitive else {"type": "string"}


def _names(found: Mapping[str, Schema]) -> dict[str, str]:
    """Better names: `ListOf_User_` is ListOfUser, `claviger.cckm.azure.vaults.wire.Create` AzureVaultsCreate."""
    names: dict[str, str] = {}
    for name in found:
        short = _QUALIFIED.sub(lambda match: _camel(match.group().split(".")), name)
        short = re.sub(r"[^A-Za-z0-9]", "", short)
        names[name] = short if short and short not in names.values() else re.sub(r"[^A-Za-z0-9._-]", "-", name)
    return names


def _camel(parts: Sequence[str]) -> str:
    return "".join(part[:1].upper() + part[1:] for part in parts if part not in _OUR_PARTS)


def _renamed(schema: Any, names: Mapping[str, str]) -> Any:
    if isinstance(schema, dict):
        made = {key: _renamed(value, names) for key, value in schema.items()}
        if isinstance(made.get("$ref"), str):
            made["$ref"] = _REF + names[made["$ref"].removeprefix(_REF)]
        return made
    return [_renamed(item, names) for item in schema] if isinstance(schema, list) else schema


def _references(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        if isinstance(schema.get("$ref"), str):
            yield schema["$ref"].removeprefix(_REF)
        for value in schema.values():
            yield from _references(value)
    elif isinstance(schema, list):
        for item in schema:
            yield from _references(item)


def _give_types(schema: Schema) -> None:
    """What may be anything says so, and an enumeration says of what."""
    schema.pop("title", None)
    inner = [*schema.get("properties", {}).values(), *schema.get("anyOf", ()), *schema.get("oneOf", ())]
    inner += [schema[name] for name in ("items", "additionalProperties") if isinstance(schema.get(name), dict)]
    for each in inner:
        _give_types(each)
    if any(name in schema for name in _TELLS_TYPE):
        return
    kinds = sorted({_JSON_TYPES.get(type(value), "null") for value in schema.get("enum", ())})
    schema["type"] = (kinds if len(kinds) > 1 else kinds[0]) if kinds else list(ANY_TYPE)


def _explain(struct: str, schema: Schema, *, is_shown: bool) -> None:
    """Words and examples from the glossary, and the mark of what is secret. `is_shown`: answers hold it too."""
    for name, field in schema.get("properties", {}).items():
        word = FIELDS.get(f"{struct}.{name}") or FIELDS.get(name)
        if word is not None:
            field.setdefault("description", word.meaning)
        if name in SECRET_FIELDS or is_secret(field):
            _mark_secret(field, is_shown=is_shown)
        elif word is not None and word.example is not None and _may_be(field, word.example):
            field.setdefault("examples", [word.example])


def _mark_secret(field: Schema, *, is_shown: bool) -> None:
    field.pop("examples", None)
    texts = [each for each in (field, *field.get("anyOf", ())) if each.get("type") == "string"]
    for each in texts:
        each["format"] = "password"
    if texts and not is_shown:
        field["writeOnly"] = True


def _may_be(field: Schema, example: Any) -> bool:
    """Whether an example fits the type, and the enumeration and length if there are any."""
    if "anyOf" in field:
        return any(_may_be(choice, example) for choice in field["anyOf"])
    if "enum" in field:
        return example in field["enum"]
    if isinstance(example, str) and len(example) > field.get("maxLength", len(example)):
        return False
    if isinstance(example, list):
        return field.get("type") == "array" and all(_may_be(field.get("items", {}), item) for item in example)
    if isinstance(example, dict):
        values = field.get("additionalProperties")
        return field.get("type") == "object" and (values is None or "$ref" not in values)
    return bool(field.get("type") == _JSON_TYPES[type(example)])
