"""Requests drawn from OpenAPI documents by schemathesis: right ones, wrong ones, and the boundaries of every field.

A document describes what is served, not how: `written` reads one from `schemas/` and fills in what exists on the server
at hand (`x-known`), `Document` has schemathesis draw cases, and turns each into a `Drawn`: method, target, headers and
body, ready to be varied and sent. The same documents, seed and versions of the libraries give the same requests.
"""

from __future__ import annotations

import math
import random
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
import schemathesis
import yaml
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode

from figures.answers import Answer

SCHEMAS = Path(__file__).with_name("schemas")
_PLACES = 2
_MODES = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
_OURS_TO_SAY = frozenset({"user-agent", "accept-encoding", "accept", "connection", "content-length", "host"})
_MARK = "x-schemathesis-testcaseid"
_BASE = "https://any.localhost"


@dataclass(frozen=True)
class Drawn:
    """One request as drawn. `service` is the shape of errors; `operation` can check what an answer holds."""

    service: str
    operation: Any
    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    @property
    def label(self) -> str:
        """The operation's name."""
        return str(self.operation.label)


def written(name: str, known: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """A document of `schemas/`. `known` has, by the word after `x-known`, values that exist on the server."""
    document: dict[str, Any] = yaml.safe_load((SCHEMAS / f"{name}.yaml").read_text())
    _fill_in(document, known)
    return document


class Document:
    """One OpenAPI document.

    `places` are values of path parameters that belong together, so that more than a few requests meet something; or a
    function that gives them for the path of an operation.
    """

    def __init__(
        self,
        document: dict[str, Any],
        service: str,
        places: Sequence[Mapping[str, str]] | Callable[[str], Sequence[Mapping[str, str]]] = (),
    ) -> None:
        self.service = service
        self._places = places if callable(places) else lambda _: places
        self._schema = schemathesis.openapi.from_dict(document)
        found = self._schema.get_all_operations()
        self._operations: list[Any] = [each.ok() for each in found]  # type: ignore[union-attr]  # a bad document raises

    def draw(self, count: int, of_seed: int) -> list[Drawn]:
        """`count` requests: about half at the boundaries (as far as there are so many), the others right or wrong.

        For very few requests only some of the operations are drawn from, as each takes its time.
        """
        dice = random.Random(f"{self.service}/{of_seed}")
        operations = self._operations
        if count < len(operations):
            operations = dice.sample(operations, max(count // 3, 1))
        boundaries = list(self._boundaries(operations))
        dice.shuffle(boundaries)
        found = boundaries[: count // 2]
        each = math.ceil((count - len(found)) / (3 * len(operations)))
        at_random: list[Drawn] = []
        for operation in operations:
            at_random += self._at_random(operation, GenerationMode.NEGATIVE, each, of_seed)
            fitting = self._fitting(operation, dice)
            for place in fitting:
                share = math.ceil(2 * each / len(fitting))
                at_random += self._at_random(operation, GenerationMode.POSITIVE, share, of_seed, place)
        dice.shuffle(at_random)
        found += at_random[: count - len(found)]
        dice.shuffle(found)
        return found

    def _boundaries(self, operations: Sequence[Any]) -> Iterator[Drawn]:
        for operation in operations:
            with_settings = self._schema.config.generation_for(operation=operation, phase="coverage")
            cases = self._schema.iter_coverage_cases(
                operation, generation_modes=list(_MODES), generation_config=with_settings
            )
            for case in cases:
                yield from self._written(operation, case)

    def _fitting(self, operation: Any, dice: random.Random) -> list[dict[str, str]]:
        """Places for an operation, cut down to its own path parameters; and nowhere: all as drawn."""
        wanted = set(re.findall(r"{([^}]+)}", operation.path))
        found = [
            {name: value for name, value in place.items() if name in wanted} for place in self._places(operation.path)
        ]
        distinct = list({tuple(place.items()): place for place in found if place}.values())
        return [*dice.sample(distinct, min(_PLACES, len(distinct))), {}]

    def _at_random(
        self, operation: Any, mode: GenerationMode, count: int, of_seed: int, place: Mapping[str, str] | None = None
    ) -> list[Drawn]:
        found: list[Drawn] = []

        @seed(of_seed)
        @settings(
            max_examples=max(count, 1),
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(generation_mode=mode, path_parameters=dict(place) if place else None))
        def draw(case: Any) -> None:
            found.extend(self._written(operation, case))

        with warnings.catch_warnings(), suppress(Unsatisfiable):  # where an operation takes nothing that can be wrong
            warnings.simplefilter("ignore")  # of a drawing library about its own drawing
            draw()
        return found

    def _written(self, operation: Any, case: Any) -> Iterator[Drawn]:
        """The case as a request; nothing for one that cannot be written as HTTP at all."""
        try:
            ready = requests.Request(**case.as_transport_kwargs(base_url=_BASE)).prepare()
        except (requests.RequestException, ValueError, TypeError):
            return
        service = operation.definition.raw.get("x-service", self.service)
        headers = tuple(
            (name, str(value))
            for name, value in ready.headers.items()
            if name.lower() not in _OURS_TO_SAY and name.lower() != _MARK
        )
        body = ready.body.encode("utf-8", "surrogatepass") if isinstance(ready.body, str) else ready.body or b""
        if isinstance(body, bytes):
            yield Drawn(service, operation, str(ready.method), str(ready.path_url), headers, body)


def undocumented(operation: Any, answer: Answer) -> list[str]:
    """What a successful answer has that the operation's document does not know: its status, something in its body."""
    if str(answer.status) not in operation.definition.raw["responses"]:
        return [f"status {answer.status}"]
    asked = requests.Request("GET", f"{_BASE}/").prepare()
    headers = {name: [value] for name, value in answer.headers.items()}
    try:
        operation.validate_response(schemathesis.Response(answer.status, headers, answer.body, asked, 0.0, True))
    except (AssertionError, BaseExceptionGroup) as failure:
        return [f"{failure}: {answer.body[:300]!r}"]
    return []


def _fill_in(document: Any, known: Mapping[str, Sequence[str]]) -> None:
    """Puts what is known before each example: boundaries of one field are drawn with the first value of the others."""
    if isinstance(document, list):
        for each in document:
            _fill_in(each, known)
    elif isinstance(document, dict):
        word = document.pop("x-known", None)
        if word is not None:
            document["enum"] = [*known[word], *document["enum"]]
        for each in document.values():
            _fill_in(each, known)
