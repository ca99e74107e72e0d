"""What the calls of OCI Identity answer, as on the wire (OCI contract §11)."""

from __future__ import annotations

from typing import Any

import msgspec


class Compartment(msgspec.Struct, rename="camel"):
    """`is_accessible` is told only where accessible ones were asked for."""

    id: str
    compartment_id: str | None
    name: str
    description: str
    time_created: str
    lifecycle_state: str
    inactive_status: int | None = None
    is_accessible: bool | None = None
    freeform_tags: dict[str, str] = {}
    defined_tags: dict[str, dict[str, Any]] = {}


class Tenancy(msgspec.Struct, rename="camel"):
    """A tenancy, with the key of its home region."""

    id: str
    name: str
    description: str
    home_region_key: str
    upi_idcs_compatibility_layer_endpoint: str | None = None
    freeform_tags: dict[str, str] = {}
    defined_tags: dict[str, dict[str, Any]] = {}


class Region(msgspec.Struct, rename="camel"):
    """A region of the realm."""

    key: str
    name: str


class RegionSubscription(msgspec.Struct, rename="camel"):
    """A region that a tenancy uses."""

    region_key: str
    region_name: str
    status: str
    is_home_region: bool


class UserCapabilities(msgspec.Struct, rename="camel"):
    """By which ways a user may sign in: by API keys alone."""

    can_use_console_password: bool = False
    can_use_api_keys: bool = True
    can_use_auth_tokens: bool = False
    can_use_smtp_credentials: bool = False
    can_use_db_credentials: bool = False
    can_use_customer_secret_keys: bool = False
    can_use_o_auth2_client_credentials: bool = msgspec.field(default=False, name="canUseOAuth2ClientCredentials")


class User(msgspec.Struct, rename="camel"):
    """A user; `compartment_id` is the tenancy."""

    id: str
    compartment_id: str
    name: str
    description: str
    time_created: str
    email: str | None = None
    email_verified: bool | None = None
    db_user_name: str | None = None
    identity_provider_id: str | None = None
    external_identifier: str | None = None
    lifecycle_state: str = "ACTIVE"
    inactive_status: int | None = None
    capabilities: UserCapabilities = msgspec.field(default_factory=UserCapabilities)
    is_mfa_activated: bool = False
    last_successful_login_time: str | None = None
    previous_successful_login_time: str | None = None
    freeform_tags: dict[str, str] = {}
    defined_tags: dict[str, dict[str, Any]] = {}


class TagNamespace(msgspec.Struct, rename="camel"):
    """A tag namespace."""

    id: str
    compartment_id: str
    name: str
    description: str
    is_retired: bool
    time_created: str
    lifecycle_state: str = "ACTIVE"
    freeform_tags: dict[str, str] = {}
    defined_tags: dict[str, dict[str, Any]] = {}
    locks: list[Any] | None = None


class Tag(msgspec.Struct, rename="camel"):
    """A tag that a namespace defines."""

    id: str
    compartment_id: str
    name: str
    description: str
    is_retired: bool
    time_created: str
    lifecycle_state: str = "ACTIVE"
    is_cost_tracking: bool = False
    freeform_tags: dict[str, str] = {}
    defined_tags: dict[str, dict[str, Any]] = {}
