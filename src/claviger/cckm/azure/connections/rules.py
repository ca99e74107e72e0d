"""What a connection to Azure is, where each of the clouds is found, and which fields and URLs are allowed. Pure.

A connection names a cloud; any of the cloud's addresses may be given by the connection instead. The embedded Azure is a
connection whose addresses are all given.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

from claviger.core.sensitive import Sensitive

AZURE = "azure"
AZURE_STACK = "AzureStack"
DEFAULT_CLOUD = "AzureCloud"
DEFAULT_CERT_DAYS = 730
MOST_CERT_DAYS = 3650
MOST_NAME = 256
MOST_TEXT = 1024
MOST_PEM = 32 * 1024
MOST_PAIRS = 64

_LABELS = r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)*[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_PORT = r"(?::[1-9][0-9]{0,4})?"
_ORIGIN = re.compile(rf"https://{_LABELS}{_PORT}/?", re.IGNORECASE)
_AUDIENCE = re.compile(rf"https://{_LABELS}{_PORT}(?:/[A-Za-z0-9._~/-]*)?", re.IGNORECASE)
_SUFFIX = re.compile(rf"\.?{_LABELS}{_PORT}")
_TENANT = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,254}")
_CLIENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,127}")
_NAME = re.compile(r"[^\x00-\x1f\x7f/?#]+")
_VAULT_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,125}[A-Za-z0-9])?")
_HOST = re.compile(r"https://([^/?#@\\]+)/?", re.IGNORECASE)


class Endpoints(msgspec.Struct, frozen=True):
    """Where a cloud is found. `login`, `arm` and audiences are URLs without a slash at their end.

    `vault_suffix` is what follows a vault's name and a dot; it may carry a port. `own_vaults` tells that the connection
    gave it, so that a vault's address follows from its name.
    """

    login: str
    arm: str
    arm_audience: str
    vault_suffix: str
    vault_audience: str
    own_vaults: bool = False


CLOUDS: Mapping[str, Endpoints] = {
    "AzureCloud": Endpoints(
        "https://login.microsoftonline.com",
        "https://management.azure.com",
        "https://management.azure.com",
        "vault.azure.net",
        "https://vault.azure.net",
    ),
    "AzureChinaCloud": Endpoints(
        "https://login.chinacloudapi.cn",
        "https://management.chinacloudapi.cn",
        "https://management.chinacloudapi.cn",
        "vault.azure.cn",
        "https://vault.azure.cn",
    ),
    "AzureUSGovernment": Endpoints(
        "https://login.microsoftonline.us",
        "https://management.usgovcloudapi.net",
        "https://management.core.usgovcloudapi.net",
        "vault.usgovcloudapi.net",
        "https://vault.usgovcloudapi.net",
    ),
    # Closed since 2021; connections of old installations still name it.
    "AzureGermanCloud": Endpoints(
        "https://login.microsoftonline.de",
        "https://management.microsoftazure.de",
        "https://management.microsoftazure.de",
        "vault.microsoftazure.de",
        "https://vault.microsoftazure.de",
    ),
    # Every installation of Azure Stack has addresses of its own; without them there is nothing to reach.
    AZURE_STACK: Endpoints("", "", "", "", ""),
}

OF_AZURE_STACK = (
    "active_directory_endpoint",
    "management_url",
    "resource_manager_url",
    "key_vault_dns_suffix",
    "vault_resource_url",
)


class AzureDetails(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """All that a connection says of itself, without its secrets. `certificate` is the public half, in PEM."""

    client_id: str
    tenant_id: str
    cloud_name: str = DEFAULT_CLOUD
    description: str = ""
    meta: dict[str, object] = msgspec.field(default_factory=dict)
    labels: dict[str, object] = msgspec.field(default_factory=dict)
    products: list[str] = msgspec.field(default_factory=lambda: ["cckm"])
    is_certificate_used: bool = False
    cert_duration: int = 0
    certificate: str = ""
    certificate_thumbprint: str = ""
    external_certificate_used: bool = False
    active_directory_endpoint: str = ""
    management_url: str = ""
    resource_manager_url: str = ""
    key_vault_dns_suffix: str = ""
    vault_resource_url: str = ""
    azure_stack_server_cert: str = ""
    azure_stack_connection_type: str = ""


class Credentials(msgspec.Struct, frozen=True):
    """What a connection proves itself with: a client secret, or a private key in PEM beside its certificate."""

    client_secret: Sensitive | None = None
    private_key: Sensitive | None = None


class Connection(msgspec.Struct, frozen=True, kw_only=True):
    """A stored connection. `revision` grows with each change of credentials or addresses. Times are epoch seconds."""

    id: str
    domain_id: str
    name: str
    service: str = AZURE
    cloud_name: str
    details: AzureDetails
    revision: int
    created_at: float
    updated_at: float
    last_connection_ok: bool | None = None
    last_connection_error: str | None = None
    last_connection_at: float | None = None


def endpoints_of(details: AzureDetails) -> Endpoints:
    """The cloud's addresses, with those that the connection gives in their place."""
    cloud = CLOUDS[details.cloud_name]
    arm = _trimmed(details.resource_manager_url) or cloud.arm
    own_arm = _trimmed(details.resource_manager_url)
    return Endpoints(
        login=_trimmed(details.active_directory_endpoint) or cloud.login,
        arm=arm,
        arm_audience=_trimmed(details.management_url) or own_arm or cloud.arm_audience,
        vault_suffix=details.key_vault_dns_suffix.lstrip(".") or cloud.vault_suffix,
        vault_audience=_trimmed(details.vault_resource_url) or cloud.vault_audience,
        own_vaults=bool(details.key_vault_dns_suffix),
    )


def _trimmed(url: str) -> str:
    return url.rstrip("/")


def is_vault_name(text: str) -> bool:
    """Whether this can be the name of a vault, and so one label of its host."""
    return _VAULT_NAME.fullmatch(text) is not None


def host_of(url: str) -> str | None:
    """Host and port of an https URL that has nothing else, in lower case; None for any other text."""
    found = _HOST.fullmatch(url)
    return found[1].lower().removesuffix(":443") if found else None


def problems_of(name: str | None, details: AzureDetails) -> dict[str, str]:
    """What is wrong with a connection's fields, by field. `name` is None where it is not being given."""
    found: dict[str, str] = {}
    if name is not None and (len(name) > MOST_NAME or not _NAME.fullmatch(name) or name != name.strip()):
        found["name"] = f"may have up to {MOST_NAME} characters, none of them /, ? or #, and no space at either end"
    if not _TENANT.fullmatch(details.tenant_id):
        found["tenant_id"] = "must be a tenant's id or domain name"
    if not _CLIENT.fullmatch(details.client_id):
        found["client_id"] = "must be an application's id"
    if details.cloud_name not in CLOUDS:
        found["cloud_name"] = f"must be one of {', '.join(CLOUDS)}"
    for field in ("active_directory_endpoint", "resource_manager_url"):
        if getattr(details, field) and not _is_url(_ORIGIN, getattr(details, field)):
            found[field] = "must be https:// with a host and perhaps a port, and nothing else"
    for field in ("management_url", "vault_resource_url"):
        if getattr(details, field) and not _is_url(_AUDIENCE, getattr(details, field)):
            found[field] = "must be an https:// URL without a user, a query or a fragment"
    suffix = details.key_vault_dns_suffix
    if suffix and not _is_url(_SUFFIX, suffix):
        found["key_vault_dns_suffix"] = "must be the domain below which vaults are named, and perhaps a port"
    return found | _sizes(details) | _of_azure_stack(details)


def _is_url(pattern: re.Pattern[str], text: str) -> bool:
    if len(text) > MOST_TEXT or not pattern.fullmatch(text):
        return False
    port = text.removeprefix("https://").partition("/")[0].rpartition(":")[2]
    return not port.isdigit() or int(port) <= 65535


def _sizes(details: AzureDetails) -> dict[str, str]:
    found = {}
    if len(details.description) > MOST_TEXT:
        found["description"] = f"may have up to {MOST_TEXT} characters"
    if len(details.azure_stack_server_cert) > MOST_PEM:
        found["azure_stack_server_cert"] = f"may have up to {MOST_PEM} characters"
    for field in ("meta", "labels"):
        if len(getattr(details, field)) > MOST_PAIRS:
            found[field] = f"may have up to {MOST_PAIRS} entries"
    if len(details.products) > MOST_PAIRS or any(len(word) > MOST_TEXT for word in details.products):
        found["products"] = f"may be up to {MOST_PAIRS} words"
    return found


def _of_azure_stack(details: AzureDetails) -> dict[str, str]:
    found = {}
    kind = details.azure_stack_connection_type
    if kind and kind not in ("AAD", "ADFS"):
        found["azure_stack_connection_type"] = "must be AAD or ADFS"
    elif kind == "ADFS":
        # The official identity library asks for tokens at /oauth2/v2.0/token, which AD FS does not promise to have.
        found["azure_stack_connection_type"] = "ADFS is not supported; use AAD"
    if details.cloud_name == AZURE_STACK:
        for field in OF_AZURE_STACK:
            if not getattr(details, field):
                found[field] = "is required for AzureStack"
    return found


def is_duration(days: int) -> bool:
    """Whether a certificate may be good for so many days."""
    return 1 <= days <= MOST_CERT_DAYS


def check_credentials(secret: bool, own: bool, external: bool, cloud_name: str) -> dict[str, str]:
    """What is wrong with the choice of credentials (§7.3): exactly one of three, and a secret for Azure Stack."""
    if cloud_name == AZURE_STACK and not secret:
        return {"client_secret": "is required for AzureStack"}
    if secret + own + external == 0:
        return {"client_secret": "is required, unless is_certificate_used is true or a certificate is given"}
    if secret + own + external > 1:
        return {"client_secret": "excludes is_certificate_used and certificate, and those exclude one another"}
    return {}
