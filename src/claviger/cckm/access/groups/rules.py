"""The groups that every domain has, and what groups' names have to be (CCKM contract §6)."""

from __future__ import annotations

import unicodedata

from claviger.cckm.calls import ADMINS, CCKM_ADMINS

USER_ADMINS = "User Admins"
LONGEST_NAME = 128
SYSTEM_GROUPS = {
    ADMINS: "May do everything in the domain.",
    USER_ADMINS: "Manage the users and groups of the domain.",
    "Key Admins": "Handle the local keys.",
    "Key Users": "Reserved for the use of keys.",
    CCKM_ADMINS: "May do everything with the clouds of the domain.",
    "CCKM Users": "May do with the clouds of the domain what the ACLs of containers permit.",
    "Connection Admins": "Manage the connections of the domain.",
}


def name_problem(name: str) -> str | None:
    """What is wrong with a new group's name; None where nothing is."""
    if not 1 <= len(name) <= LONGEST_NAME:
        return f"must have 1 to {LONGEST_NAME} characters"
    if name != name.strip() or any(unicodedata.category(letter)[0] == "C" for letter in name):
        return "must not begin or end with a space, or have control characters"
    return "must not be a dot or two, which no client can put into a path" if name in (".", "..") else None
