"""The keys that a subscription's notices are signed with, and how they are sealed: the current and the earlier one."""

from __future__ import annotations

import base64

import msgspec

from claviger.cckm.notices.rules import OLD_SECRET_S
from claviger.core.errors import Damaged
from claviger.core.sensitive import Sensitive

SEALED_AS = "notice"
"""The kind under which they are in the `Safe`; their name there is the subscription's id."""


class Keys(msgspec.Struct, frozen=True):
    """The bytes of the keys. The earlier one signs beside the current one until `earlier_until`, epoch seconds."""

    current: Sensitive
    earlier: Sensitive | None = None
    earlier_until: float = 0.0

    def at(self, now: float) -> list[bytes]:
        """Those to sign with at a moment, the current one first."""
        earlier = [self.earlier.reveal()] if self.earlier is not None and now < self.earlier_until else []
        return [self.current.reveal(), *earlier]

    def followed_by(self, key: bytes, now: float) -> Keys:
        """The keys once there is a new one."""
        return Keys(Sensitive(key), self.current, now + OLD_SECRET_S)


class _Sealed(msgspec.Struct):
    current: str
    earlier: str = ""
    earlier_until: float = 0.0


def sealed_form(keys: Keys) -> Sensitive:
    """What the `Safe` keeps."""
    earlier = "" if keys.earlier is None else base64.b64encode(keys.earlier.reveal()).decode()
    current = base64.b64encode(keys.current.reveal()).decode()
    return Sensitive(msgspec.json.encode(_Sealed(current, earlier, keys.earlier_until)))


def opened(sealed: Sensitive) -> Keys:
    """What `sealed_form` made. Raises Damaged("NoticeKeys")."""
    try:
        found = msgspec.json.decode(sealed.reveal(), type=_Sealed)
        current, earlier = base64.b64decode(found.current), base64.b64decode(found.earlier)
    except (msgspec.MsgspecError, ValueError):
        raise Damaged("NoticeKeys") from None
    return Keys(Sensitive(current), Sensitive(earlier) if earlier else None, found.earlier_until)
