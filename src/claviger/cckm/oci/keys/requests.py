"""What callers ask for, checked, as the work that it comes to (CCKM contract, OCI §5.3, §5.6, §5.8, §5.9). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import UNSET

from claviger.cckm.errors import validation
from claviger.cckm.oci.asking import defined_tags
from claviger.cckm.oci.connections.rules import is_ocid
from claviger.cckm.oci.keys import rules
from claviger.cckm.oci.keys.backups import place_for
from claviger.cckm.oci.keys.rows import KeyRow
from claviger.cckm.oci.keys.rules import Operation
from claviger.cckm.oci.keys.wire import CreateOciKey, ScheduleDeletion, UpdateOciKey
from claviger.cckm.oci.keys.work import CREATE, Work
from claviger.cckm.oci.vaults.records import OciVault

_NOT_A_COMPARTMENT = "must be the OCID of a compartment or of the tenancy"


def is_compartment(ocid: str) -> bool:
    """Whether this can be the OCID of a compartment, or of the tenancy."""
    return is_ocid(ocid, "compartment") or is_ocid(ocid, "tenancy")


def check_place(name: str, protection_mode: str, compartment_ocid: str) -> dict[str, str | None]:
    """What is wrong with what every new key has, made or uploaded, by field."""
    return {
        "name": rules.name_problem(name),
        "protection_mode": rules.mode_problem(protection_mode),
        "compartment_id": None if is_compartment(compartment_ocid) else _NOT_A_COMPARTMENT,
    }


def refuse(problems: Mapping[str, str | None]) -> None:
    """Raises Invalid("Validation") where there is a problem."""
    found = {field: problem for field, problem in problems.items() if problem is not None}
    if found:
        raise validation(found)


def given_tags(freeform: Any, defined: Any) -> dict[str, Any]:
    """The tags that were given, by the SDK's names."""
    found: dict[str, Any] = {}
    if freeform is not UNSET:
        found["freeform_tags"] = freeform
    if defined is not UNSET:
        found["defined_tags"] = defined
    return found


def check_new(asked: CreateOciKey) -> None:
    """Raises Invalid("Validation") for a key that cannot be made."""
    tags = given_tags(asked.freeform_tags, asked.defined_tags)
    refuse(
        {
            **check_place(asked.name, asked.protection_mode, asked.compartment_id),
            **rules.shape_problems(asked.algorithm, asked.length, asked.curve_id),
            **rules.tag_problems(tags.get("freeform_tags"), tags.get("defined_tags")),
        }
    )


def new(asked: CreateOciKey, vault: OciVault, user_id: str, key_id: str) -> Work:
    """The work of a key that was checked. `key_id` is what its record is to be called."""
    shape: dict[str, Any] = {
        "algorithm": asked.algorithm,
        "length": rules.length_of(asked.algorithm, asked.length, asked.curve_id),
    }
    if asked.curve_id:
        shape["curve_id"] = asked.curve_id
    return Work(
        operation=CREATE,
        vault_id=vault.id,
        domain_id=vault.domain_id,
        user_id=user_id,
        name=asked.name,
        key_id=key_id,
        compartment_ocid=asked.compartment_id,
        details={
            "compartment_id": asked.compartment_id,
            "display_name": asked.name,
            "key_shape": shape,
            "protection_mode": asked.protection_mode,
            **given_tags(asked.freeform_tags, asked.defined_tags),
        },
    )


def check_update(asked: UpdateOciKey) -> None:
    """Raises Invalid("Validation") for what a key cannot be called or tagged."""
    tags = given_tags(asked.freeform_tags, asked.defined_tags)
    name = None if asked.display_name is UNSET else rules.name_problem(asked.display_name)
    refuse({"display_name": name, **rules.tag_problems(tags.get("freeform_tags"), tags.get("defined_tags"))})


def update(row: KeyRow, vault: OciVault, user_id: str, asked: UpdateOciKey) -> Work:
    """The work of a change of name or tags."""
    details = given_tags(asked.freeform_tags, asked.defined_tags)
    if asked.display_name is not UNSET:
        details["display_name"] = asked.display_name
    said = row.said
    known = {"display_name": row.name, "freeform_tags": said.freeform_tags, "defined_tags": said.defined_tags}
    if "defined_tags" in details:
        details["defined_tags"] = defined_tags(details["defined_tags"])
    return work_on(
        Operation.UPDATE, row, vault, user_id, details=details, before={name: known[name] for name in details}
    )


def days_of(asked: ScheduleDeletion) -> int:
    """In how many days. Raises Invalid("Validation")."""
    days = None if asked.days is UNSET else asked.days
    refuse({"days": rules.days_problem(days)})
    return rules.DEFAULT_DAYS if days is None else days


def check_target(ocid: str, row: KeyRow) -> None:
    """Raises Invalid("Validation") for a compartment that a key cannot be moved to."""
    problem = None if is_compartment(ocid) else _NOT_A_COMPARTMENT
    if ocid == row.compartment_ocid:
        problem = "is where the key is already"
    refuse({"compartment_id": problem})


def backup_place(row: KeyRow, vault: OciVault) -> str:
    """Where a backup of a key goes; empty where none can be taken."""
    if rules.no_backup(vault.vault_type, row.protection_mode, vault.bucket_name) is not None:
        return ""
    return str(place_for(row.id, vault.bucket_namespace, vault.bucket_name))


def work_on(operation: Operation, row: KeyRow, vault: OciVault, user_id: str, **more: Any) -> Work:
    """The work of an operation on a key that is there."""
    return Work(
        operation=operation.value,
        vault_id=vault.id,
        domain_id=vault.domain_id,
        user_id=user_id,
        name=row.name,
        key_id=row.id,
        ocid=row.ocid,
        **more,
    )
