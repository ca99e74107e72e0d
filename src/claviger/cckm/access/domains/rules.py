"""What domains' names have to be."""

from __future__ import annotations

import re

ROOT_NAME = "root"
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,62}[A-Za-z0-9]|[A-Za-z0-9]")


def name_problem(name: str) -> str | None:
    """What is wrong with a new domain's name; None where nothing is."""
    if _NAME.fullmatch(name) is None:
        return "must have 1 to 64 letters, digits, spaces, or . _ - and begin and end with a letter or digit"
    return "must not look like an id" if _ID.fullmatch(name) else None


def last_of_path(path: str) -> str:
    """The domain that a path such as `/tenant/domain` leads to; the root domain for `/` (CCKM contract §2.2)."""
    return next((part for part in reversed(path.split("/")) if part), ROOT_NAME)
