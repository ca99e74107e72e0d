"""One vault over plain HTTP, for tests that look at the wire itself: requests as written, answers as they came."""

from __future__ import annotations

import base64
import itertools
import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import httpx

from tests.server import RunningServer

API_VERSION = "7.6"
RESOURCE_AUDIENCE = "https://vault.azure.net"
_SPARE = itertools.count(1)


class VaultClient:
    """Speaks to one vault of a running server as one application, or as nobody (`token` None).

    `token` may be what gives one that still holds: such a client may be used for longer than one does.
    """

    def __init__(
        self, server: RunningServer, name: str, http: httpx.Client, token: str | Callable[[], str] | None
    ) -> None:
        self.server = server
        self.name = name
        self._token = token
        self._http = http

    @property
    def token(self) -> str | None:
        """The token that is sent now."""
        return self._token() if callable(self._token) else self._token

    @property
    def host(self) -> str:
        """The Host header's value."""
        return f"{self.name}.vault.localhost:{self.server.port}"

    @property
    def url(self) -> str:
        """The vault's base URL."""
        return f"https://{self.host}"

    def as_caller(self, token: str | None) -> VaultClient:
        """The same vault for another caller."""
        return VaultClient(self.server, self.name, self._http, token)

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        content: bytes | str | Iterator[bytes] | None = None,
        version: str | None = API_VERSION,
        headers: Mapping[str, str] | None = None,
        **query: Any,
    ) -> httpx.Response:
        """One request. `body` is sent as JSON, `content` as it is; `version` None leaves api-version away."""
        sent: dict[str, str] = {}
        token = self.token
        if token is not None:
            sent["Authorization"] = f"Bearer {token}"
        if body is not None:
            content = json.dumps(body)
        if content is not None:
            sent["Content-Type"] = "application/json"
        sent |= dict(headers or {})
        asked = {"api-version": version, **query} if version is not None else query
        url = path if path.startswith("https://") else self.url + path
        return self._http.request(method, url, params=asked or None, content=content, headers=sent)

    def follow(self, link: str) -> httpx.Response:
        """A GET of a whole URL exactly as the server gave it."""
        return self._http.get(link, headers={"Authorization": f"Bearer {self.token}"})

    def put(self, name: str, value: str = "value", *, version: str = API_VERSION, **more: Any) -> Any:
        """Sets a secret; the bundle."""
        return accepted(self.ask("PUT", f"/secrets/{name}", {"value": value, **more}, version=version))

    def get(self, name: str, of: str = "", *, version: str = API_VERSION) -> Any:
        """The bundle of a version, of the latest where none is named."""
        return accepted(self.ask("GET", f"/secrets/{name}/{of}", version=version))

    def patch(self, name: str, of: str = "", **body: Any) -> Any:
        """Updates a version; the bundle."""
        return accepted(self.ask("PATCH", f"/secrets/{name}/{of}", body))

    def delete(self, name: str) -> Any:
        """Deletes a secret; the bundle."""
        return accepted(self.ask("DELETE", f"/secrets/{name}"))

    def deleted(self, name: str) -> Any:
        """A deleted secret's bundle."""
        return accepted(self.ask("GET", f"/deletedsecrets/{name}"))

    def recover(self, name: str) -> Any:
        """Recovers a deleted secret; the bundle."""
        return accepted(self.ask("POST", f"/deletedsecrets/{name}/recover"))

    def purge(self, name: str) -> None:
        """Purges a deleted secret."""
        answer = self.ask("DELETE", f"/deletedsecrets/{name}")
        assert answer.status_code == 204, answer.text

    def backup(self, name: str) -> str:
        """The blob, as it stands on the wire."""
        return str(accepted(self.ask("POST", f"/secrets/{name}/backup"))["value"])

    def restore(self, blob: str) -> Any:
        """Restores a blob; the bundle."""
        return accepted(self.ask("POST", "/secrets/restore", {"value": blob}))

    def pages(self, path: str, **query: Any) -> Iterator[list[Any]]:
        """All pages of a listing, by following the links."""
        page = accepted(self.ask("GET", path, **query))
        yield page["value"]
        followed = set()
        while page["nextLink"] is not None:
            assert page["nextLink"] not in followed, "the links lead in a circle"
            followed.add(page["nextLink"])
            page = accepted(self.follow(page["nextLink"]))
            yield page["value"]

    def listed(self, path: str = "/secrets", **query: Any) -> list[Any]:
        """All items of a listing."""
        return [item for page in self.pages(path, **query) for item in page]

    def versions(self, name: str) -> list[Any]:
        """All versions of a secret."""
        return self.listed(f"/secrets/{name}/versions")

    def everything(self) -> Any:
        """All that the vault shows of what it holds, values included: equal before and after means nothing changed."""
        live = self.listed()
        versions = {item["id"]: self.versions(name_of(item)) for item in live}
        bundles = [
            self.ask("GET", f"/secrets/{name_of(item)}/{version_of(item)}").json()
            for items in versions.values()
            for item in items
        ]
        return live, versions, bundles, self.listed("/deletedsecrets")


def accepted(answer: httpx.Response) -> Any:
    """The JSON of an answer that must be a 200."""
    assert answer.status_code == 200, f"{answer.status_code} {answer.text}"
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    return answer.json()


def refused(
    answer: httpx.Response, status: int, code: str, message: str | None = None, *, inner: str | None = None
) -> str:
    """Checks a refusal to the letter; `message` is a pattern for the whole of it. Returns the message."""
    assert answer.status_code == status, f"{answer.status_code} {answer.text}"
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    error = answer.json()["error"]
    told = str(error["message"])
    expected: dict[str, Any] = {"code": code, "message": told}
    if inner is not None:
        expected["innererror"] = {"code": inner}
    assert answer.json() == {"error": expected}
    if message is not None:
        assert re.fullmatch(message, told, re.DOTALL), told
    return told


def turned_away(answer: httpx.Response) -> None:
    """Checks that bad input got a 4xx with an error of the Key Vault's form."""
    assert 400 <= answer.status_code < 500, f"{answer.status_code} {answer.text}"
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    error = answer.json()["error"]
    assert answer.json().keys() == {"error"}
    assert isinstance(error["code"], str)
    assert error["code"]
    assert isinstance(error["message"], str)
    assert error["message"]


def name_of(bundle: Any) -> str:
    """The secret's name in an item's or bundle's id."""
    return str(bundle["id"]).split("/")[4]


def version_of(bundle: Any) -> str:
    """The version in a bundle's id."""
    return str(bundle["id"]).split("/")[5]


def spare_name(prefix: str = "s") -> str:
    """A name that no other test uses: letters, digits and hyphens, good for vaults and secrets."""
    return f"{prefix}-{next(_SPARE)}"


def unpadded(data: bytes) -> str:
    """Base64url as the wire has it."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def from_unpadded(text: str) -> bytes:
    """The bytes of base64url without padding."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
