"""What users' names, ids and passwords have to be, and how names are compared."""

from __future__ import annotations

import re
import unicodedata

SHORTEST_PASSWORD = 8
LONGEST_PASSWORD = 256
LONGEST_USERNAME = 128
LONGEST_TEXT = 256
ID_PREFIX = "local|"
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_NOT_IN_NAMES = frozenset({"|", "/", "\\", '"'})


def plain_user_id(text: str) -> str | None:
    """The uuid of `local|<uuid>` or of a plain uuid, in lower case; None for anything else (CCKM contract §6)."""
    plain = text.removeprefix(ID_PREFIX).lower()
    return plain if _UUID.fullmatch(plain) else None


def shown_user_id(user_id: str) -> str:
    """A user's id as clients of this API know it."""
    return ID_PREFIX + user_id


def username_key(username: str) -> str:
    """A username as usernames are compared: in any case, in any of Unicode's spellings."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", username).casefold())


def username_problem(username: str) -> str | None:
    """What is wrong with a new username; None where nothing is."""
    if not 1 <= len(username) <= LONGEST_USERNAME:
        return f"must have 1 to {LONGEST_USERNAME} characters"
    if username != username.strip() or not _is_printable(username):
        return "must not begin or end with a space, or have control characters"
    if not _NOT_IN_NAMES.isdisjoint(username):
        return 'must not have | / \\ or "'
    return None


def text_problem(text: str) -> str | None:
    """What is wrong with a name, nickname or e-mail address; None where nothing is."""
    if len(text) > LONGEST_TEXT:
        return f"must have at most {LONGEST_TEXT} characters"
    return None if _is_printable(text) else "must not have control characters"


def password_problem(password: str, username: str, old: str | None = None) -> str | None:
    """What is wrong with a new password; None where nothing is. The answer never holds the password.

    Length is what counts (NIST SP 800-63B §5.1.1.2); there are no rules about kinds of characters.
    """
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        return f"must have {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters"
    if "\0" in password or not _encodes(password):
        return "must be text without NUL characters"
    if username_key(password) == username_key(username):
        return "must differ from the username"
    if old is not None and password == old:
        return "must differ from the old one"
    if len(set(password)) < 3:
        return "must have at least 3 different characters"
    return None


def _is_printable(text: str) -> bool:
    return all(unicodedata.category(letter)[0] != "C" for letter in text)


def _encodes(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
