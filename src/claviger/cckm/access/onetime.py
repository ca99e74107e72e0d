"""The one-time password of the first admin: made with him, kept sealed until it was shown once or is no longer true."""

from __future__ import annotations

import secrets

from claviger.cckm.access.users.records import User
from claviger.cckm.calls import ROOT_DOMAIN
from claviger.core.sensitive import Sensitive
from claviger.sealing.notes import SealedNotes

NOTE = "admin-one-time-password"
FIRST_ADMIN = "admin"
_ALPHABET = "abcdefghjkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"  # nothing that looks like something else
_GROUPS, _GROUP_LENGTH = 5, 5


def new_one_time_password() -> Sensitive:
    """25 random letters and digits in groups of five: some 144 bits, and fit to be read out and typed."""
    groups = ("".join(secrets.choice(_ALPHABET) for _ in range(_GROUP_LENGTH)) for _ in range(_GROUPS))
    return Sensitive("-".join(groups))


class OneTimePassword:
    """Keeps the password among the server's own sealed notes."""

    def __init__(self, notes: SealedNotes) -> None:
        self._notes = notes

    async def ensure(self) -> Sensitive:
        """The password, made if there is none. All servers that start at once get the same."""
        return await self._notes.ensure(NOTE, new_one_time_password)

    async def take(self) -> Sensitive | None:
        """Shows the password and forgets it; None where there is none, or somebody else was shown it."""
        found = await self._notes.get(NOTE)
        return found if found is not None and await self._notes.delete(NOTE) else None

    async def forget(self, user: User) -> None:
        """Forgets the password, if it was the one of this user, who has another now."""
        if user.domain_id == ROOT_DOMAIN and user.username == FIRST_ADMIN and await self._notes.get(NOTE):
            await self._notes.delete(NOTE)
