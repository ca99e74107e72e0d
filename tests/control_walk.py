"""Walks every route of a control plane with every kind of caller and token, and says where the gate was wrong.

It takes the table of routes as it is, so a route that is added later is walked without a word here. What a handler does
behind the gate is its own tests' matter; here counts who gets as far, and that nobody gets at another domain's objects.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from jwt.api_jws import PyJWS

from claviger.cckm.access import records as access
from claviger.cckm.access.sessions.operations import holder_of
from claviger.cckm.access.tokens import TokenMaker
from claviger.cckm.access.users.rules import plain_user_id
from claviger.cckm.calls import ADMINS, Route
from claviger.core.ids import new_uuid
from tests.control import PASSWORD, Control, ControlClient, domain_with_admin, quoted, spare

STRANGER = "7b1d2a0c-5f3e-4d55-9a0f-0c9d8e7f6a5b"


@dataclass
class Walk:
    """Two domains with a user in each kind of group of each, and tokens of every state. `real` names objects of the
    first domain: for the paths of a route (without its method), what to put in place of its varying segments."""

    control: Control
    root: ControlClient
    here: str
    there: str
    admins: dict[str, ControlClient]
    real: dict[str, Mapping[str, str]] = field(default_factory=dict)
    people: dict[tuple[str, str], str] = field(default_factory=dict)

    @classmethod
    async def begin(cls, control: Control) -> Walk:
        """Makes the two domains."""
        root = await control.signed_in()
        here, boss = await domain_with_admin(control, root)
        there, other = await domain_with_admin(control, root)
        return cls(control, root, here, there, {here: boss, there: other})

    async def person(self, domain: str, group: str = "") -> str:
        """The id of a user who lives in a domain and is in this group of it, if in any."""
        if (domain, group) not in self.people:
            admin = self.admins[domain]
            made = await admin.accept("POST", "/usermgmt/users", {"username": spare(), "password": PASSWORD})
            if group:
                await admin.accept("POST", f"/usermgmt/groups/{quoted(group)}/users/{made['user_id']}")
            self.people[domain, group] = made["id"]
        return self.people[domain, group]

    async def token(self, user_id: str, domain: str) -> str:
        """A fresh token of a session of its own."""
        maker = TokenMaker(self.control.parts.keys, self.control.clock)
        holder = await self.control.store.write(lambda tx: holder_of(tx, user_id, domain, new_uuid(), new_uuid()))
        assert holder is not None
        return (await maker.issue(holder)).reveal_text()

    async def bad_tokens(self) -> dict[str, str | None]:
        """Tokens of every state that holds nobody in, by what is wrong with them."""
        good = await self.token(await self.person(self.here, ADMINS), self.here)
        head, body, _ = good.split(".")
        header = json.loads(base64.urlsafe_b64decode(head + "=="))
        payload = base64.urlsafe_b64decode(body + "==")
        none = base64.urlsafe_b64encode(json.dumps({**header, "alg": "none"}).encode()).rstrip(b"=").decode()
        stranger = ec.generate_private_key(ec.SECP256R1())
        return {
            "none": None,
            "malformed": "malformed",
            "other key": PyJWS().encode(payload, stranger, "ES256", {"kid": header["kid"]}),
            "alg none": f"{none}.{body}.",
            "expired": await self._expired(),
            "revoked": await self._revoked(),
            "user deleted": await self._of_nobody(),
        }

    async def _expired(self) -> str:
        clock = self.control.clock
        clock.advance(-400)
        token = await self.token(await self.person(self.here, ADMINS), self.here)
        clock.advance(400)
        return token

    async def _revoked(self) -> str:
        token = await self.token(await self.person(self.here, ADMINS), self.here)
        ident = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))["jwtid"]
        until = self.control.clock.now() + 600
        await self.control.store.write(lambda tx: access.revoke(tx, [ident], until))
        return token

    async def _of_nobody(self) -> str:
        boss = self.admins[self.here]
        made = await boss.accept("POST", "/usermgmt/users", {"username": spare(), "password": PASSWORD})
        token = await self.token(made["id"], self.here)
        await boss.accept("DELETE", f"/usermgmt/users/{made['user_id']}")
        return token

    async def must_change(self) -> str:
        """A token of an admin who must change the password first."""
        boss = self.admins[self.here]
        body = {"username": spare(), "password": PASSWORD, "password_change_required": True}
        made = await boss.accept("POST", "/usermgmt/users", body)
        await boss.accept("POST", f"/usermgmt/groups/{ADMINS}/users/{made['user_id']}")
        return await self.token(plain_user_id(made["user_id"]) or "", self.here)

    async def ask(self, route: Route, token: str | None, segments: Mapping[str, str] | None = None) -> tuple[int, Any]:
        """Status and error body (or None) of a call of a route, with an empty body."""
        path = route.path
        for part in route.path.split("/"):
            if part.startswith("{"):
                path = path.replace(part, quoted((segments or {}).get(part[1:-1], STRANGER)))
        body = {} if route.method in ("POST", "PATCH", "PUT") else None
        client = self.control.client(token, address=f"2001:db8::{new_uuid()[:4]}")
        answer = await client.ask(route.method, path, body)
        told = answer.json() if answer.status_code >= 400 else None
        return answer.status_code, told


def name_of(route: Route) -> str:
    """How a route is told in a failure."""
    return f"{route.method} {route.path}"


def is_unbuilt(route: Route) -> bool:
    """Whether a route says that it is not built to whoever may use it."""
    return 501 in (route.status, *route.errors)


def is_turned_away(status: int, told: Any) -> bool:
    """Whether an answer is the gate's, and not the handler's."""
    return status == 401 or (status == 403 and str(told["message"]).startswith("this call is for members of"))


async def wrong_for_bad_tokens(walk: Walk, state: str, token: str | None) -> list[str]:
    """The routes that a token which holds nobody in got into; public ones must answer as to no token at all."""
    wrong = []
    for route in walk.control.routing.routes:
        status, told = await walk.ask(route, token)
        if route.permission.kind == "public":
            if (status, told and told["code"]) != _without(await walk.ask(route, None)):
                wrong.append(f"{name_of(route)}: {status} for a public route with a token that is {state}")
        elif status != 401 or told["code"] != 1:
            wrong.append(f"{name_of(route)}: {status} with a token that is {state}")
    return wrong


def _without(answered: tuple[int, Any]) -> tuple[int, Any]:
    status, told = answered
    return status, told and told["code"]


async def wrong_before_password_change(walk: Walk) -> list[str]:
    """The routes that were wrongly open, or shut, to an admin who must change the password first."""
    wrong = []
    token = await walk.must_change()
    for route in walk.control.routing.routes:
        is_open = route.permission.kind in ("public", "own-password")
        status, told = await walk.ask(route, token)
        if route.path == "/auth/logout":
            token = await walk.must_change()
        if is_open == (status == 403 and "changepw" in told["message"]):
            wrong.append(f"{name_of(route)}: {status} before the password is changed")
    return wrong


async def wrong_for_roles(walk: Walk) -> list[str]:
    """The routes that let in who is in no group that they name, or shut out who is."""
    wrong = []
    everyone = {group for route in walk.control.routing.routes for group in route.permission.groups} | {""}
    for route in walk.control.routing.routes:
        for group in sorted(everyone):
            token = await walk.token(await walk.person(walk.here, group), walk.here)
            may = route.permission.kind != "members" or group in route.permission.groups
            status, told = await walk.ask(route, token)
            if route.permission.kind == "public":
                continue
            if is_turned_away(status, told) == may:
                wrong.append(f"{name_of(route)}: {status} for a member of {group or 'no group'}")
            if route.permission.kind == "container" and "{" in route.path and not group and status < 400:
                wrong.append(f"{name_of(route)}: {status} for somebody whom no container gives anything")
    return wrong


async def wrong_for_foreigners(walk: Walk) -> list[str]:
    """The routes by which an admin of one domain got at an object of another."""
    wrong = []
    for route in walk.control.routing.routes:
        if "{" not in route.path or route.permission.kind == "public":
            continue
        token = await walk.token(await walk.person(walk.there, ADMINS), walk.there)
        status, _ = await walk.ask(route, token, walk.real.get(route.path))
        expected = (404,) if route.method in ("GET", "DELETE") and not is_unbuilt(route) else (400, 403, 404, 501)
        if status not in expected:
            wrong.append(f"{name_of(route)}: {status} for another domain's object")
    return wrong


async def wrong_in_containers(walk: Walk, viewer: str) -> list[str]:
    """The routes by which somebody got at a real object in a container that gives him nothing, or only the view.

    `viewer` is a user who has every `view` there is in the containers of `real`, and no other action.
    """
    wrong = []
    nobody = await walk.person(walk.here)
    for route in walk.control.routing.routes:
        permission, segments = route.permission, walk.real.get(route.path)
        if permission.kind != "container" or segments is None:
            continue
        status, _ = await walk.ask(route, await walk.token(nobody, walk.here), segments)
        if status not in ((404,) if route.method in ("GET", "DELETE") else (400, 404)):
            wrong.append(f"{name_of(route)}: {status} for somebody whom the container gives nothing")
        status, _ = await walk.ask(route, await walk.token(viewer, walk.here), segments)
        only_views = permission.action == permission.view
        if status not in ((200,) if only_views else (403,) if route.method == "DELETE" else (400, 403)):
            wrong.append(f"{name_of(route)}: {status} for somebody whom the container gives only the view")
    return wrong
