"""Users as they are sent and shown (CCKM contract §6)."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from claviger.cckm.resource import Header
from claviger.core.sensitive import Sensitive


class LoginFlags(msgspec.Struct, frozen=True):
    """Where a user may sign in."""

    prevent_ui_login: bool | None = None


class NewUser(msgspec.Struct, frozen=True, kw_only=True):
    """The body that makes a user."""

    username: str
    password: Sensitive
    name: str = ""
    email: str = ""
    nickname: str = ""
    password_change_required: bool = False
    is_domain_user: bool = False
    login_flags: LoginFlags = LoginFlags()
    app_metadata: dict[str, Any] = {}
    user_metadata: dict[str, Any] = {}


class UserChange(msgspec.Struct, frozen=True, kw_only=True):
    """The body that changes a user; what is left out stays. `failed_logins_count` 0 ends a lock-out."""

    username: str | None = None
    password: Sensitive | None = None
    name: str | None = None
    email: str | None = None
    nickname: str | None = None
    password_change_required: bool | None = None
    failed_logins_count: int | None = None
    login_flags: LoginFlags = LoginFlags()
    app_metadata: dict[str, Any] | None = None
    user_metadata: dict[str, Any] | None = None


class UserShown(Header, frozen=True, kw_only=True):
    """A user. `groups` are those of the domain that the token acts in."""

    user_id: str
    username: str
    name: str
    email: str
    nickname: str
    created: str = msgspec.field(name="created_at")
    updated: str = msgspec.field(name="updated_at")
    last_login: str | None
    failed_logins_count: int
    account_lockout_at: str | None
    password_changed_at: str
    password_change_required: bool
    is_domain_user: bool
    auth_domain: str
    login_flags: LoginFlags
    app_metadata: dict[str, Any] | UnsetType = UNSET
    user_metadata: dict[str, Any] | UnsetType = UNSET
    groups: list[str] | UnsetType = UNSET
