"""The few forms of Markdown that descriptions in this API use, as HTML: nothing passes that is not escaped.

Headings (`## `), fenced code, lists (`- `), paragraphs; within them `code` and **strong**. All else is plain text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import escape

_INLINE = re.compile(r"`(?P<code>[^`]+)`|\*\*(?P<strong>[^*]+)\*\*")
_FENCE = re.compile(r"^```[^\n]*\n(?P<code>.*?)^```[ ]*$", re.MULTILINE | re.DOTALL)
_BLANK = re.compile(r"\n[ \t]*\n")


def html_of(text: str) -> str:
    """A description as HTML blocks."""
    return "\n".join(_blocks(text))


def inline(text: str) -> str:
    """A line of a description as HTML, without a block around it."""
    made = []
    at = 0
    for match in _INLINE.finditer(text):
        made.append(escape(text[at : match.start()]))
        if match["code"]:
            made.append(f"<code>{escape(match['code'])}</code>")
        else:
            made.append(f"<strong>{inline(match['strong'])}</strong>")
        at = match.end()
    return "".join([*made, escape(text[at:])])


def code_block(text: str) -> str:
    """Lines to copy. The block scrolls by itself and by keyboard where they are longer than the screen is wide."""
    return f'<pre tabindex="0"><code>{escape(text.rstrip())}</code></pre>'


def _blocks(text: str) -> Iterator[str]:
    at = 0
    for fence in _FENCE.finditer(text):
        yield from _paragraphs(text[at : fence.start()])
        yield code_block(fence["code"])
        at = fence.end()
    yield from _paragraphs(text[at:])


def _paragraphs(text: str) -> Iterator[str]:
    for part in _BLANK.split(text):
        lines = part.strip().splitlines()
        if not lines:
            continue
        if len(lines) == 1 and lines[0].startswith("## "):
            title = lines[0].removeprefix("## ")
            yield f'<h3 id="{_slug(title)}">{inline(title)}</h3>'
        elif all(line.startswith("- ") for line in lines):
            items = "".join(f"<li>{inline(line.removeprefix('- '))}</li>" for line in lines)
            yield f"<ul>{items}</ul>"
        else:
            yield f"<p>{inline(' '.join(line.strip() for line in lines))}</p>"


def _slug(title: str) -> str:
    return "about-" + re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")
