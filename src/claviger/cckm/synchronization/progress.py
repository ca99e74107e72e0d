"""How far a job is: what its vaults came to, and what those that are being read are at."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from claviger.cckm.synchronization.gate import Gate
from claviger.cckm.synchronization.records import ENDED, Outcome, VaultOfJob


class Progress(msgspec.Struct, frozen=True):
    """The progress of a job as it is stored. `began_at` is when this server took it up, with `done_before` read.

    What is read is secrets or keys; in what is stored, they go by the older name.
    """

    vaults_done: int = 0
    vaults_total: int = 0
    done: int = msgspec.field(default=0, name="secrets_done")
    total: int = msgspec.field(default=0, name="secrets_total")
    added: int = 0
    changed: int = 0
    gone: int = 0
    left: int = 0
    calls: int = 0
    throttled: int = 0
    throttled_until: float | None = None
    began_at: float = 0.0
    done_before: int = msgspec.field(default=0, name="secrets_before")


class Board:
    """Keeps count while a job runs. `expected` is how much is known of each vault."""

    def __init__(self, vaults: Iterable[VaultOfJob], expected: Mapping[str, int], began_at: float) -> None:
        all_vaults = list(vaults)
        self._total = len(all_vaults)
        self._ended = {each.vault_id: each.outcome for each in all_vaults if each.state in ENDED}
        self._running: dict[str, tuple[Outcome, Gate]] = {}
        self._expected = dict(expected)
        self._began_at = began_at
        self._before = sum(outcome.read for outcome in self._ended.values())

    def running(self, vault_id: str, outcome: Outcome, gate: Gate) -> None:
        """A vault is at this."""
        self._running[vault_id] = outcome, gate

    def ended(self, vault_id: str, outcome: Outcome) -> None:
        """A vault came to this."""
        self._running.pop(vault_id, None)
        self._ended[vault_id] = outcome

    def message(self, vault_id: str) -> str:
        """What is to be said of a vault that has ended; empty where that is nothing."""
        outcome = self._ended.get(vault_id)
        return "" if outcome is None else outcome.message

    def progress(self, now: float) -> Progress:
        """How far all is."""
        every = [*self._ended.values(), *(outcome for outcome, _ in self._running.values())]
        open_vaults = self._expected.keys() - self._ended.keys()
        done = sum(outcome.read for outcome in every)
        left = sum(
            max(0, self._expected[vault_id] - (self._running[vault_id][0].read if vault_id in self._running else 0))
            for vault_id in open_vaults
        )
        closed_for = max((gate.closed_for() for _, gate in self._running.values()), default=0.0)
        return Progress(
            vaults_done=len(self._ended),
            vaults_total=self._total,
            done=done,
            total=done + left,
            added=sum(outcome.added for outcome in every),
            changed=sum(outcome.changed for outcome in every),
            gone=sum(outcome.gone for outcome in every),
            left=sum(outcome.left for outcome in every),
            calls=sum(outcome.calls for outcome in every),
            throttled=sum(outcome.throttled for outcome in every),
            throttled_until=now + closed_for if closed_for > 0 else None,
            began_at=self._began_at,
            done_before=self._before,
        )
