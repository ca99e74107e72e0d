"""Plans as they are on the wire."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, UnsetType

from claviger.cckm.planning.rules import LONGEST_PATH

Text = Annotated[str, msgspec.Meta(max_length=LONGEST_PATH)]


class PlanCall(msgspec.Struct, frozen=True, kw_only=True):
    """A call to plan, as it would be sent. `path` may leave out `/api/v1`; `query` is a text or an object."""

    method: Text
    path: Text
    query: Text | dict[str, str | int | bool | list[str]] | None = None
    body: Any = None


class PlanObject(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an effect is on."""

    kind: str = ""
    id: str = ""
    name: str = ""
    container: str = ""


class PlanEffect(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that the call does."""

    effect: str
    message: str
    object: PlanObject
    reversible: bool
    undo: str | None
    undo_until: str | None
    final_in_cloud: bool
    facts: dict[str, Any]


class PlanPermission(msgspec.Struct, frozen=True, kw_only=True):
    """What the caller has to be or to have. `held` is null where the call was refused before it was asked."""

    kind: str
    groups: list[str]
    actions: list[str]
    containers: list[str]
    held: bool | None


class PlanApproval(msgspec.Struct, frozen=True, kw_only=True):
    """Whose consent the call needs beside the caller's."""

    action: str
    container: str
    quorum: int
    agreed: int
    given: bool
    approval_id: str | None
    approvers: str


class PlanRefusal(msgspec.Struct, frozen=True, kw_only=True, rename={"code_desc": "codeDesc"}):
    """How the call would be refused."""

    status: int
    code: int
    code_desc: str
    message: str


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What a call would do. Nothing of it was done."""

    method: str
    path: str
    summary: str
    allowed: bool
    refusal: PlanRefusal | None
    permissions: list[PlanPermission]
    approvals: list[PlanApproval]
    effects: list[PlanEffect]
    irreversible: list[str]
    undo_until: str | None
    status: int | UnsetType = UNSET
