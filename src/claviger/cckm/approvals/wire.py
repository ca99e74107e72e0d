"""Requests for approval as they are on the wire."""

from __future__ import annotations

from typing import Annotated

import msgspec

from claviger.cckm.approvals.rules import LONGEST_REASON
from claviger.cckm.resource import Header


class ApprovalObject(msgspec.Struct, frozen=True, kw_only=True):
    """What a request is about, and where that lies."""

    kind: str
    id: str
    name: str
    container_id: str
    container: str


class ApprovalVote(msgspec.Struct, frozen=True, kw_only=True):
    """What one person said to a request."""

    user_id: str
    username: str
    agrees: bool
    reason: str
    voted_at: str


class ApprovalShown(Header, frozen=True, kw_only=True):
    """A request for approval. `agreed` counts who asks too; `to_approve` says whether the caller's vote is awaited."""

    state: str
    action: str
    message: str
    method: str
    path: str
    object: ApprovalObject
    requested_by: str
    requested_by_name: str
    quorum: int
    agreed: int
    votes: list[ApprovalVote]
    to_approve: bool
    lapses_at: str
    ended_at: str | None
    reason: str


class RefuseApproval(msgspec.Struct, frozen=True, kw_only=True):
    """Why somebody refuses."""

    reason: Annotated[str, msgspec.Meta(max_length=LONGEST_REASON)]
