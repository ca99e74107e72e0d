"""The paths of OCI Identity that are served (OCI contract §11)."""

from __future__ import annotations

from typing import Literal

from claviger.ocikms.calls import Handler, Plane, Route, Verb
from claviger.ocikms.identity.operations import IdentityCalls

BASE = "/20160918"

_CHANGES: tuple[tuple[str, Literal["POST", "PUT", "DELETE"], str, str], ...] = (
    ("CreateCompartment", "POST", "/compartments", "compartment"),
    ("UpdateCompartment", "PUT", "/compartments/{compartmentId}", "compartment"),
    ("DeleteCompartment", "DELETE", "/compartments/{compartmentId}", "compartment"),
    ("CreateRegionSubscription", "POST", "/tenancies/{tenancyId}/regionSubscriptions", "tenancy"),
    ("CreateUser", "POST", "/users", "user"),
    ("UpdateUser", "PUT", "/users/{userId}", "user"),
    ("DeleteUser", "DELETE", "/users/{userId}", "user"),
    ("UploadApiKey", "POST", "/users/{userId}/apiKeys", "user"),
    ("CreateTagNamespace", "POST", "/tagNamespaces", "tag-namespace"),
    ("CreateTag", "POST", "/tagNamespaces/{tagNamespaceId}/tags", "tag-namespace"),
)
"""What clients know to ask and are told who does it."""


class IdentityRoutes:
    """Which call answers at which path."""

    def __init__(self, calls: IdentityCalls) -> None:
        self._calls = calls

    def routes(self) -> list[Route]:
        """Every route of identity."""
        calls = self._calls
        return [
            _list("ListCompartments", "/compartments", calls.list_compartments, "compartment"),
            _get("GetCompartment", "/compartments/{compartmentId}", calls.get_compartment, "compartment"),
            _get("GetTenancy", "/tenancies/{tenancyId}", calls.get_tenancy, "tenancy"),
            _list(
                "ListRegionSubscriptions",
                "/tenancies/{tenancyId}/regionSubscriptions",
                calls.list_region_subscriptions,
                "tenancy",
            ),
            _list("ListRegions", "/regions", calls.list_regions, "region"),
            _get("GetUser", "/users/{userId}", calls.get_user, "user"),
            _list("ListTagNamespaces", "/tagNamespaces", calls.list_tag_namespaces, "tag-namespace"),
            _list("ListTags", "/tagNamespaces/{tagNamespaceId}/tags", calls.list_tags, "tag-namespace"),
            *(self._refused(*change) for change in _CHANGES),
        ]

    def _refused(self, operation: str, method: Literal["POST", "PUT", "DELETE"], path: str, kind: str) -> Route:
        return Route(
            operation=operation,
            method=method,
            path=BASE + path,
            planes=(Plane.IDENTITY,),
            verb=Verb.MANAGE,
            handler=self._calls.refuse_change,
            kind="change",
            subject_kind=kind,
            body="none" if method == "DELETE" else "json",
        )


def _get(operation: str, path: str, handler: Handler, subject_kind: str) -> Route:
    return Route(
        operation=operation,
        method="GET",
        path=BASE + path,
        planes=(Plane.IDENTITY,),
        verb=Verb.INSPECT,
        handler=handler,
        kind="read",
        subject_kind=subject_kind,
    )


def _list(operation: str, path: str, handler: Handler, subject_kind: str) -> Route:
    return Route(
        operation=operation,
        method="GET",
        path=BASE + path,
        planes=(Plane.IDENTITY,),
        verb=Verb.INSPECT,
        handler=handler,
        kind="list",
        subject_kind=subject_kind,
    )
