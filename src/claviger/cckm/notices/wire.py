"""Notices on the wire: subscriptions and deliveries of the API, the event that a receiver gets, and what it carries.

The structs of data are the promise to receivers: fields are added, never renamed or taken away. None of them has room
for a value of a secret.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, UnsetType

from claviger.cckm.resource import Header
from claviger.core.sensitive import Sensitive


class NewNoticeSubscription(msgspec.Struct, frozen=True, kw_only=True):
    """The body that makes a subscription. Without a secret one is made, and shown in that answer alone."""

    url: str
    types: list[str] = []
    secret: Sensitive | None = None
    disabled: bool = False
    description: str = ""
    ca_certificate: str = ""
    expiry_days: list[int] | None = None
    final_days: list[int] | None = None


class NoticeSubscriptionChange(msgspec.Struct, frozen=True, kw_only=True):
    """The body that changes a subscription; what is left out stays.

    `types` [] is all; `ca_certificate` "system" is the machine's own trust; `new_secret` makes a secret and shows it.
    """

    url: str | None = None
    types: list[str] | None = None
    secret: Sensitive | None = None
    new_secret: bool = False
    disabled: bool | None = None
    description: str | None = None
    ca_certificate: str | None = None
    expiry_days: list[int] | None = None
    final_days: list[int] | None = None


class NoticeSubscription(Header, frozen=True, kw_only=True):
    """A subscription. `secret` is there once, in the answer to the call that made it. `types` empty: all.

    `waiting` counts notices not delivered yet, `dropped` those that found no room. Nothing is sent before `resumes_at`.
    """

    url: str
    types: list[str]
    disabled: bool
    disabled_reason: str
    description: str
    ca_certificate: str
    expiry_days: list[int]
    final_days: list[int]
    waiting: int
    dropped: int
    resumes_at: str | None
    last_delivered_at: str | None
    last_failed_at: str | None
    last_error: str
    secret: Annotated[str, msgspec.Meta(extra_json_schema={"format": "password"})] | UnsetType = UNSET


class NoticeDelivery(Header, frozen=True, kw_only=True):
    """One notice on its way to one subscription. `notice_id` is the event's id, the same over all attempts."""

    subscription_id: str
    notice_id: str
    type: str
    subject: str
    object_key: str
    data: msgspec.Raw
    state: Literal["waiting", "delivered", "dead"]
    attempts: int
    next_attempt_at: str | None
    last_status: int | None
    last_error: str
    ended_at: str | None


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """A CloudEvent 1.0 in the JSON format, as receivers get it."""

    specversion: str = "1.0"
    id: str
    source: str
    type: str
    subject: str
    time: str
    datacontenttype: str = "application/json"
    data: msgspec.Raw


class _OfSecret(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Which version of a secret, or which key or version of one, a notice is about.

    `id` is of its record, `vault` the name of the vault's record. A version of a key has the key's name.
    """

    cloud: str
    id: str
    name: str
    version: str = ""
    vault: str
    vault_id: str


class NearExpiry(_OfSecret, frozen=True, kw_only=True):
    """The newest version of a secret expires at `expires_at`, in at most `days` days."""

    expires_at: str
    days: int


class NearFinalDeletion(_OfSecret, frozen=True, kw_only=True):
    """A soft-deleted secret can be recovered, and a key's deletion cancelled, until `final_at`: `days` days at most."""

    final_at: str
    days: int


class Drift(_OfSecret, frozen=True, kw_only=True):
    """A secret or key is not in its cloud as known: `change` is `missing`, `new` or `different`, then in `fields`."""

    change: str
    fields: list[str] = []
    since: str
    job_id: str = ""


class DeletionScheduled(_OfSecret, frozen=True, kw_only=True):
    """Somebody has had the cloud delete a key, or a version of one, at `final_at`; until then it can be cancelled."""

    final_at: str
    by: str


class DeletionCancelled(_OfSecret, frozen=True, kw_only=True):
    """Somebody has had the cloud keep a key, or a version of one, that was to be deleted."""

    by: str


class Rotated(_OfSecret, frozen=True, kw_only=True):
    """A key has a new current version, `version`. `origin`: `native`, or `cckm` where it was uploaded from here."""

    origin: str
    by: str


class FailedRotation(_OfSecret, frozen=True, kw_only=True):
    """A key should have been given a new version, and was not."""

    by: str
    reason: str


class Brake(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A synchronisation stopped before it marked too large a share of a vault's secrets gone. Nothing was marked."""

    cloud: str
    vault: str
    vault_id: str
    job_id: str
    would_be_gone: int
    known: int
    allowed_percent: int


class FailedJob(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A job ended as failed."""

    job_id: str
    kind: str
    name: str = ""
    message: str
    started_at: str = ""
    ended_at: str


class RefusedPurge(_OfSecret, frozen=True, kw_only=True):
    """Somebody asked to delete a secret for good and was refused."""

    by: str
    reason: str


class ApprovalWanted(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An operation waits for approval by others than who asked for it."""

    approval_id: str
    action: str
    by: str
    lapses_at: str
    id: str = ""
    name: str = ""
    vault: str = ""


class Test(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody tries a subscription out."""

    message: str = "This is a test of a subscription to notices."
    by: str
