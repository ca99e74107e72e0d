"""Synchronisation jobs of any cloud for tests: started, awaited, and what they put on the drift list."""

from __future__ import annotations

import time
from typing import Any, Protocol

from tests.desk import Operator

DRIFT = "/claviger/drift"
_POLL_S = 0.05
_LIMIT_S = 120.0


class HasId(Protocol):
    """A managed vault."""

    @property
    def id(self) -> str: ...


class CloudJobs:
    """The jobs of one cloud: where they are, and by which fields vaults are named to start one, and of the list."""

    def __init__(self, path: str, field: str, of_drift: str) -> None:
        self._path = path
        self._field = field
        self._of_drift = of_drift

    def start(self, operator: Operator, *vaults: HasId, **more: Any) -> Any:
        """A job that was started just now."""
        body = {self._field: [vault.id for vault in vaults], **more} if vaults else more
        return operator.accept("POST", self._path, body, 201)

    def ended(self, operator: Operator, job: Any, within_s: float = _LIMIT_S) -> Any:
        """The job as it ended."""
        give_up_at = time.monotonic() + within_s
        while (found := operator.accept("GET", f"{self._path}/{job['id']}"))["overall_status"] == "in_progress":
            assert time.monotonic() < give_up_at, found
            time.sleep(_POLL_S)
        return found

    def synchronized(self, operator: Operator, *vaults: HasId, status: str = "completed", **more: Any) -> Any:
        """A job that was started and has ended so."""
        job = self.ended(operator, self.start(operator, *vaults, **more))
        assert job["overall_status"] == status, job
        return job

    def drifts(self, operator: Operator, *vaults: HasId, **query: Any) -> list[Any]:
        """What is on the drift list of vaults."""
        asked = {self._of_drift: [vault.id for vault in vaults], "limit": -1, **query}
        return list(operator.accept("GET", DRIFT, query=asked)["resources"])
