"""Tokens, refresh tokens and changes of passwords, as they are sent and shown (CCKM contract §2.2, §2.3)."""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

from claviger.cckm.resource import Header
from claviger.core.sensitive import Sensitive

LOCAL = "local_account"


class TokenRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The body of a sign-in. Without `grant_type` it is `password`. Life and limit are in minutes; 0 is the default."""

    grant_type: Literal["password", "refresh_token", "client_credential", "client_credentials"] = "password"
    username: str | None = None
    password: Sensitive | None = None
    connection: str = LOCAL
    domain: str | None = None
    auth_domain: str | None = None
    auth_domain_path: str | None = None
    refresh_token: Sensitive | None = None
    renew_refresh_token: bool = False
    refresh_token_lifetime: int | None = None
    refresh_token_revoke_unused_in: int | None = None
    client_id: str | None = None
    client_secret: Sensitive | None = None
    client_credential: Sensitive | None = None


class TokenAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """An access token, and where there is one its refresh token. `duration` is in seconds."""

    jwt: str
    duration: int
    token_type: str
    client_id: str
    refresh_token_id: str | UnsetType = UNSET
    refresh_token: str | UnsetType = UNSET
    refresh_token_expires_in: int | UnsetType = UNSET
    password_change_required: bool | UnsetType = UNSET

    def __repr__(self) -> str:
        return "<tokens>"


class RefreshTokenShown(Header, frozen=True, kw_only=True):
    """A refresh token without the token itself. `expires_at` is when it ends if it is not used before."""

    user_id: str
    domain_id: str
    client_id: str
    session_id: str
    last_used_at: str
    expires_at: str
    revoke_unused_in: int | None


class Revocation(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be taken back: a refresh token with its session, an access token, or a refresh token by its id."""

    refresh_token: Sensitive | None = None
    jwt: Sensitive | None = None
    token: Sensitive | None = None
    refresh_token_id: str | None = None


class PasswordChange(msgspec.Struct, frozen=True, kw_only=True):
    """A new password for whoever knows the old one. `username` may be left out by whoever is signed in."""

    password: Sensitive
    new_password: Sensitive
    username: str | None = None
    domain: str | None = None
    auth_domain: str | None = None
    auth_domain_path: str | None = None
    connection: str = LOCAL
