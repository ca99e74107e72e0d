"""Crews of the trial of operations: operators at work in one vault of a cloud, and how what became of it is judged."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from figures.lives import Finding, SecretWorker, Worker
from figures.ocilives import KeyWorker
from figures.ocipoints import let_days_pass
from tests import agreeing, oci_agreeing
from tests.agreeing import finished, until
from tests.desk import Desk, Managed
from tests.oci_plane import OciDesk, OciManaged
from tests.server import RunningServer
from tests.vaults import spare_name

WORKERS = 4
BEGIN_LIMIT_S = 60.0


@dataclass(frozen=True)
class Crew:
    """Operators, and what is asked once nothing is open any more: each answer is a list of what should not be."""

    server: RunningServer
    workers: Sequence[Worker[Any]]
    passing: Callable[[], list[str]]
    disagreements: Callable[[], list[str]]
    left_over: Callable[[], list[str]]
    days: Callable[[], bool] = bool
    """Has days pass, if that is to be; whether they have."""

    @contextmanager
    def working(self) -> Iterator[None]:
        """Has everybody work; at the end each stops at once, or when `stopping` tells him to."""
        threads = []
        for worker in self.workers:
            worker.stopping.clear()
            threads.append(threading.Thread(target=worker.work))
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            for thread in threads:
                thread.join()
            for worker in self.workers:
                worker.operator.close()

    def begin(self) -> None:
        """Waits until somebody was told that something is done, or a while: a busy machine takes long to begin."""
        before = self.acknowledged
        until(lambda: self.acknowledged > before, BEGIN_LIMIT_S)

    @property
    def acknowledged(self) -> int:
        """How often somebody was told so."""
        return sum(worker.acknowledged for worker in self.workers)

    def stop(self) -> None:
        """Tells everybody to end what he is at, and stop."""
        for worker in self.workers:
            worker.stopping.set()

    def let_days_pass(self) -> None:
        """Has days pass in which nobody does anything, so that what was to be deleted is."""
        if self.days():
            for worker in self.workers:
                worker.days_later()

    def judge(self, limit_s: float) -> list[Finding]:
        """What is wrong once everything had so long to be finished. What workers find is theirs."""
        found = [("still open", str(row)) for row in finished(self.server, limit_s)]
        if not until(lambda: self.passing() == [], limit_s):
            found += [("still open", told) for told in self.passing()]
        for worker in self.workers:
            worker.look()
        found += [("not agreed", told) for told in self.disagreements()]
        return found + [("left over", told) for told in self.left_over()]


def on_secrets(desk: Desk, vault: Managed, seed: int, first: int, count: int, *, backups: bool) -> Crew:
    """A crew in a vault of Azure; `count` secrets each, numbers from `first`. `backups`: none may be missing."""
    return Crew(
        desk.server,
        [SecretWorker(number, seed, desk, vault, count) for number in range(first, first + WORKERS)],
        list,
        lambda: agreeing.disagreements(desk, vault, backups=backups),
        lambda: agreeing.left_over(desk.server),
    )


def on_keys(desk: OciDesk, vault: OciManaged, seed: int, first: int, count: int) -> Crew:
    """A crew in a vault of OCI, which keeps backups."""
    body = {"name": spare_name("local"), "algorithm": "AES", "size": 256}
    local = str(desk.admin.accept("POST", "/vault/keys2", body, 201)["id"])
    return Crew(
        desk.server,
        [KeyWorker(number, seed, desk, vault, local, count) for number in range(first, first + WORKERS)],
        lambda: oci_agreeing.passing(desk, vault),
        lambda: oci_agreeing.disagreements(desk, vault),
        lambda: oci_agreeing.left_over(desk),
        lambda: let_days_pass(desk, vault),
    )
