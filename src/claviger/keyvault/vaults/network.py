"""Who may reach a vault at all, by the address a request came from: `networkAcls` and `publicNetworkAccess`. Pure.

Rules are by address alone. Rules for virtual networks and the bypass for Azure's own services are kept and shown, and
let nobody in: neither exists here. An address of this machine needs a rule like any other (Key Vault contract §10).
"""

from __future__ import annotations

import ipaddress

import msgspec

from claviger.core.errors import Forbidden, Invalid
from claviger.keyvault.vaults.records import Vault

MAX_RULES = 1_000
BYPASSES = ("AzureServices", "None")
ACTIONS = ("Allow", "Deny")
_MAX_TEXT = 512

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class IpRule(msgspec.Struct, frozen=True):
    """An address, or a range in CIDR notation."""

    value: str


class SubnetRule(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """A subnet of a virtual network, by its resource id."""

    id: str
    ignore_missing_vnet_service_endpoint: bool | None = None


class NetworkAcls(msgspec.Struct, frozen=True, rename="camel"):
    """The rules as ARM has them, and as they are stored."""

    bypass: str = "AzureServices"
    default_action: str = "Allow"
    ip_rules: list[IpRule] = []
    virtual_network_rules: list[SubnetRule] = []


_stored = msgspec.json.Decoder(NetworkAcls)


class Firewall:
    """What `admit` decides by, read once."""

    __slots__ = ("_allowed", "_networks", "_public", "_vault")

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._public = vault.public_access
        try:
            acls = _stored.decode(vault.network_acls) if vault.network_acls else NetworkAcls()
            self._allowed = acls.default_action.lower() == "allow"
            self._networks = [_network(rule.value) for rule in acls.ip_rules]
        except (msgspec.MsgspecError, ValueError):  # rules that cannot be read let nobody in
            self._allowed, self._networks = False, []

    def admit(self, address: str) -> None:
        """Raises Forbidden("ForbiddenByConnection" | "ForbiddenByFirewall") for an address that may not come in."""
        if not self._public:
            raise Forbidden("ForbiddenByConnection")
        if self._allowed:
            return
        found = _address(address)
        if found is None or not any(found in network for network in self._networks):
            vault = self._vault
            raise Forbidden("ForbiddenByFirewall", address=address[:64], vault=vault.name, location=vault.location)


def check_acls(acls: NetworkAcls) -> str:
    """The rules as they are stored, words in their own spelling. Raises Invalid("Property") naming the property."""
    bypass = {word.lower(): word for word in BYPASSES}.get(acls.bypass.lower())
    action = {word.lower(): word for word in ACTIONS}.get(acls.default_action.lower())
    subnets = acls.virtual_network_rules
    if bypass is None:
        raise Invalid("Property", property="networkAcls.bypass")
    if action is None:
        raise Invalid("Property", property="networkAcls.defaultAction")
    if len(acls.ip_rules) > MAX_RULES or not all(_is_network(rule.value) for rule in acls.ip_rules):
        raise Invalid("Property", property="networkAcls.ipRules")
    if len(subnets) > MAX_RULES or not all(0 < len(rule.id) <= _MAX_TEXT and "\0" not in rule.id for rule in subnets):
        raise Invalid("Property", property="networkAcls.virtualNetworkRules")
    checked = msgspec.structs.replace(acls, bypass=bypass, default_action=action)
    return msgspec.json.encode(checked).decode()


def _network(value: str) -> Network:
    return ipaddress.ip_network(value, strict=False)


def _is_network(value: str) -> bool:
    try:
        _network(value)
    except ValueError:
        return False
    return len(value) <= _MAX_TEXT


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        found = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = getattr(found, "ipv4_mapped", None)
    return mapped if isinstance(mapped, ipaddress.IPv4Address) else found
