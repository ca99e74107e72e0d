"""The one closed family of errors that Claviger's code raises on purpose.

A rule or an operation raises the class that says what kind of refusal it is, with a `reason` (one machine word that a
service's own `errors.py` turns into its wire's code and message) and `facts` to fill that message in. Nothing below the
services knows a status code. A secret value never goes into `facts`.
"""

from __future__ import annotations


class Refusal(Exception):
    """A call that is refused on purpose, with nothing changed.

    `reason` is a short CamelCase word, unique within a service; `facts` are printable and hold no secret value.
    """

    def __init__(self, reason: str, /, **facts: object) -> None:
        super().__init__(reason)
        self.reason = reason
        self.facts = facts

    def __str__(self) -> str:
        told = ", ".join(f"{name}={value}" for name, value in self.facts.items())
        return f"{self.reason} ({told})" if told else self.reason


class Invalid(Refusal):
    """The input is wrong in itself, whatever the state of the system."""


class TooLarge(Refusal):
    """The body is over the limit of its route."""


class Unauthenticated(Refusal):
    """Nobody is known to be calling: no token, or one that does not hold."""


class Forbidden(Refusal):
    """The caller is known and may not do this, or the object's state forbids it to everyone."""


class NotFound(Refusal):
    """There is no such thing, or none that this caller may know of."""


class Conflict(Refusal):
    """The call is right but the present state of the object refuses it."""


class Throttled(Refusal):
    """Too many calls; the same call may succeed later. `facts["retry_after_s"]` may say when."""


class Busy(Refusal):
    """A bounded queue inside the server is full, or a time-out passed before anything was done."""


class Unavailable(Refusal):
    """The service is made to refuse for now, by a switch; nothing was done."""


class Damaged(Refusal):
    """Stored data is not what was written, or a newer version wrote it; nothing is guessed, nothing recreated."""


class Misconfigured(Refusal):
    """A setting or the machine's set-up is wrong; `facts["fix"]` says what to do."""
