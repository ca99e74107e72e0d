"""The example of an endpoint as a curl command that can be pasted into a shell.

The server, the token, ids and secrets are variables of that shell, so that nothing in the page is anyone's own.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

_VARYING = re.compile(r"\{(\w+)\}")
_EXPANDED = re.compile(r"[$`\\]")
_VARIABLE = re.compile(r"\$[A-Z][A-Z0-9_]*")


def command(method: str, path: str, *, signed_in: bool, example: Any = None, media: str = "application/json") -> str:
    """A command of a few lines. A text of the example that is `$NAME` is a variable; nothing else is expanded."""
    address = _VARYING.sub(lambda match: "$" + match[1].upper(), path)
    verb = "" if method == "GET" else f"-X {method} "
    lines = [f'curl -sS {verb}"$SERVER{address}"']
    if signed_in:
        lines.append('-H "Authorization: Bearer $TOKEN"')
    if example is None:
        if media != "application/json":
            lines.append(f"-H {shlex.quote(f'Accept: {media}')}")
        return " \\\n  ".join(lines)
    lines += ['-H "Content-Type: application/json"', "-d @- <<JSON"]
    body = json.dumps(_marked(example), indent=2, ensure_ascii=False)
    return " \\\n  ".join(lines) + f"\n{_quoted(body)}\nJSON"


_OPEN, _CLOSE = "\ue000", "\ue001"
"""Around a variable while the rest is quoted: characters that no example holds."""


def _marked(value: Any) -> Any:
    if isinstance(value, str) and _VARIABLE.fullmatch(value):
        return f"{_OPEN}{value[1:]}{_CLOSE}"
    if isinstance(value, Mapping):
        return {name: _marked(item) for name, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_marked(item) for item in value]
    return value


def _quoted(body: str) -> str:
    """As it stands in a here-document whose variables are expanded."""
    return _EXPANDED.sub(r"\\\g<0>", body).replace(_OPEN, "$").replace(_CLOSE, "")
