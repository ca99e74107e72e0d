"""The endpoints of the Azure group that this server does not have: they say so, each in its kind of answer.

Nothing of theirs can exist, so a list is empty, a single record is not found, and a changing call is a 501 that names
what is missing. Who may ask is decided as it will be once they are built (Azure contract §1, §4, §6-§10).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from claviger.cckm.calls import CCKM_ADMINS, Answer, Call, Handler, ListOf, Permission, Route, in_container, members
from claviger.cckm.listing import PAGING, Page, window_of
from claviger.core.errors import Forbidden, Invalid, NotFound

_BASE = "/cckm/azure"
_LARGEST_UPLOAD = 256 * 1024
_ONLY_ADMINS = members(CCKM_ADMINS)

_Asked = tuple[str, str]
"""An endpoint's path, and the action that it needs."""


def unbuilt_routes() -> list[Route]:
    """All of them."""
    return [
        *_keys(),
        *_certificates(),
        *_jobs("synchronization-jobs", "Azure keys", "synchronization of keys", "view", "keysynchronize"),
        *_jobs(
            "certificates/synchronization-jobs",
            "Azure certificates",
            "synchronization of certificates",
            "certificateview",
            "certificatesynchronize",
        ),
        *_bulk_jobs(),
        *_reports(),
    ]


def _keys() -> Iterator[Route]:
    def permission(action: str) -> Permission:
        return in_container(action, "view")

    yield from _read("keys", "Azure keys", "keys", permission("view"))
    one = "keys/{id}"
    yield _missing(f"{one}/download-public-key", "Azure keys", "The public part of a key", permission("view"))
    yield _missing(f"{one}/backups", "Azure keys", "Backups of a key", permission("view"))
    yield _missing(f"{one}/backups/{{backup_id}}", "Azure keys", "One backup of a key", permission("view"))
    changes: dict[_Asked, str] = {
        ("POST keys", "keycreate"): "Create a key",
        (f"PATCH {one}", "keyupdate"): "Change a key's attributes",
        ("POST upload-key", "keyupload"): "Upload a key",
        (f"POST {one}/soft-delete", "keydelete"): "Soft-delete a key",
        (f"POST {one}/hard-delete", "keypurge"): "Purge a key",
        (f"POST {one}/recover", "keyrecover"): "Recover a key",
        (f"POST {one}/restore", "keyrestore"): "Restore a key",
        (f"POST {one}/refresh", "keysynchronize"): "Read a key anew",
        (f"POST {one}/delete-backup", "deletebackup"): "Delete a key's backup",
        (f"POST {one}/enable-rotation-job", "keyupdate"): "Rotate a key by schedule",
        (f"POST {one}/disable-rotation-job", "keyupdate"): "End the rotation of a key",
        (f"POST {one}/enable-backup-job", "keyupdate"): "Back a key up by schedule",
        (f"POST {one}/disable-backup-job", "keyupdate"): "End the backups of a key",
        (f"POST {one}/backups", "keyupdate"): "Back a key up",
        (f"PATCH {one}/backups/{{backup_id}}", "keyupdate"): "Change a backup",
        (f"DELETE {one}/backups/{{backup_id}}", "deletebackup"): "Delete a backup",
    }
    yield from _changes(changes, "Azure keys", "keys", permission)


def _certificates() -> Iterator[Route]:
    def permission(action: str) -> Permission:
        return in_container(action, "certificateview")

    yield from _read("certificates", "Azure certificates", "certificates", permission("certificateview"))
    one = "certificates/{id}"
    changes: dict[_Asked, str] = {
        ("POST certificates", "certificatecreate"): "Create a certificate",
        ("POST certificates/import", "certificateupload"): "Import a certificate",
        (f"PATCH {one}", "certificateupdate"): "Change a certificate's attributes",
        (f"DELETE {one}", "certificatedeletebackup"): "Remove a certificate with its backup",
        (f"POST {one}/soft-delete", "certificatedelete"): "Soft-delete a certificate",
        (f"POST {one}/hard-delete", "certificatepurge"): "Purge a certificate",
        (f"POST {one}/recover", "certificaterecover"): "Recover a certificate",
        (f"POST {one}/restore", "certificaterestore"): "Restore a certificate",
    }
    yield from _changes(changes, "Azure certificates", "certificates", permission)


def _jobs(path: str, tag: str, what: str, view: str, action: str) -> Iterator[Route]:
    def permission(needed: str) -> Permission:
        return in_container(needed, view)

    yield from _read(path, tag, f"jobs: {what}", permission(view))
    changes: dict[_Asked, str] = {
        (f"POST {path}", action): f"Start a {what}",
        (f"POST {path}/{{id}}/cancel", action): f"Cancel a {what}",
    }
    yield from _changes(changes, tag, f"the {what}", permission)


def _bulk_jobs() -> Iterator[Route]:
    yield from _read("bulkjobs", "Azure bulk jobs", "bulk jobs", _ONLY_ADMINS)
    changes: dict[_Asked, str] = {
        ("POST bulkjobs", ""): "Start a bulk job",
        ("POST bulkjobs/{id}/cancel", ""): "Cancel a bulk job",
        ("DELETE bulkjobs/{id}", ""): "Delete a bulk job",
    }
    yield from _changes(changes, "Azure bulk jobs", "bulk jobs", lambda _: _ONLY_ADMINS)


def _reports() -> Iterator[Route]:
    def permission(action: str) -> Permission:
        return in_container(action, "reportview")

    yield from _read("reports", "Azure reports", "reports", permission("reportview"))
    yield _missing("reports/{id}/contents", "Azure reports", "The rows of a report", permission("reportview"))
    yield _missing("reports/{id}/download", "Azure reports", "A report as CSV", permission("reportdownload"))
    changes: dict[_Asked, str] = {
        ("POST reports", "reportcreate"): "Make a report",
        ("DELETE reports/{id}", "reportdelete"): "Delete a report",
    }
    yield from _changes(changes, "Azure reports", "reports", permission)


def _read(path: str, tag: str, what: str, permission: Permission) -> Iterator[Route]:
    yield Route(
        method="GET",
        path=f"{_BASE}/{path}",
        handler=_nothing,
        permission=permission,
        tag=tag,
        summary=f"List {what}",
        description="Always empty: this server does not have them yet.",
        gives=ListOf[Any],
        query=PAGING,
    )
    yield _missing(f"{path}/{{id}}", tag, f"Read one of the {what}", permission)


def _missing(path: str, tag: str, summary: str, permission: Permission) -> Route:
    return Route(
        method="GET",
        path=f"{_BASE}/{path}",
        handler=_not_found,
        permission=permission,
        tag=tag,
        summary=summary,
        description="Always 404: this server does not have them yet.",
    )


def _changes(
    changes: dict[_Asked, str], tag: str, what: str, permission: Callable[[str], Permission]
) -> Iterator[Route]:
    for (call, action), summary in changes.items():
        method, path = call.split()
        yield Route(
            method=method,  # type: ignore[arg-type]
            path=f"{_BASE}/{path}",
            handler=_not_built(what),
            permission=permission(action),
            tag=tag,
            summary=summary,
            description="Always 501: this server does not have this function yet.",
            body_limit=_LARGEST_UPLOAD,
            errors=(501,),
        )


async def _nothing(call: Call) -> Answer:
    _seen(call)
    window = window_of(call.query)
    return Answer(Page(window.skip, window.limit, 0, []))


async def _not_found(call: Call) -> Answer:
    raise NotFound("NotFound")


def _not_built(what: str) -> Handler:
    async def refuse(call: Call) -> Answer:
        action = call.route.permission.action
        if action and call.containers() == frozenset():
            raise Forbidden("ActionMissing", message=f"you lack the permission {action} in every vault")
        raise Invalid("NotBuilt", message=f"this server does not have {what} for Azure yet; nothing was changed")

    return refuse


def _seen(call: Call) -> None:
    """A list of nothing is the same for everybody; asking keeps the funnel's promise."""
    if call.route.permission.kind == "container":
        call.containers()
