"""Signing in and out over HTTP: /v1/auth/tokens, revoke, logout, changepw (CCKM contract §2)."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import UNSET

from claviger.cckm.access.sessions.lines import Sessions
from claviger.cckm.access.sessions.operations import Granted, Life, SignIn, Where
from claviger.cckm.access.sessions.records import SORTED, Line
from claviger.cckm.access.sessions.wire import (
    LOCAL,
    PasswordChange,
    RefreshTokenShown,
    Revocation,
    TokenAnswer,
    TokenRequest,
)
from claviger.cckm.access.tokens import LIFETIME_S
from claviger.cckm.access.users.rules import plain_user_id, shown_user_id
from claviger.cckm.calls import OWN_PASSWORD, PUBLIC, SIGNED_IN, Answer, Call, ListOf, Parameter, Route
from claviger.cckm.errors import validation
from claviger.cckm.listing import PAGING, Page, sort_of, window_of
from claviger.cckm.resource import header, timestamp
from claviger.core.clock import Clock

TAG = "Tokens"
PATH = "/auth/tokens"


class SessionRoutes:
    """The routes of tokens. `clock` is the machine's."""

    def __init__(self, sign_in: SignIn, sessions: Sessions, clock: Clock) -> None:
        self._sign_in = sign_in
        self._sessions = sessions
        self._clock = clock

    def routes(self) -> list[Route]:
        """All of them."""
        return [*self._tokens(), *self._ending()]

    def _tokens(self) -> list[Route]:
        one = f"{PATH}/{{id}}"
        return [
            Route(
                method="POST",
                path=PATH,
                handler=self._issue,
                permission=PUBLIC,
                tag=TAG,
                summary="Sign in",
                description=(
                    "By password, refresh token, or client credential. The access token is good for five minutes. With "
                    "`password_change_required` in the answer it may only be used to change the password. A refresh "
                    "token lives a day unless `refresh_token_lifetime` (minutes, up to 30 days) says otherwise."
                ),
                takes=TokenRequest,
                gives=TokenAnswer,
                errors=(401, 429, 503),
                example={"username": "admin", "password": "$PASSWORD"},
            ),
            Route(
                method="GET",
                path=PATH,
                handler=self._list,
                permission=SIGNED_IN,
                tag=TAG,
                summary="List refresh tokens",
                description="One's own; members of `admin` see those of the whole domain.",
                gives=ListOf[RefreshTokenShown],
                query=(*PAGING, Parameter("user_id", description="Only those of this user.")),
            ),
            Route(
                method="GET",
                path=one,
                handler=self._get,
                permission=SIGNED_IN,
                tag=TAG,
                summary="Read a refresh token",
                description="What is known of it; the token itself is shown once, at sign-in.",
                gives=RefreshTokenShown,
                errors=(404,),
            ),
            Route(
                method="DELETE",
                path=one,
                handler=self._delete,
                permission=SIGNED_IN,
                tag=TAG,
                summary="Delete a refresh token",
                description="Ends its whole session.",
                status=204,
                errors=(404,),
            ),
        ]

    def _ending(self) -> list[Route]:
        return [
            Route(
                method="POST",
                path="/auth/revoke",
                handler=self._revoke,
                permission=SIGNED_IN,
                tag=TAG,
                summary="Revoke a token",
                description=(
                    "A refresh token with its session, or one access token. What is no such token, or no longer one, "
                    "changes nothing."
                ),
                takes=Revocation,
                status=204,
                example={"refresh_token": "$REFRESH_TOKEN"},
                errors=(404,),
            ),
            Route(
                method="POST",
                path="/auth/logout",
                handler=self._log_out,
                permission=OWN_PASSWORD,
                tag=TAG,
                summary="Log out",
                description="Ends the session of the token that this is asked with.",
                status=204,
            ),
            Route(
                method="PATCH",
                path="/auth/changepw",
                handler=self._change_password,
                permission=PUBLIC,
                tag=TAG,
                summary="Change a password",
                description=(
                    "By whoever knows the old one, with or without a token; with one, `username` may be left out. All "
                    "sessions of the user end, this one too."
                ),
                takes=PasswordChange,
                status=204,
                errors=(401, 429, 503),
                example={"username": "admin", "password": "$OLD_PASSWORD", "new_password": "$PASSWORD"},
            ),
        ]

    async def _issue(self, call: Call) -> Answer:
        asked = call.body(TokenRequest)
        _check_connection(asked.connection)
        if asked.grant_type == "password":
            if asked.username is None or asked.password is None:
                missing = {"username": asked.username, "password": asked.password}
                raise validation({field: "is required" for field, value in missing.items() if value is None})
            granted = await self._sign_in.by_password(
                asked.username,
                asked.password,
                Where(asked.domain, asked.auth_domain, asked.auth_domain_path),
                Life(asked.refresh_token_lifetime, asked.refresh_token_revoke_unused_in),
                call.address,
            )
        elif asked.grant_type == "refresh_token":
            if asked.refresh_token is None:
                raise validation({"refresh_token": "is required"})
            granted = await self._sign_in.by_refresh_token(asked.refresh_token, renew=asked.renew_refresh_token)
        else:
            secret = asked.client_secret or asked.client_credential
            if asked.client_id is None or secret is None:
                raise validation({"client_id": "is required, with client_secret"})
            granted = await self._sign_in.by_client(asked.client_id, secret, call.address)
        return Answer(self._answered(granted))

    def _answered(self, granted: Granted) -> TokenAnswer:
        line, renewed = granted.line, granted.refresh_token
        return TokenAnswer(
            jwt=granted.jwt.reveal_text(),
            duration=LIFETIME_S,
            token_type="Bearer",  # noqa: S106 - the word of RFC 6750
            client_id=granted.client_id,
            refresh_token_id=UNSET if line is None else line.id,
            refresh_token=UNSET if renewed is None else renewed.reveal_text(),
            refresh_token_expires_in=UNSET if line is None else max(0, int(line.ends_at() - self._clock.now())),
            password_change_required=True if granted.must_change_password else UNSET,
        )

    async def _list(self, call: Call) -> Answer:
        window = window_of(call.query)
        order = sort_of(call.query, SORTED, "-created_at")
        asked = call.query.one("user_id")
        user_id = None if asked is None else plain_user_id(asked) or ""
        total = await self._sessions.count(call.caller, user_id)
        count = window.count_of(total)
        found: Sequence[Line] = ()
        if count:
            found = await self._sessions.listed(call.caller, user_id, order, window.skip, count)
        return Answer(Page(window.skip, window.limit, total, [_shown(line) for line in found]))

    async def _get(self, call: Call) -> Answer:
        return Answer(_shown(await self._sessions.get(call.caller, call.params["id"])))

    async def _delete(self, call: Call) -> Answer:
        await self._sessions.end(call.caller, call.params["id"])
        return Answer(status=204)

    async def _revoke(self, call: Call) -> Answer:
        asked = call.body(Revocation)
        token = asked.jwt or asked.token
        if asked.refresh_token is None and token is None and asked.refresh_token_id is None:
            raise validation({"refresh_token": "give it, or jwt, or refresh_token_id"})
        if asked.refresh_token is not None:
            await self._sessions.revoke_refresh_token(asked.refresh_token)
        if token is not None:
            await self._sessions.revoke_access_token(token)
        if asked.refresh_token_id is not None:
            await self._sessions.end(call.caller, asked.refresh_token_id)
        return Answer(status=204)

    async def _log_out(self, call: Call) -> Answer:
        await self._sessions.log_out(call.caller)
        return Answer(status=204)

    async def _change_password(self, call: Call) -> Answer:
        asked = call.body(PasswordChange)
        _check_connection(asked.connection)
        await self._sign_in.change_password(
            None if call.is_anonymous else call.caller,
            asked.username,
            asked.password,
            asked.new_password,
            Where(asked.domain, asked.auth_domain, asked.auth_domain_path),
            call.address,
        )
        return Answer(status=204)


def _check_connection(connection: str) -> None:
    if connection != LOCAL:
        raise validation({"connection": f"there is no identity connection but {LOCAL} on this server"})


def _shown(line: Line) -> RefreshTokenShown:
    return RefreshTokenShown(
        **header("auth", "refresh-tokens", line.id, "", line.domain_id, line.created_at, line.used_at),
        user_id=shown_user_id(line.user_id),
        domain_id=line.domain_id,
        client_id=line.client_id,
        session_id=line.session_id,
        last_used_at=timestamp(line.used_at),
        expires_at=timestamp(line.ends_at()),
        revoke_unused_in=None if line.unused_limit_s is None else line.unused_limit_s // 60,
    )
