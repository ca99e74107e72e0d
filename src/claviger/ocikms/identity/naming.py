"""How an operator names things of identity: by OCID, by name, a compartment also by its path (`staging/team-a`)."""

from __future__ import annotations

from claviger.core.errors import Invalid, NotFound
from claviger.ocikms.identity import records
from claviger.ocikms.identity.records import DELETED, Compartment, Tenancy, User
from claviger.ocikms.identity.rules import ROOT_PATH, is_ocid
from claviger.ocikms.identity.tag_records import TagNamespace, tag_namespaces
from claviger.store.contract import Tx


def tenancy_named(tx: Tx, asked: str | None) -> Tenancy:
    """The tenancy of this name or OCID, or the only one.

    Raises NotFound("TenancyUnknown"), Invalid("TenancyNeeded") where there are several and none is named.
    """
    every = records.tenancies(tx)
    if asked is None:
        if len(every) == 1:
            return every[0]
        raise Invalid("TenancyNeeded", tenancies=len(every), fix="name a tenancy by its name or OCID: --tenancy")
    for tenancy in every:
        if asked in (tenancy.id, tenancy.name):
            return tenancy
    raise NotFound("TenancyUnknown", tenancy=asked[:255])


def place_named(tx: Tx, asked: str, tenancy: str | None) -> tuple[Tenancy, Compartment | None]:
    """The compartment of an OCID, or of a path in a tenancy; None for the root (`/`, or the tenancy's OCID).

    Raises NotFound("CompartmentUnknown") besides what `tenancy_named` raises.
    """
    if is_ocid(asked):
        return _by_ocid(tx, asked)
    owner = tenancy_named(tx, tenancy)
    found, parent = None, owner.id
    children = {(each.parent_id, each.name): each for each in records.compartments(tx, owner.num)}
    for name in asked.strip(ROOT_PATH).split(ROOT_PATH) if asked.strip(ROOT_PATH) else ():
        found = children.get((parent, name))
        if found is None:
            raise NotFound("CompartmentUnknown", compartment=asked[:255], tenancy=owner.name)
        parent = found.id
    return owner, found


def _by_ocid(tx: Tx, ocid: str) -> tuple[Tenancy, Compartment | None]:
    found = records.compartment(tx, ocid)
    for tenancy in records.tenancies(tx):
        if tenancy.id == ocid:
            return tenancy, None
        if found is not None and found.state != DELETED and found.tenancy_num == tenancy.num:
            return tenancy, found
    raise NotFound("CompartmentUnknown", compartment=ocid[:255])


def user_named(tx: Tx, asked: str, tenancy: str | None) -> tuple[Tenancy, User]:
    """The user of an OCID, or of a name in a tenancy.

    Raises NotFound("UserUnknown") besides what `tenancy_named` raises.
    """
    owners = {each.num: each for each in records.tenancies(tx)}
    if is_ocid(asked):
        found = [user for user in records.users(tx) if user.id == asked]
    else:
        owner = tenancy_named(tx, tenancy)
        found = [user for user in records.users(tx) if (user.tenancy_num, user.name) == (owner.num, asked)]
    if not found:
        raise NotFound("UserUnknown", user=asked[:255])
    return owners[found[0].tenancy_num], found[0]


def tag_namespace_named(tx: Tx, asked: str, tenancy: str | None) -> tuple[Tenancy, TagNamespace]:
    """The tag namespace of an OCID or, in any case of letters, a name in a tenancy.

    Raises NotFound("TagNamespaceUnknown") besides what `tenancy_named` raises.
    """
    owners = records.tenancies(tx) if is_ocid(asked) else [tenancy_named(tx, tenancy)]
    for owner in owners:
        for namespace in tag_namespaces(tx, owner.num):
            if asked == namespace.id or asked.lower() == namespace.name.lower():
                return owner, namespace
    raise NotFound("TagNamespaceUnknown", tag_namespace=asked[:255])


def path_of(compartment_id: str, compartments: dict[str, Compartment]) -> str:
    """The path of a compartment among those of its tenancy; `/` for the tenancy itself."""
    names: list[str] = []
    found = compartments.get(compartment_id)
    while found is not None:
        names.append(found.name)
        found = compartments.get(found.parent_id)
    return ROOT_PATH.join(reversed(names)) or ROOT_PATH
