"""The page of the API: whole, safe to look at, and its examples can be pasted."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Annotated, Any

import msgspec
import pytest

from claviger.cckm.app import ControlPlane
from claviger.cckm.calls import Caller, Parameter, Permission, Rights, Route
from claviger.cckm.describing.curl import command
from claviger.cckm.describing.prose import html_of
from claviger.cckm.openapi import document, operation_id
from claviger.cckm.reference import ReferenceRoutes, page_of
from claviger.cckm.routing import Routing
from tests.described import every_route, operations_of
from tests.sample_routes import route, sample_routes

VOID = {"meta"}
TAGS = VOID | {
    *("html", "head", "title", "style", "body", "header", "nav", "main", "section", "article", "div", "span"),
    *("h1", "h2", "h3", "h4", "p", "a", "b", "strong", "code", "pre", "var", "ul", "li", "dl", "dt", "dd"),
    *("details", "summary", "table", "thead", "tbody", "tr", "th", "td"),
}
ATTRIBUTES = {"lang", "charset", "name", "content", "class", "href", "id", "aria-label", "tabindex", "title", "scope"}
BASH = shutil.which("bash")


class Page(HTMLParser):
    """Reads a page strictly: unknown tags, unknown attributes and tags that do not match are mistakes."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.mistakes: list[str] = []
        self.texts: list[str] = []
        self.blocks: list[str] = []
        self.style = ""
        self.feed(text)
        self.close()
        self.mistakes += [f"never closed: {tag}" for tag in self.open]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in TAGS:
            self.mistakes.append(f"tag: {tag}")
        self.mistakes += [f"attribute: {tag} {name}" for name, _ in attrs if name not in ATTRIBUTES]
        found = dict(attrs)
        self.ids += [found["id"] or ""] if "id" in found else []
        self.links += [found["href"] or ""] if "href" in found else []
        if tag == "pre":
            self.blocks.append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.mistakes.append(f"closed too early or twice: {tag}")

    def handle_data(self, data: str) -> None:
        if "pre" in self.open:
            self.blocks[-1] += data
        if self.open and self.open[-1] == "style":
            self.style += data
        else:
            self.texts.append(data)


def _page(routes: list[Route]) -> tuple[Page, dict[bytes, bytes]]:
    body, headers = page_of(document(routes, "1.2.3"))
    return Page(body.decode()), dict(headers)


@pytest.mark.parametrize("table", [sample_routes, every_route])
def test_every_operation_has_its_place_and_every_link_leads_somewhere(table: Callable[[], list[Route]]):
    page, _ = _page(table())
    assert page.mistakes == []
    assert len(page.ids) == len(set(page.ids))
    for each in table():
        assert operation_id(each) in page.ids
        assert page.links.count(f"#{operation_id(each)}") == 3  # contents, overview, the heading itself
    inner = {link.removeprefix("#") for link in page.links if link.startswith("#")}
    assert inner <= set(page.ids)
    assert {link for link in page.links if not link.startswith("#")} == {"/api/v1/openapi.json"}


def test_it_loads_nothing_and_runs_nothing():
    page, headers = _page(sample_routes())
    digest = base64.b64encode(hashlib.sha256(page.style.encode()).digest()).decode()
    policy = headers[b"content-security-policy"].decode()
    assert policy.startswith(f"default-src 'none'; style-src 'sha256-{digest}';")
    assert "unsafe" not in policy
    assert "script-src" not in policy
    assert not re.search(r"url\(|@import|https?:|//", page.style)
    assert page.style.count("{") == page.style.count("}")
    assert headers[b"content-type"] == b"text/html; charset=utf-8"


EVIL = "</code></style><script>alert('1')</script>\"'&<img src=x onerror=alert(2)>"


class Hostile(msgspec.Struct):
    """Fields that mean harm."""

    plain: Annotated[str, msgspec.Meta(description=EVIL, pattern=EVIL, examples=[EVIL])]
    inner: dict[str, Annotated[str, msgspec.Meta(description=EVIL)]]
    other: str = EVIL


Hostile.__doc__ = EVIL


def test_what_is_hostile_is_shown_as_it_is():
    table = [
        route(
            "POST",
            "/x/{id}",
            tag=EVIL,
            summary=EVIL,
            description=f"{EVIL} `x` {EVIL}\n\n- {EVIL}\n\n`{EVIL}`\n\n**{EVIL}**\n\n```\n{EVIL}\n```\n\n## {EVIL}",
            takes=Hostile,
            gives=Hostile,
            query=(Parameter(EVIL, description=EVIL, default=EVIL, values=(EVIL,)),),
            permission=Permission("members", frozenset({EVIL})),
            example={"plain": EVIL, "inner": {EVIL: EVIL}},
        )
    ]
    page, _ = _page(table)
    assert page.mistakes == []
    assert "".join(page.texts).count("<script>") > 10


def test_what_an_endpoint_needs_is_told():
    page, _ = _page(sample_routes())
    told = " ".join("".join(page.texts).split())
    for words in (
        "Members of admin or CCKM Admins, and whoever has secretpurge and secretview in the container.",
        "azure_param.value string required",
        "azure_param.attributes.nbf integer or string",
        "At most 127 characters.",
        "Name of the secret. May be repeated.",
        "One page of a list, with resources: id, secret_name",
        "Array of objects: permit, actions, user_id, group",
        "tags map of string",
        "not in this server",
        "azure_param.value string The secret itself.",
    ):
        assert words in told, words


def test_a_description_keeps_its_form():
    made = html_of("One `code` and **strong `both`**\nline.\n\n- a\n- b\n\n```sh\nx < y\n```\n\n## A title & more")
    assert made.splitlines() == [
        "<p>One <code>code</code> and <strong>strong <code>both</code></strong> line.</p>",
        "<ul><li>a</li><li>b</li></ul>",
        '<pre tabindex="0"><code>x &lt; y</code></pre>',
        '<h3 id="about-a-title-more">A title &amp; more</h3>',
    ]


# ---------------------------------------------------------------- examples

_FAKE_CURL = 'curl() { printf "%s\\n" "$@" >&2; cat; }\n'
_VARIABLES = {"SERVER": "https://there", "TOKEN": "a.b.c", "ID": "one", "PASSWORD": "p w$x", "VALUE": "v"}


def _run(script: str) -> tuple[list[str], str]:
    """What curl would be given: its arguments, and its input."""
    assert BASH is not None
    done = subprocess.run(
        [BASH, "-u", "-c", _FAKE_CURL + script],
        env=_VARIABLES | {"NEW_PASSWORD": "n", "MATERIAL": "c", "PIN": "p", "PATH": "/usr/bin:/bin"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stderr.splitlines(), done.stdout


@pytest.mark.skipif(BASH is None, reason="needs bash")
def test_every_example_can_be_pasted():
    described = document(sample_routes(), "1")
    page, _ = _page(sample_routes())
    blocks = page.blocks[1:]  # the first one signs in
    order = {operation_id(each): each for each in sample_routes()}
    shown = [ident for ident in page.ids if ident in order]
    assert len(blocks) == len(shown) == len(order)
    examples = {told["operationId"]: told for _, _, told in operations_of(described)}
    for ident, block in zip(shown, blocks, strict=True):
        arguments, given = _run(block)
        told = order[ident]
        path = told.path.strip("/").replace("{id}", "one")
        assert f"https://there/api/v1/{path}" in arguments
        assert ("-X" in arguments) == (told.method != "GET")
        assert ("Authorization: Bearer a.b.c" in arguments) == (told.permission.kind != "public")
        body = examples[ident].get("requestBody", {}).get("content", {}).get("application/json", {})
        if "example" in body:
            assert json.loads(given) == _filled(body["example"])
        else:
            assert given == ""


def _filled(value: Any) -> Any:
    """An example with its variables as the shell fills them in."""
    known = _VARIABLES | {"NEW_PASSWORD": "n", "MATERIAL": "c", "PIN": "p"}
    if isinstance(value, dict):
        return {name: _filled(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_filled(item) for item in value]
    return known[value[1:]] if isinstance(value, str) and value.startswith("$") else value


@pytest.mark.skipif(BASH is None, reason="needs bash")
def test_nothing_but_a_variable_is_expanded():
    example = {"a": '$(id) `id` \\ " $ID', "b": "$ID", "c": ["$HOME/x", "JSON"], "$ID": 1}
    _, given = _run(command("POST", "/x", signed_in=True, example=example))
    assert json.loads(given) == example | {"b": "one"}


@pytest.mark.skipif(BASH is None, reason="needs bash")
def test_signing_in_can_be_pasted():
    page, _ = _page(sample_routes())
    script = 'read() { PASSWORD="from the keyboard"; }\njq() { cat >&2; }\n' + page.blocks[0]
    arguments, _ = _run(script)
    assert "https://there/api/v1/auth/tokens" in arguments
    assert json.loads(arguments[-1])["password"] == "from the keyboard"


# ---------------------------------------------------------------- served


class _NobodyKnown:
    """A gate at which only public routes are open."""

    async def admit(self, authorization: bytes | None, permission: Permission) -> tuple[Caller | None, Rights]:
        assert permission.kind == "public"
        return None, None  # type: ignore[return-value]  # no route of these tests asks for rights


async def _get(plane: ControlPlane, path: str) -> tuple[int, dict[bytes, bytes], bytes]:
    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    async def receive() -> dict[str, Any]:
        raise AssertionError("a GET has no body")

    scope = {"method": "GET", "raw_path": path.encode(), "query_string": b"", "headers": [], "client": None}
    await plane(scope, receive, send)
    return sent[0]["status"], dict(sent[0]["headers"]), sent[1]["body"]


async def test_document_and_page_are_served_and_kept():
    asked = 0
    table: list[Route] = []

    def routes() -> list[Route]:
        nonlocal asked
        asked += 1
        return table

    table += [*sample_routes(), *ReferenceRoutes(routes, "9.8.7").routes()]
    plane = ControlPlane(Routing(table), _NobodyKnown(), lambda _name, _status: None)
    for _ in range(2):
        status, headers, body = await _get(plane, "/api/v1/openapi.json")
        assert status == 200
        assert headers[b"content-type"] == b"application/json; charset=utf-8"
        assert json.loads(body)["info"]["version"] == "9.8.7"
        assert "/api/v1/docs" in json.loads(body)["paths"]
        status, headers, body = await _get(plane, "/api/v1/docs/")
        assert status == 200
        assert headers[b"content-type"] == b"text/html; charset=utf-8"
        assert headers[b"content-security-policy"].startswith(b"default-src 'none'; style-src 'sha256-")
        assert headers[b"x-content-type-options"] == b"nosniff"
        assert Page(body.decode()).mistakes == []
    assert asked == 2  # once for each
