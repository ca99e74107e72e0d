"""A small table of routes of every sort, for tests of what describes the API: none of them does anything."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from claviger.cckm.calls import (
    OWN_PASSWORD,
    PUBLIC,
    SIGNED_IN,
    Answer,
    Call,
    ListOf,
    Parameter,
    Route,
    in_container,
    members,
)
from claviger.cckm.listing import PAGING, Page
from claviger.cckm.resource import Header
from claviger.core.sensitive import Sensitive


class SignIn(msgspec.Struct, frozen=True):
    """What a token is asked for with."""

    grant_type: Literal["password", "refresh_token", "client_credential"] = "password"
    username: str | None = None
    password: str | None = None
    refresh_token: str | None = None


class Token(msgspec.Struct, frozen=True):
    """A token."""

    jwt: str
    duration: int
    token_type: str = "Bearer"  # the word of the wire, no secret
    refresh_token: str | UnsetType = UNSET


class ChangePassword(msgspec.Struct, frozen=True):
    """Old and new."""

    username: str
    password: str
    new_password: Annotated[str, msgspec.Meta(min_length=8, max_length=256)]


class Attributes(msgspec.Struct, frozen=True):
    """What Azure lets be done with a secret."""

    enabled: bool | None = None
    nbf: int | str | None = None
    exp: int | str | None = None
    recoverable_days: Annotated[int, msgspec.Meta(ge=0, le=90)] | None = msgspec.field(
        default=None, name="recoverableDays"
    )


class NewParam(msgspec.Struct, frozen=True):
    """What Azure is to keep."""

    value: str
    content_type: str | None = msgspec.field(default=None, name="contentType")
    tags: dict[str, str] | None = None
    attributes: Attributes | None = None


class CreateSecret(msgspec.Struct, frozen=True):
    """A secret to create."""

    secret_name: Annotated[str, msgspec.Meta(min_length=1, max_length=127, pattern="^[0-9a-zA-Z-]+$")]
    key_vault: str
    azure_param: NewParam


class ShownParam(msgspec.Struct, frozen=True, omit_defaults=True):
    """What Azure keeps."""

    id: str
    managed: bool
    attributes: Attributes
    value: str | UnsetType = UNSET
    tags: dict[str, str] | UnsetType = UNSET


class Secret(Header, frozen=True, kw_only=True):
    """The record of a secret."""

    secret_name: str
    key_vault: str
    key_vault_id: str
    status: Literal["AVAILABLE", "SOFT-DELETED", "DELETED"]
    azure_param: ShownParam
    labels: dict[str, Any] | UnsetType = UNSET


class Acl(msgspec.Struct, frozen=True):
    """An entry of an ACL."""

    permit: bool
    actions: list[str]
    user_id: str | None = None
    group: str | None = None


class UpdateAcls(msgspec.Struct, frozen=True):
    """Entries to add or take away."""

    acls: list[Acl]
    note: Any = None


class Credentials(msgspec.Struct, frozen=True):
    """A secret in a type of ours, and one that says so itself."""

    material: Sensitive
    pin: Annotated[str, msgspec.Meta(extra_json_schema={"format": "password"})]


async def _never(_call: Call) -> Answer:
    raise AssertionError("nobody calls this")


def route(method: Any, path: str, **more: Any) -> Route:
    """A route that needs no more to be said."""
    usual: dict[str, Any] = {"permission": SIGNED_IN, "tag": "Users", "summary": f"{method} {path}", "handler": _never}
    return Route(method=method, path=path, **(usual | more))


def sample_routes() -> list[Route]:
    """One of every sort."""
    secrets, one = "/cckm/azure/secrets", "/cckm/azure/secrets/{id}"
    azure: dict[str, Any] = {"tag": "Azure secrets", "gives": Secret}
    return [
        route(
            "POST",
            "/auth/tokens/",
            permission=PUBLIC,
            tag="Tokens",
            summary="Sign in",
            takes=SignIn,
            gives=Token,
            example={"grant_type": "password", "username": "admin", "password": "$PASSWORD"},
        ),
        route(
            "PATCH",
            "/auth/changepw",
            permission=OWN_PASSWORD,
            tag="Tokens",
            summary="Change the password",
            takes=ChangePassword,
            status=204,
        ),
        route("GET", "/auth/self/user", summary="Who is calling", gives=dict[str, Any]),
        route(
            "GET", "/usermgmt/users", summary="List users", gives=Page, query=PAGING, permission=members("User Admins")
        ),
        route("GET", "/domain/names", summary="Names of domains", gives=list[str]),
        route("POST", "/client-management/credentials", summary="Keep credentials", takes=Credentials, status=201),
        route(
            "GET",
            secrets,
            summary="List secrets",
            description="Every secret that the caller may see, one record for each name and version.",
            permission=in_container("secretview"),
            tag="Azure secrets",
            gives=ListOf[Secret],
            query=(
                *PAGING,
                Parameter("secret_name", description="Name of the secret.", repeated=True),
                Parameter(
                    "status",
                    description="State of the record.",
                    repeated=True,
                    values=("AVAILABLE", "SOFT-DELETED", "DELETED"),
                ),
                Parameter("gone", "boolean", "Whether Azure has it no more."),
            ),
        ),
        route(
            "POST",
            secrets,
            summary="Create a secret",
            description=(
                "Azure gets the value, the server keeps a sealed backup.\n\n"
                "- A name that exists gets a new version.\n- One that is soft-deleted is refused with `409`."
            ),
            permission=in_container("secretcreate"),
            takes=CreateSecret,
            status=201,
            cloud=True,
            **azure,
        ),
        route("GET", one, summary="Read a secret", permission=in_container("secretview"), **azure),
        route(
            "POST",
            f"{one}/hard-delete",
            summary="Purge a secret",
            description="For good. What is in the vault goes, what is in the backup stays.",
            permission=in_container("secretpurge"),
            cloud=True,
            **azure,
        ),
        route(
            "DELETE",
            one,
            summary="Remove a secret",
            permission=in_container("secretdeletebackup"),
            tag="Azure secrets",
            status=204,
        ),
        route(
            "POST",
            "/cckm/azure/vaults/{id}/update-acls",
            summary="Say who may do what",
            permission=members("CCKM Admins"),
            tag="Azure vaults",
            takes=UpdateAcls,
            gives=list[Acl],
        ),
        route("POST", "/cckm/azure/key-templates", summary="Create a template", tag="Azure keys", errors=(501,)),
    ]
