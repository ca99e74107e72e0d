"""Operators of the trial of operations: each takes secrets through their lives, and remembers what it was told.

A secret is one operator's alone, so of each at most one operation is in doubt. What became of that is judged by the
record, once nothing is open any more: it happened once, or it did not. `figures.ocilives` does the same to keys of OCI.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Generic, Protocol, TypeVar

import httpx

from tests.desk import PASSWORD, SECRETS, Desk, Managed, Operator
from tests.server import RunningServer

Finding = tuple[str, str]

NEXT: dict[str, tuple[str, ...]] = {
    "": ("create",),
    "AVAILABLE": ("create", "update", "update", "soft-delete", "soft-delete"),
    "SOFT-DELETED": ("recover", "hard-delete"),
    "DELETED": ("restore", "restore", "remove"),
}
AFTER = {
    "create": "AVAILABLE",
    "update": "AVAILABLE",
    "soft-delete": "SOFT-DELETED",
    "recover": "AVAILABLE",
    "hard-delete": "DELETED",
    "restore": "AVAILABLE",
    "remove": "",
}
UNDONE = (429, 502, 503)
"""The operation is refused for now, and certainly nothing was done."""


@dataclass(frozen=True)
class State:
    """A secret as an operator knows it: its status, how many versions it has, the tag that it was given last."""

    status: str = ""
    versions: int = 0
    tag: str | None = None

    def after(self, operation: str, tag: str) -> State:
        """As it is once the operation is done."""
        if operation == "remove":
            return State()
        if operation == "create":
            return State("AVAILABLE", self.versions + 1, None)
        return replace(self, status=AFTER[operation], tag=tag if operation == "update" else self.tag)


class Life:
    """One secret, and what may have happened to it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.ident = ""
        self.state = State()
        self.doubt: tuple[str, State] | None = None

    def judge(self, records: list[Any]) -> tuple[Finding | None, bool]:
        """What is wrong with its records, and whether what was in doubt has happened; then the state is as they are."""
        seen = _seen(records)
        before = self.state
        operation, wanted = self.doubt or ("nothing", before)
        self.doubt = None
        self.state = seen
        self.ident = _newest(records)["id"] if records else ""
        if seen == before:
            return None, False
        if seen == wanted:
            return None, True
        kind = "twice" if seen.versions > wanted.versions else "lost"
        return (kind, f"{self.name}: {before} and {operation} in doubt became {seen}"), False


def _seen(records: list[Any]) -> State:
    if not records:
        return State()
    newest = _newest(records)
    tags = newest["azure_param"].get("tags") or {}
    return State(newest["status"], len(records), tags.get("n"))


def _newest(records: list[Any]) -> Any:
    """Azure's dates are whole seconds."""
    return max(records, key=lambda each: (each["azure_param"]["attributes"]["created"], each["createdAt"]))


class Living(Protocol):
    """One thing of an operator's, and what may have happened to it."""

    name: str
    ident: str
    state: Any
    doubt: tuple[str, Any] | None

    def judge(self, records: list[Any]) -> tuple[Finding | None, bool]:
        """See `Life.judge`."""
        ...


L = TypeVar("L", bound=Living)


class Worker(Generic[L]):
    """One operator at work, in a thread of its own. `findings` are (kind, detail) pairs."""

    following: Mapping[str, tuple[str, ...]] = NEXT
    """What may be done to a thing, by its status."""
    making: frozenset[str] = frozenset({"create"})
    """What answers with a record's new id."""

    def __init__(self, number: int, seed: int, server: RunningServer, count: int) -> None:
        self.findings: list[Finding] = []
        self.acknowledged = self.doubtful = self.happened = 0
        self.stopping = threading.Event()
        self._dice = random.Random(f"{seed}/{number}")
        self._prefix = f"life-{number}"
        self._made = 0
        self.operator = Operator(server, "admin", PASSWORD)
        self._lives = [self._born() for _ in range(count)]

    def work(self) -> None:
        """Operates until the connection is lost or `stopping` is set."""
        while not self.stopping.is_set():
            lives = [life for life in self._lives if life.doubt is None]
            if not lives:
                return
            life = self._dice.choice(lives)
            operation = self._dice.choice(self.following[life.state.status])
            self._made += 1
            tag = f"{self._made}"
            try:
                answer = self.ask(life, operation, tag)
            except (httpx.TransportError, AssertionError):  # also a sign-in that got no answer
                life.doubt = (operation, life.state.after(operation, tag))
                self.doubtful += 1
                return
            self._note(life, operation, tag, answer)

    def look(self) -> None:
        """Judges everything of this operator, once nothing is open any more."""
        for at, life in enumerate(self._lives):
            had_doubt = life.doubt is not None
            finding, happened = life.judge(self.records(life))
            self.happened += had_doubt and happened
            if finding is not None:
                self.findings.append(finding)
            if finding is not None or life.state.status == "":
                self._lives[at] = self._born()

    def days_later(self) -> None:
        """Knows what becomes of its things by themselves once days have passed: of secrets nothing."""

    def _born(self) -> L:
        self._made += 1
        return self.born(f"{self._prefix}-{self._made}")

    def _note(self, life: L, operation: str, tag: str, answer: httpx.Response) -> None:
        after = life.state.after(operation, tag)
        if answer.status_code < 300:
            life.state = after
            if operation in self.making:
                life.ident = answer.json()["id"]
            if after.status == "":
                self._lives[self._lives.index(life)] = self._born()
            self.acknowledged += 1
        elif answer.status_code == 504:
            life.doubt = (operation, after)
            self.doubtful += 1
        elif not self.is_undone(answer):
            told = f"{life.name}: {operation} of {life.state} was answered {answer.status_code} {answer.text[:300]}"
            self.findings.append(("wrong answer", told))
            life.doubt = (operation, after)

    # ------------------------------------------------------------------ what things are

    def born(self, name: str) -> L:
        """A thing that nothing was done to yet."""
        raise NotImplementedError

    def ask(self, life: L, operation: str, tag: str) -> httpx.Response:
        """The answer to an operation on it."""
        raise NotImplementedError

    def records(self, life: L) -> list[Any]:
        """The records of it, whoever asks."""
        raise NotImplementedError

    @staticmethod
    def is_undone(answer: httpx.Response) -> bool:
        """Whether a refusal is one for now, and certainly nothing was done."""
        return answer.status_code in UNDONE


class SecretWorker(Worker[Life]):
    """One who works on secrets of a vault in Azure."""

    def __init__(self, number: int, seed: int, desk: Desk, vault: Managed, count: int = 4) -> None:
        super().__init__(number, seed, desk.server, count)
        self._desk = desk
        self._vault = vault

    def born(self, name: str) -> Life:
        """A secret that is not there yet."""
        return Life(name)

    def ask(self, life: Life, operation: str, tag: str) -> httpx.Response:
        """One call."""
        path = f"{SECRETS}/{life.ident}"
        if operation == "create":
            param = {"value": f"{life.name} {tag}"}
            body = {"secret_name": life.name, "key_vault": self._vault.id, "azure_param": param}
            return self.operator.ask("POST", SECRETS, body)
        if operation == "update":
            return self.operator.ask("PATCH", path, {"tags": {"n": tag}})
        if operation == "remove":
            return self.operator.ask("DELETE", path)
        return self.operator.ask("POST", f"{path}/{operation}")

    def records(self, life: Life) -> list[Any]:
        """Those of its name."""
        return self._desk.admin.records(self._vault, life.name)
