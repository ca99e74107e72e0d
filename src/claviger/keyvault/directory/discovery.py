"""The documents by which clients find their way: OpenID configuration, instance discovery, and the key set.

Every address in them is on the host that the client used, so that it is one the client can reach (Key Vault contract
§7.5). Pure: the caller has looked the tenant up.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any
from urllib.parse import urlsplit

from claviger.core.errors import Invalid
from claviger.keyvault.directory.records import Tenant
from claviger.keyvault.directory.tokens import issuer_of
from claviger.keyvault.hosts import is_login_host, parse_host

# Words that stand for "the tenant will show": good for documents, not for a token of a program.
ANY_TENANT = frozenset({"common", "organizations", "consumers"})
CLAIMS = ("aud", "iss", "iat", "nbf", "exp", "appid", "azp", "idtyp", "oid", "sub", "tid", "ver", "xms_cc")


def openid_configuration(base_url: str, tenant: str, *, version: int) -> dict[str, Any]:
    """The OpenID configuration of a tenant id, or of one of `ANY_TENANT`."""
    root = f"{base_url}/{tenant}"
    shown = "{tenantid}" if tenant in ANY_TENANT else tenant
    flow, keys = ("oauth2/v2.0", "discovery/v2.0/keys") if version == 2 else ("oauth2", "discovery/keys")
    return {
        "token_endpoint": f"{root}/{flow}/token",
        "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt", "client_secret_basic"],
        "jwks_uri": f"{root}/{keys}",
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "response_types_supported": ["token"],
        "grant_types_supported": ["client_credentials"],
        "issuer": f"{base_url}/{shown}/v2.0" if version == 2 else issuer_of(shown),
        "request_uri_parameter_supported": False,
        # Clients refuse a document without this one; a person cannot sign in here, and the address says so.
        "authorization_endpoint": f"{root}/{flow}/authorize",
        "claims_supported": list(CLAIMS),
        "tenant_region_scope": None,
        "cloud_instance_name": parse_authority(base_url),
    }


def instance_discovery(base_url: str, authorization_endpoint: str, served: Collection[str]) -> dict[str, Any]:
    """Tells a client that the authority it was given is a known one: the host it asks, or one of `served`.

    Raises Invalid("InstanceUnknown") for any other, Invalid("RequestMalformed") where the parameter is none.
    """
    try:
        asked = urlsplit(authorization_endpoint)
    except ValueError:
        raise Invalid("RequestMalformed") from None
    tenant = asked.path.strip("/").split("/")[0]
    host = parse_host(asked.netloc)
    if asked.scheme != "https" or host is None or not tenant:
        raise Invalid("RequestMalformed")
    here = parse_authority(base_url).lower()
    if asked.netloc.lower() != here and host.name.lower() not in served:
        raise Invalid("InstanceUnknown")
    authority = asked.netloc.lower()
    aliases = sorted({authority, here})
    return {
        "tenant_discovery_endpoint": f"https://{authority}/{tenant}/v2.0/.well-known/openid-configuration",
        "api-version": "1.1",
        "metadata": [{"preferred_network": authority, "preferred_cache": authority, "aliases": aliases}],
    }


def is_token_endpoint(url: str, tenant: Tenant, base_url: str, served: Collection[str]) -> bool:
    """Whether a URL is the token endpoint of a tenant, of either version, on a login host that is ours.

    That is the host asked, `base_url`, one of `served` at its port or at none, or a cloud's own. The tenant may be
    named by its id or domain. A query is let be: some clients name the address with the one they send.
    """
    try:
        asked = urlsplit(url)
    except ValueError:
        return False
    host, here = parse_host(asked.netloc), parse_host(parse_authority(base_url))
    if asked.scheme != "https" or host is None or here is None:
        return False
    name, port = host.name.lower(), "" if host.port == ":443" else host.port
    own_port = "" if here.port == ":443" else here.port
    ours = name == here.name.lower() or name in served or is_login_host(name)
    word, _, flow = asked.path.removeprefix("/").partition("/")
    return (
        ours
        and port in ("", own_port)
        and word.lower() in (tenant.id, tenant.domain)
        and flow in ("oauth2/v2.0/token", "oauth2/token")
    )


def parse_authority(url: str) -> str:
    """Host and port of a URL of ours."""
    return urlsplit(url).netloc
