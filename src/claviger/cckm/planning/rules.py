"""Which calls can be planned, and what is said of those about which nothing more exact is known. Pure."""

from __future__ import annotations

from collections.abc import Mapping

CHANGING = ("POST", "PATCH", "PUT", "DELETE")
LONGEST_PATH = 4096
AT_ONCE = 8
ENVELOPE_BYTES = 64 * 1024

NOT_PLANNED: Mapping[tuple[str, str], str] = {
    ("POST", "/claviger/plan"): "a plan changes nothing, so there is nothing to plan",
    ("POST", "/auth/tokens"): "signing in gives away tokens and is not planned",
    ("POST", "/auth/revoke"): "taking a token back is not planned: the plan would tell whether the token is good",
    ("POST", "/auth/logout"): "signing out is not planned",
    (
        "PATCH",
        "/auth/changepw",
    ): "a change of password is not planned: the plan would tell whether the old one is right",
    ("POST", "/auth/clients"): "making a client gives away its credential and is not planned",
}
"""Calls about tokens and credentials, by method and path of the route, with why they are not planned."""

ONLY_ASKS: Mapping[tuple[str, str], str] = {
    ("POST", "/auth/self/permissions"): "tells what the caller may do",
    ("POST", "/cckm/azure/get-subscriptions"): "asks the cloud for its subscriptions",
    ("POST", "/cckm/azure/get-vaults"): "asks the cloud for its vaults",
    ("POST", "/cckm/azure/get-managed-hsms"): "asks the cloud for its managed HSM pools",
    ("POST", "/connectionmgmt/services/azure/connection-test"): "signs in at the cloud, and stores nothing",
    ("POST", "/connectionmgmt/services/azure/connections/{id}/test"): (
        "signs in at the cloud, and notes on the connection's record how that ended"
    ),
    ("POST", "/cckm/oci/get-subscribed-regions"): "asks the cloud for the tenancy's regions",
    ("POST", "/cckm/oci/get-compartments"): "asks the cloud for its compartments",
    ("POST", "/cckm/oci/get-defined-tags"): "asks the cloud for its tags",
    ("POST", "/cckm/oci/storage/list-buckets"): "asks the cloud for its buckets",
    ("POST", "/cckm/oci/get-vaults"): "asks the cloud for its vaults",
    ("POST", "/connectionmgmt/services/oci/connection-test"): "asks the cloud something, and stores nothing",
    ("POST", "/connectionmgmt/services/oci/connections/{id}/test"): (
        "asks the cloud something, and notes on the connection's record how that ended"
    ),
    ("POST", "/vault/keys2/{id}/export"): "shows the key's material, if that may be shown",
}
"""Calls that change nothing worth a plan: they ask. They are not walked, so the cloud is not asked for a plan."""

UNDO: Mapping[str, str] = {
    "POST": "delete or change what it has made by the calls for that",
    "PATCH": "change it back; what it was before is not kept",
    "PUT": "change it back; what it was before is not kept",
}
"""How the effects of a call of a method are undone, where nothing more exact is known."""

LOST = "the record is removed and cannot be brought back, only made anew"
"""What a DELETE of which nothing more exact is known takes away."""
