"""The endpoints of the OCI group that this server does not have: external vaults, external keys, issuers (§8, §9).

An external vault leaves the keys outside of OCI and has OCI ask for each use of one. Of such vaults and keys the lists
of `/vaults` and `/keys` have none, which is what they say.
"""

from __future__ import annotations

from collections.abc import Iterator

from claviger.cckm.calls import CCKM_ADMINS, Permission, Route, in_container, members
from claviger.cckm.unbuilt import Asked, Unbuilt

_GROUP = Unbuilt("/cckm/oci", "OCI")
_ADMINS = members(CCKM_ADMINS)


def unbuilt_routes() -> list[Route]:
    """All of them."""
    return [*_external_vaults(), *_external_keys(), *_issuers()]


def _only_admins(_: str) -> Permission:
    return _ADMINS


def _external_vaults() -> Iterator[Route]:
    changes: dict[Asked, str] = {
        ("POST create-external-vault", ""): "Create an external vault",
        ("POST vaults/{id}/block", ""): "Block an external vault",
        ("POST vaults/{id}/unblock", ""): "Unblock an external vault",
    }
    yield from _GROUP.changes(changes, "OCI external vaults", "external vaults", _only_admins)


def _external_keys() -> Iterator[Route]:
    changes: dict[Asked, str] = {
        ("POST create-external-key", "hyokkeycreate"): "Create an external key",
        ("POST keys/{id}/block", "hyokkeyblockunblock"): "Block an external key",
        ("POST keys/{id}/unblock", "hyokkeyblockunblock"): "Unblock an external key",
    }
    yield from _GROUP.changes(
        changes, "OCI external vaults", "external keys", lambda action: in_container(action, "viewhyokkey")
    )


def _issuers() -> Iterator[Route]:
    yield from _GROUP.read("issuers", "OCI issuers", "issuers", _ADMINS)
    changes: dict[Asked, str] = {
        ("POST issuers", ""): "Create an issuer",
        ("PATCH issuers/{id}", ""): "Change an issuer",
        ("DELETE issuers/{id}", ""): "Delete an issuer",
    }
    yield from _GROUP.changes(changes, "OCI issuers", "issuers", _only_admins)
