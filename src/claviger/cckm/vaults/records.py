"""What the record of a managed vault has, whatever its cloud."""

from __future__ import annotations

from typing import Protocol


class ManagedVault(Protocol):
    """A managed vault of any cloud."""

    @property
    def id(self) -> str:
        """The id of its record."""
        ...

    @property
    def domain_id(self) -> str:
        """The domain that it belongs to."""
        ...

    @property
    def name(self) -> str:
        """What people call it."""
        ...

    @property
    def connection_id(self) -> str:
        """The connection by which it is managed; empty once that was deleted by force."""
        ...

    @property
    def connection_name(self) -> str:
        """What that connection is, or was, called."""
        ...
