"""The calls of OCI Identity: what a client asks to find its way through a tenancy (OCI contract §11).

All of them read the snapshot. Every user may read his own tenancy, its regions and himself; compartments need INSPECT.
Nothing is changed here: tenancies are made and changed by an operator (`administration.py`, `people.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from claviger.audit.trail import about
from claviger.core.errors import Forbidden, Invalid, NotFound
from claviger.ocikms.calls import Answer, Call, Verb
from claviger.ocikms.errors import HIDDEN, absent, wrong
from claviger.ocikms.identity import wire
from claviger.ocikms.identity.records import Compartment, Tenancy
from claviger.ocikms.identity.regions import KEYS
from claviger.ocikms.identity.rules import COMPARTMENT_STATES, TAG_NAMESPACE_STATES
from claviger.ocikms.identity.snapshot import CallerSight, Identities, Identity
from claviger.ocikms.identity.tag_records import Tag, TagNamespace
from claviger.ocikms.listing import Page, listed, page_of
from claviger.ocikms.states import etag
from claviger.ocikms.texts import written

R = TypeVar("R", Compartment, TagNamespace, Tag)


class IdentityCalls:
    """Answers the calls from the newest snapshot."""

    def __init__(self, identities: Identities) -> None:
        self._identities = identities

    async def list_compartments(self, call: Call) -> Answer:
        """Those directly in a compartment, or with `compartmentIdInSubtree` all of the tenancy; never the tenancy.

        Raises NotFound for a compartment in and below which the caller may do nothing, Invalid for values.
        """
        identity = await self._identities.current()
        sight = identity.sight(call.caller)
        parent = _led_to(call, sight)
        is_subtree = _flag(call, "compartmentIdInSubtree")
        is_accessible = call.chosen("accessLevel", ("ANY", "ACCESSIBLE"), "ANY") == "ACCESSIBLE"
        state = call.chosen("lifecycleState", COMPARTMENT_STATES, "")
        name = call.query.get("name")
        page = page_of(call, ("TIMECREATED", "NAME"))
        if is_subtree and parent != call.caller.tenancy_id:
            raise wrong("compartmentIdInSubtree", "can only be true where compartmentId is the tenancy")
        found = [
            each
            for each in (identity.below(parent) if is_subtree else identity.children(parent))
            if (not is_accessible or sight.leads(each.id))
            and state in ("", each.state)
            and (not name or each.name == name)
        ]
        shown: Callable[[Compartment], Any] = _compartment
        if is_accessible:
            shown = lambda each: _accessible(each, sight)  # noqa: E731
        return _paged(page, found, shown)

    async def get_compartment(self, call: Call) -> Answer:
        """One compartment; for the tenancy's OCID the root compartment. Raises NotFound."""
        identity = await self._identities.current()
        ident = call.path["compartmentId"]
        tenancy = _own_tenancy(call, identity, ident)
        if tenancy is not None:
            about("compartment", tenancy.id, tenancy.name)
            return Answer(body=_root(tenancy), etag=etag(tenancy.id, 1, "ACTIVE"))
        found = identity.compartment(ident)
        if found is None or not identity.sight(call.caller).inspects(ident):
            raise absent("Compartment")
        about("compartment", found.id, found.name, found.parent_id)
        return Answer(body=_compartment(found), etag=etag(found.id, 1, found.state))

    async def get_tenancy(self, call: Call) -> Answer:
        """The caller's own tenancy. Raises NotFound for another one."""
        tenancy = _tenancy_asked(call, await self._identities.current())
        about("tenancy", tenancy.id, tenancy.name)
        return Answer(
            body=wire.Tenancy(tenancy.id, tenancy.name, tenancy.description, KEYS[tenancy.home_region]),
            etag=etag(tenancy.id, 1, "ACTIVE"),
        )

    async def list_region_subscriptions(self, call: Call) -> Answer:
        """The regions that the caller's tenancy uses; not in pages. Raises NotFound for another tenancy."""
        identity = await self._identities.current()
        tenancy = _tenancy_asked(call, identity)
        regions = identity.regions(tenancy.num)
        return Answer(
            body=[wire.RegionSubscription(KEYS[each], each, "READY", each == tenancy.home_region) for each in regions]
        )

    async def list_regions(self, call: Call) -> Answer:
        """Every region of the realm; not in pages."""
        return Answer(body=[wire.Region(key, name) for name, key in KEYS.items()])

    async def get_user(self, call: Call) -> Answer:
        """The caller himself, or, for who may inspect the tenancy, another user of it. Raises NotFound."""
        identity = await self._identities.current()
        caller = call.caller
        user = identity.user(call.path["userId"])
        is_known = user is not None and user.tenancy_num == caller.tenancy_num
        may_see = is_known and identity.sight(caller).may(Verb.INSPECT, caller.tenancy_id)
        if user is None or not (user.id == caller.user_id or may_see):
            raise absent("User")
        about("user", user.id, user.name, caller.tenancy_id)
        shown = wire.User(user.id, caller.tenancy_id, user.name, user.description, written(user.created_at))
        return Answer(body=shown, etag=etag(user.id, 1, "ACTIVE"))

    async def list_tag_namespaces(self, call: Call) -> Answer:
        """Those in a compartment, and with `includeSubcompartments` below it. Raises NotFound, Invalid."""
        identity = await self._identities.current()
        sight = identity.sight(call.caller)
        places = {_led_to(call, sight)}
        if _flag(call, "includeSubcompartments"):
            places.update(each.id for place in tuple(places) for each in identity.below(place))
        state = call.chosen("lifecycleState", TAG_NAMESPACE_STATES, "")
        found = [
            each
            for each in identity.tag_namespaces()
            if each.compartment_id in places
            and sight.may(Verb.INSPECT, each.compartment_id)
            and state in ("", _state_of(each))
        ]
        return _paged(page_of(call, ("TIMECREATED",)), found, _tag_namespace)

    async def list_tags(self, call: Call) -> Answer:
        """The tags that a namespace defines. Raises NotFound, Invalid."""
        identity = await self._identities.current()
        namespace = identity.tag_namespace(call.path["tagNamespaceId"])
        sight = identity.sight(call.caller)
        if namespace is None or not sight.may(Verb.INSPECT, namespace.compartment_id):
            raise absent("Tag namespace")
        state = call.chosen("lifecycleState", TAG_NAMESPACE_STATES, "")
        found = [each for each in identity.tags(namespace) if state in ("", _state_of(each))]
        return _paged(page_of(call, ("TIMECREATED",)), found, lambda tag: _tag(tag, namespace))

    async def refuse_change(self, call: Call) -> Answer:
        """What is asked of identity beyond reading: 403 outside the home region, as the real one says, else 501."""
        identity = await self._identities.current()
        tenancy = identity.tenancy(call.caller.tenancy_num)
        if tenancy is None:
            raise NotFound("Absent", message=HIDDEN)
        if call.place.region not in ("", tenancy.home_region):
            home = KEYS[tenancy.home_region]
            raise Forbidden("NotAllowed", message=f"Please go to your home region {home} to change identity.")
        raise Invalid(
            "NotOffered",
            message="Identity is not changed over the wire here: the operator does it with `claviger oci`.",
        )


def _led_to(call: Call, sight: CallerSight) -> str:
    """The compartment that a list is asked of: the tenancy, or one in or below which the caller may do anything."""
    ident = call.required("compartmentId")
    if ident != call.caller.tenancy_id and not (sight.has(ident) and sight.leads(ident)):
        raise absent("Compartment")
    return ident


def _own_tenancy(call: Call, identity: Identity, ident: str) -> Tenancy | None:
    return identity.tenancy_of(ident) if ident == call.caller.tenancy_id else None


def _tenancy_asked(call: Call, identity: Identity) -> Tenancy:
    tenancy = _own_tenancy(call, identity, call.path["tenancyId"])
    if tenancy is None:
        raise absent("Tenancy")
    return tenancy


def _flag(call: Call, name: str) -> bool:
    return call.chosen(name, ("TRUE", "FALSE"), "FALSE") == "TRUE"


def _paged(page: Page, found: Iterable[R], show: Callable[[R], Any]) -> Answer:
    """The part of what was found that a page asks for, in its order."""

    def place(row: R) -> tuple[float | str, int]:
        return (row.name if page.by == "NAME" else row.created_at), row.num

    rows: Sequence[R] = sorted(found, key=place, reverse=not page.ascending)
    after: Any = page.after
    if after is not None:
        rows = [row for row in rows if (place(row) > after if page.ascending else place(row) < after)]
    return listed(page, rows[: page.limit + 1], place, show)


def _compartment(found: Compartment) -> wire.Compartment:
    return wire.Compartment(
        found.id,
        found.parent_id,
        found.name,
        found.description,
        written(found.created_at),
        found.state,
        freeform_tags=found.freeform_tags,
        defined_tags=found.defined_tags,
    )


def _accessible(found: Compartment, sight: CallerSight) -> wire.Compartment:
    """Of a compartment that only leads to one which the caller may see, its place and name are shown."""
    shown = _compartment(found)
    shown.is_accessible = True
    if not sight.inspects(found.id):
        shown.description, shown.freeform_tags, shown.defined_tags = "", {}, {}
    return shown


def _root(tenancy: Tenancy) -> wire.Compartment:
    created = written(tenancy.created_at)
    return wire.Compartment(tenancy.id, None, tenancy.name, tenancy.description, created, "ACTIVE")


def _state_of(tagged: TagNamespace | Tag) -> str:
    return "INACTIVE" if tagged.is_retired else "ACTIVE"


def _tag_namespace(found: TagNamespace) -> wire.TagNamespace:
    return wire.TagNamespace(
        found.id,
        found.compartment_id,
        found.name,
        found.description,
        found.is_retired,
        written(found.created_at),
        _state_of(found),
    )


def _tag(found: Tag, namespace: TagNamespace) -> wire.Tag:
    return wire.Tag(
        found.id,
        namespace.compartment_id,
        found.name,
        found.description,
        found.is_retired,
        written(found.created_at),
        _state_of(found),
    )
