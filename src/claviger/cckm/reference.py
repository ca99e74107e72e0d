"""A page to read the description of the API on, drawn on the server from the OpenAPI document alone.

It needs no script and loads nothing: one style sheet stands in the page, and the Content-Security-Policy allows that
one by its digest and nothing else. Document and page are made at the first request and kept.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from html import escape
from importlib import resources
from typing import Any

import msgspec

from claviger.cckm.calls import PUBLIC, Answer, Call, Route
from claviger.cckm.describing.curl import command
from claviger.cckm.describing.fields import Field, Fields
from claviger.cckm.describing.prose import code_block, html_of, inline
from claviger.cckm.openapi import PREFIX, VARYING, document
from claviger.core.asgi import Headers

TAG = "Description of the API"
_WHO = "**Who may call:** "
_JSON: Headers = [(b"content-type", b"application/json; charset=utf-8")]

Json = Mapping[str, Any]


class ReferenceRoutes:
    """The routes of the OpenAPI document and of its page. `table` gives every route of the API, these two included."""

    def __init__(self, table: Callable[[], Sequence[Route]], version: str) -> None:
        self._table = table
        self._version = version
        self._document: bytes | None = None
        self._page: tuple[bytes, Headers] | None = None

    def routes(self) -> list[Route]:
        """Both of them."""
        return [
            Route(
                method="GET",
                path="/openapi.json",
                handler=self._get_document,
                permission=PUBLIC,
                tag=TAG,
                summary="The OpenAPI document",
                description="OpenAPI 3.1 of the whole API, for programs that make clients, tests or pages of it.",
                gives=dict[str, Any],
            ),
            Route(
                method="GET",
                path="/docs",
                handler=self._get_page,
                permission=PUBLIC,
                tag=TAG,
                summary="This page",
                description="Every endpoint with what it takes and answers. Plain HTML without scripts.",
                gives=str,
                media="text/html",
            ),
        ]

    async def _get_document(self, _call: Call) -> Answer:
        if self._document is None:
            self._document = msgspec.json.encode(document(self._table(), self._version))
        return Answer(self._document, headers=list(_JSON))

    async def _get_page(self, _call: Call) -> Answer:
        if self._page is None:
            self._page = page_of(document(self._table(), self._version))
        body, headers = self._page
        return Answer(body, headers=list(headers))


def page_of(described: Json) -> tuple[bytes, Headers]:
    """The page of an OpenAPI document as `openapi.document` makes it, and the headers that it has to be sent with."""
    style = (resources.files("claviger.cckm.describing") / "reference.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return _Page(described).whole(style).encode(), [
        (b"content-type", b"text/html; charset=utf-8"),
        (b"content-security-policy", policy.encode()),
        (b"referrer-policy", b"no-referrer"),
    ]


class _Operation(msgspec.Struct, frozen=True):
    """An operation of the document with where it stands."""

    method: str
    path: str
    told: Json

    @property
    def anchor(self) -> str:
        return escape(self.told["operationId"])

    @property
    def summary(self) -> str:
        return escape(self.told["summary"])

    @property
    def badge(self) -> str:
        return f'<span class="method {self.method.lower()}">{self.method}</span>'

    @property
    def is_there(self) -> bool:
        """Whether it can succeed at all."""
        return any(status.startswith("2") for status in self.told["responses"])


class _Page:
    def __init__(self, described: Json) -> None:
        self._described = described
        self._components: Json = described["components"]
        self._fields = Fields(self._components)
        self._by_tag: dict[str, list[_Operation]] = {tag["name"]: [] for tag in described["tags"]}
        for path, methods in described["paths"].items():
            for method, told in methods.items():
                self._by_tag[told["tags"][0]].append(_Operation(method.upper(), path, told))

    def whole(self, style: str) -> str:
        info = self._described["info"]
        title = escape(info["title"])
        parts = [
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="color-scheme" content="light dark">',
            f"<title>{title}: API reference</title>\n<style>{style}</style>\n</head>\n<body>",
            '<a class="skip" href="#content">Skip to the content</a>',
            f'<header class="top"><h1>{title}</h1><p>{escape(info["summary"])}</p>',
            f'<p class="aside">API reference, version {escape(info["version"])} · ',
            f'<a href="{PREFIX}/openapi.json">OpenAPI 3.1 document</a></p></header>',
            f'<div class="frame">\n{self._contents()}\n<main id="content">',
            f'<section class="about" id="about">{html_of(info["description"])}{self._errors()}</section>',
            *(self._tag(tag) for tag in self._described["tags"]),
            "</main>\n</div>\n</body>\n</html>\n",
        ]
        return "\n".join(parts)

    def _contents(self) -> str:
        items = ['<li><a href="#about">About this API</a></li>']
        for name, operations in self._by_tag.items():
            lines = "".join(f'<li><a href="#{each.anchor}">{each.summary}</a></li>' for each in operations)
            items.append(f'<li><a href="#{_anchor(name)}">{escape(name)}</a><ul>{lines}</ul></li>')
        return f'<nav id="contents" aria-label="Contents"><ul>{"".join(items)}</ul></nav>'

    def _errors(self) -> str:
        """Every kind of error, to which the endpoints refer."""
        rows = []
        for status, response in self._components["responses"].items():
            place = f' id="error-{escape(status)}"'
            for example in response["content"]["application/json"]["examples"].values():
                kind = (
                    f"<td>{example['value']['code']}</td><td><code>{escape(example['value']['codeDesc'])}</code></td>"
                )
                rows.append(f'<tr{place}><th scope="row">{escape(status)}</th>{kind}</tr>')
                place = ""
        head = '<tr><th scope="col">Status</th><th scope="col">code</th><th scope="col">codeDesc</th></tr>'
        table = f"<table><thead>{head}</thead><tbody>{''.join(rows)}</tbody></table>"
        return f'<h3 id="about-kinds-of-errors">Kinds of errors</h3><div class="scroll">{table}</div>'

    def _tag(self, tag: Json) -> str:
        operations = self._by_tag[tag["name"]]
        lines = "".join(
            f'<li><a href="#{each.anchor}">{each.badge}<code>{_breakable(each.path)}</code>'
            f'<span class="what">{each.summary}</span></a></li>'
            for each in operations
        )
        about = html_of(tag.get("description", ""))
        head = f'<h2><a href="#{_anchor(tag["name"])}">{escape(tag["name"])}</a></h2>'
        return (
            f'<section class="tag" id="{_anchor(tag["name"])}">{head}{about}<ul class="overview">{lines}</ul>\n'
            + "\n".join(self._operation(each) for each in operations)
            + '\n<p class="back"><a href="#contents">Contents</a></p></section>'
        )

    def _operation(self, operation: _Operation) -> str:
        told = operation.told
        about, _, who = told["description"].rpartition(_WHO)
        absent = "" if operation.is_there else ' <span class="absent">not in this server</span>'
        parts = [
            f'<article id="{operation.anchor}"><h3><a href="#{operation.anchor}">{operation.summary}</a>{absent}</h3>',
            f'<p class="endpoint">{operation.badge}<code>{_breakable(operation.path)}</code></p>',
            html_of(about),
            f'<p class="who"><b>Who may call</b> {inline(who)}</p>',
            self._parameters("Path", "path", told),
            self._parameters("Query", "query", told),
            self._body(told),
            self._answers(told["responses"]),
            f"<h4>Example</h4>{code_block(_example(operation))}</article>",
        ]
        return "\n".join(filter(None, parts))

    def _parameters(self, title: str, place: str, told: Json) -> str:
        found = []
        for each in told.get("parameters", ()):
            if each["in"] == place:
                schema, words = each["schema"], each.get("description", "")
                if schema["type"] == "array":
                    schema, words = schema["items"], f"{words} May be repeated."
                found.append(Field(each["name"], schema, each.get("required", False), words.strip()))
        return f"<h4>{title}</h4>{self._fields.drawn(found)}" if found else ""

    def _body(self, told: Json) -> str:
        if "requestBody" not in told:
            return ""
        found = list(self._fields.flat(told["requestBody"]["content"]["application/json"]["schema"]))
        return f"<h4>Body</h4>{self._fields.drawn(found)}" if found else "<h4>Body</h4><p>An object.</p>"

    def _answers(self, responses: Json) -> str:
        made = "".join(self._success(status, each) for status, each in responses.items() if "$ref" not in each)
        links = " ".join(
            f'<a href="#error-{escape(status)}" title="{escape(self._meaning(status))}">{escape(status)}</a>'
            for status, each in responses.items()
            if "$ref" in each
        )
        return f'{made}<p class="errors"><b>Errors</b> {links}</p>'

    def _meaning(self, status: str) -> str:
        return str(self._components["responses"][status]["description"]).rstrip(".")

    def _success(self, status: str, response: Json) -> str:
        head = f'<h4>Answer <span class="status">{escape(status)}</span></h4>'
        for media, content in response.get("content", {}).items():
            if media != "application/json":
                return f"{head}<p>{escape(media)}</p>"
            return head + self._shape(content["schema"])
        return f"{head}<p>{escape(response['description'])}</p>"

    def _shape(self, schema: Json) -> str:
        """The fields of an answer, folded."""
        record = self._fields.record_of_page(schema)
        found = list(self._fields.flat(schema if record is None else record))
        kind = "Array of objects" if self._fields.is_list(schema) else "Object"
        if record is not None:
            kind = "One page of a list, with <code>resources</code>"
        if not found:
            words = self._fields.type_words(schema, answered=True).capitalize()
            return f"<p>{kind if record is not None else escape(words)}.</p>"
        listed = self._fields.drawn(found, answered=True)
        return f"<details><summary>{kind}: {self._fields.first_names(found)}</summary>{listed}</details>"


def _example(operation: _Operation) -> str:
    told = operation.told
    content = told.get("requestBody", {}).get("content", {}).get("application/json", {})
    answers = [each for each in told["responses"].values() if "content" in each]
    media = next(iter(answers[0]["content"])) if answers else "application/json"
    signed_in = told.get("security") != []
    return command(operation.method, operation.path, signed_in=signed_in, example=content.get("example"), media=media)


def _anchor(tag: str) -> str:
    return "part-" + re.sub(r"[^a-z0-9]+", "-", tag.lower()).strip("-")


def _breakable(path: str) -> str:
    """A path that breaks before a slash alone, its varying segments set apart."""
    segments = [VARYING.sub(r"<var>{\1}</var>", escape(part)) for part in path.removeprefix(PREFIX).split("/")[1:]]
    return PREFIX + "".join(f'<span class="segment">/{segment}</span>' for segment in segments)
