"""The fields of a body or of a query as HTML: a JSON Schema flattened to dotted names, types and limits in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

import msgspec

from claviger.cckm.describing.prose import inline

Json = Mapping[str, Any]

_DEEPEST = 5
_SCHEMAS = "#/components/schemas/"
_SHOWN_OF_MANY = 6
_IN_EVERY_RECORD = frozenset({"uri", "account", "application", "devAccount", "createdAt", "updatedAt"})
_ENVELOPE = ("skip", "limit", "total", "resources")


class Field(msgspec.Struct, frozen=True):
    """A parameter, or a field of a body by its name from the body's root, such as `acls[].actions`."""

    name: str
    schema: Json
    required: bool = False
    description: str = ""


class Fields:
    """Reads and draws the fields of schemas that refer to these components."""

    def __init__(self, components: Json) -> None:
        self._components = components

    def flat(self, schema: Json, before: str = "", depth: int = 0) -> Iterator[Field]:
        """The fields of an object and of the objects in it; `[]` marks a list."""
        schema = self._object_of(schema)
        required = schema.get("required", ())
        for name, field in schema.get("properties", {}).items():
            yield Field(before + name, field, name in required, field.get("description", ""))
            if depth < _DEEPEST:
                mark = "[]." if self.is_list(field) else "."
                yield from self.flat(field, f"{before}{name}{mark}", depth + 1)

    def is_list(self, schema: Json) -> bool:
        """Whether it is an array, or an array or null."""
        return self._plain(schema).get("type") == "array"

    def record_of_page(self, schema: Json) -> Json | None:
        """What a list call has one page of; None for any other schema."""
        found = self._object_of(schema).get("properties", {})
        if tuple(found) != _ENVELOPE or self.is_list(schema):
            return None
        items: Json = found["resources"].get("items", {})
        return items

    def drawn(self, fields: Sequence[Field], *, answered: bool = False) -> str:
        """A definition list. Of what is answered nothing is required, and null says something."""
        return f'<dl class="fields">{"".join(self._row(field, answered=answered) for field in fields)}</dl>'

    def first_names(self, fields: Sequence[Field]) -> str:
        """The first names, to tell what a folded list is of."""
        names = [field.name for field in fields if "." not in field.name]
        names = [name for name in names if name not in _IN_EVERY_RECORD] or names
        shown = ", ".join(f"<code>{escape(name)}</code>" for name in names[:_SHOWN_OF_MANY])
        return shown + (" …" if len(names) > _SHOWN_OF_MANY else "")

    def type_words(self, schema: Json, *, answered: bool = False) -> str:
        """`array of string`, `integer or null`; null is not told of what is taken, where it counts as absent."""
        schema = self._resolved(schema)
        if "anyOf" in schema:
            words = [self.type_words(each, answered=answered) for each in schema["anyOf"]]
        else:
            kinds = schema.get("type", "object")
            words = [self._word(kind, schema) for kind in ([kinds] if isinstance(kinds, str) else kinds)]
            if len(words) > 3:
                return "any JSON"
        words = [word for word in dict.fromkeys(words) if word and (answered or word != "null")]
        return " or ".join(words)

    def _word(self, kind: str, schema: Json) -> str:
        if kind == "array" and schema.get("items"):
            return f"array of {self.type_words(schema['items'], answered=True)}"
        values = schema.get("additionalProperties")
        if kind == "object" and isinstance(values, dict):
            return f"map of {self.type_words(values, answered=True)}"
        return kind

    def _row(self, field: Field, *, answered: bool) -> str:
        stem, dot, leaf = field.name.rpartition(".")
        name = f'<code><span class="stem">{escape(stem + dot)}</span>{escape(leaf)}</code>'
        kind = f'<span class="type">{escape(self.type_words(field.schema, answered=answered))}</span>'
        required = '<span class="required">required</span>' if field.required and not answered else ""
        told = [inline(field.description)] if field.description else []
        told += self._limits(field.schema, answered=answered)
        return f"<div><dt>{name} {kind} {required}</dt><dd>{' '.join(told)}</dd></div>"

    def _limits(self, schema: Json, *, answered: bool) -> Iterator[str]:
        plain = self._plain(schema)
        of_items = self._plain(plain["items"]) if plain.get("type") == "array" and "items" in plain else plain
        words = [str(value) for value in of_items.get("enum", ()) if value is not None]
        if not all(f"`{word}`" in schema.get("description", "") for word in words):
            yield f"One of {', '.join(f'<code>{escape(word)}</code>' for word in words)}."
        if plain.get("format") == "password" and not answered:
            yield '<span class="mark">Secret.</span>'
        least, most = plain.get("minimum"), plain.get("maximum")
        if least is not None and most is not None:
            yield f"From {least:,} to {most:,}."
        elif least is not None:
            yield f"At least {least:,}."
        elif most is not None:
            yield f"At most {most:,}."
        if "maxLength" in plain:
            yield f"At most {plain['maxLength']:,} characters."
        if "pattern" in plain:
            yield f"Fits <code>{escape(plain['pattern'])}</code>."
        default = schema.get("default", plain.get("default"))
        if default not in (None, "") and not isinstance(default, list | dict) and not answered:
            yield f"Default <code>{escape(_json(default))}</code>."

    def _plain(self, schema: Json) -> Json:
        """The one choice that is not null, resolved."""
        schema = self._resolved(schema)
        choices = [each for each in schema.get("anyOf", ()) if each.get("type") != "null"]
        return self._resolved(choices[0]) if len(choices) == 1 else schema

    def _resolved(self, schema: Json) -> Json:
        if len(schema.get("allOf", ())) == 1:
            schema = schema["allOf"][0]
        if "$ref" in schema:
            found: Json = self._components["schemas"][schema["$ref"].removeprefix(_SCHEMAS)]
            return found
        return schema

    def _object_of(self, schema: Json) -> Json:
        """The object that a schema stands for, itself or within a list; else one without fields."""
        schema = self._plain(schema)
        while schema.get("type") == "array":
            schema = self._plain(schema.get("items", {}))
        return schema


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
