"""One of the clients of the crash trial: changes secrets of its own as fast as it can, and looks at them afterwards.

Its names are nobody else's, so after a crash exactly one change a writer is in doubt. Everything goes over HTTP with a
token, as any client's calls do.
"""

from __future__ import annotations

import random
from urllib.parse import urlsplit

from bench.client import Answer, Client, Lost
from figures.journal import Change, Content, Seen, State, after, judge, next_change

_VERBS = {
    "set": ("PUT", "/secrets/{}", 200),
    "update": ("PATCH", "/secrets/{}/", 200),
    "delete": ("DELETE", "/secrets/{}", 200),
    "recover": ("POST", "/deletedsecrets/{}/recover", 200),
    "purge": ("DELETE", "/deletedsecrets/{}", 204),
}


class Unexpected(RuntimeError):
    """An answer that a server in good health does not give here."""


class Writer:
    """Owns `name_count` names. `findings` are (kind, detail) pairs; a name with a finding is left alone afterwards.

    `doubts_count` changes were cut off by a crash, and `happened_count` of them turned out to have been carried out.
    """

    def __init__(self, number: int, seed: int, client: Client, name_count: int = 5) -> None:
        self.client = client
        self.acknowledged_count = 0
        self.doubts_count = 0
        self.happened_count = 0
        self.findings: list[tuple[str, str]] = []
        self._dice = random.Random(f"{seed}/{number}")
        self._number = number
        self._states = {f"crash-{number}-{index}": State() for index in range(name_count)}
        self._under_way: tuple[str, Change] | None = None
        self._made = 0
        self.stopping = False

    async def work(self) -> None:
        """Makes changes until the connection is lost or `stopping` is set."""
        while not self.stopping and self._states:
            name = self._dice.choice(list(self._states))
            self._made += 1
            change = next_change(self._states[name], self._dice, f"w{self._number}n{self._made}")
            self._under_way = (name, change)
            try:
                await self._carry_out(name, change)
            except Lost:
                return
            except Unexpected as problem:
                self.findings.append(("wrong answer", f"{name}: {problem}"))
                return
            self._under_way = None
            self.acknowledged_count += 1

    async def _carry_out(self, name: str, change: Change) -> None:
        method, path, expected = _VERBS[change.verb]
        answer = await self.client.secret(method, path.format(name), _body(change))
        if answer.status != expected:
            raise Unexpected(f"{change.verb} was answered {answer.status} {_code(answer)}")
        version = answer.json()["id"].rpartition("/")[2] if change.verb == "set" else ""
        self._states[name] = after(self._states[name], change, version)

    async def look(self) -> None:
        """Compares every name with what was acknowledged, and takes over what became of the change in doubt.

        A deleted secret is looked at as deleted, recovered, looked at in full, and deleted again.
        """
        for name in list(self._states):
            doubt = self._under_way[1] if self._under_way and self._under_way[0] == name else None
            try:
                seen = await self._seen(name)
            except Unexpected as problem:
                self._give_up(name, "half-written", str(problem))
                continue
            verdict = judge(self._states[name], doubt, seen)
            if verdict.finding:
                self._give_up(name, verdict.finding, verdict.detail)
                continue
            if doubt is not None:
                self.doubts_count += 1
                self.happened_count += verdict.state != self._states[name]
            self._states[name] = verdict.state
        self._under_way = None

    def _give_up(self, name: str, kind: str, detail: str) -> None:
        self.findings.append((kind, f"{name}: {detail}"))
        del self._states[name]

    async def _seen(self, name: str) -> Seen:
        shown = await self.client.secret("GET", f"/deletedsecrets/{name}")
        if shown.status == 404:
            contents = await self._contents(name)
            latest = await self.client.secret("GET", f"/secrets/{name}")
            if not contents and latest.status == 404:
                return Seen()
            if latest.status != 200:
                raise Unexpected(f"has versions, and its latest was answered {latest.status} {_code(latest)}")
            return Seen(contents, latest.json()["id"].rpartition("/")[2])
        if shown.status != 200:
            raise Unexpected(f"as a deleted secret: {shown.status} {_code(shown)}")
        latest_id = shown.json()["id"].rpartition("/")[2]
        await self._must("POST", f"/deletedsecrets/{name}/recover")
        contents = await self._contents(name)
        await self._must("DELETE", f"/secrets/{name}")
        return Seen(contents, latest_id, deleted=True)

    async def _contents(self, name: str) -> dict[str, Content | None]:
        ids: list[str] = []
        path = f"/secrets/{name}/versions"
        while path:
            page = (await self._must("GET", path)).json()
            ids += [item["id"].rpartition("/")[2] for item in page["value"]]
            link = urlsplit(page["nextLink"] or "")
            path = f"{link.path}?{link.query}" if page["nextLink"] else ""
        return {version: await self._content(name, version) for version in ids}

    async def _content(self, name: str, version: str) -> Content | None:
        answer = await self.client.secret("GET", f"/secrets/{name}/{version}")
        if answer.status != 200:
            return None
        told = answer.json()
        tags = tuple(told.get("tags", {}).items())
        return Content(told["value"], told.get("contentType", ""), tags, told["attributes"].get("exp", -1))

    async def _must(self, method: str, path: str) -> Answer:
        answer = await self.client.secret(method, path)
        if answer.status != 200:
            raise Unexpected(f"{method} {path} was answered {answer.status} {_code(answer)}")
        return answer


def _body(change: Change) -> dict[str, object] | None:
    content = change.content
    if content is None:
        return None
    told: dict[str, object] = {
        "contentType": content.content_type,
        "tags": dict(content.tags),
        "attributes": {"exp": content.expires_at},
    }
    return told | {"value": content.value} if change.verb == "set" else told


def _code(answer: Answer) -> str:
    try:
        return str(answer.json()["error"]["code"])
    except (ValueError, LookupError, TypeError):
        return ""
