"""Requests and answers about connections, exactly as they stand on the wire (CCKM contract, common §7)."""

from __future__ import annotations

import msgspec
from msgspec import UNSET, UnsetType

from claviger.cckm.connections.wire import CommonIn, CommonOut
from claviger.core.sensitive import Sensitive


class AzureConnectionIn(CommonIn, frozen=True, kw_only=True):
    """The body of POST, of PATCH and of a test. Which fields are required depends on the call and on one another."""

    client_id: str | UnsetType = UNSET
    tenant_id: str | UnsetType = UNSET
    client_secret: Sensitive | UnsetType = UNSET
    cloud_name: str | UnsetType = UNSET
    is_certificate_used: bool | UnsetType = UNSET
    cert_duration: int | UnsetType = UNSET
    certificate: str | UnsetType = UNSET
    active_directory_endpoint: str | UnsetType = UNSET
    management_url: str | UnsetType = UNSET
    resource_manager_url: str | UnsetType = UNSET
    key_vault_dns_suffix: str | UnsetType = UNSET
    vault_resource_url: str | UnsetType = UNSET
    azure_stack_server_cert: str | UnsetType = UNSET
    azure_stack_connection_type: str | UnsetType = UNSET


class AzureConnectionOut(CommonOut, frozen=True, kw_only=True):
    """A connection to Azure. `certificate` is its public half; a secret is never shown."""

    client_id: str
    tenant_id: str
    is_certificate_used: bool
    external_certificate_used: bool
    cert_duration: int | UnsetType = UNSET
    certificate: str | UnsetType = UNSET
    certificate_thumbprint: str | UnsetType = UNSET
    active_directory_endpoint: str | UnsetType = UNSET
    management_url: str | UnsetType = UNSET
    resource_manager_url: str | UnsetType = UNSET
    key_vault_dns_suffix: str | UnsetType = UNSET
    vault_resource_url: str | UnsetType = UNSET
    azure_stack_server_cert: str | UnsetType = UNSET
    azure_stack_connection_type: str | UnsetType = UNSET


class SubjectIn(msgspec.Struct, frozen=True, kw_only=True):
    """A part of the subject of a request."""

    country: str = msgspec.field(default="", name="C")
    state: str = msgspec.field(default="", name="ST")
    locality: str = msgspec.field(default="", name="L")
    organization: str = msgspec.field(default="", name="O")
    unit: str = msgspec.field(default="", name="OU")


class CsrIn(msgspec.Struct, frozen=True, kw_only=True):
    """What a certificate signing request shall say. Everything has a default."""

    cn: str = "claviger"
    algorithm: str = "RSA"
    size: int = 2048
    names: list[SubjectIn] = msgspec.field(default_factory=list)


class CsrOut(msgspec.Struct, frozen=True):
    """The request, in PEM (PKCS #10)."""

    csr: str
