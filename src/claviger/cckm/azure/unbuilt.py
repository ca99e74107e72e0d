"""The endpoints of the Azure group that this server does not have (Azure contract §1, §4, §6-§10)."""

from __future__ import annotations

from collections.abc import Iterator

from claviger.cckm.calls import CCKM_ADMINS, Permission, Route, in_container, members
from claviger.cckm.unbuilt import Asked, Unbuilt

_GROUP = Unbuilt("/cckm/azure", "Azure")
_ONLY_ADMINS = members(CCKM_ADMINS)


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

    yield from _GROUP.read("keys", "Azure keys", "keys", permission("view"))
    one = "keys/{id}"
    yield _GROUP.missing(f"{one}/download-public-key", "Azure keys", "The public part of a key", permission("view"))
    yield _GROUP.missing(f"{one}/backups", "Azure keys", "Backups of a key", permission("view"))
    yield _GROUP.missing(f"{one}/backups/{{backup_id}}", "Azure keys", "One backup of a key", permission("view"))
    changes: dict[Asked, str] = {
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
    yield from _GROUP.changes(changes, "Azure keys", "keys", permission)


def _certificates() -> Iterator[Route]:
    def permission(action: str) -> Permission:
        return in_container(action, "certificateview")

    yield from _GROUP.read("certificates", "Azure certificates", "certificates", permission("certificateview"))
    one = "certificates/{id}"
    changes: dict[Asked, str] = {
        ("POST certificates", "certificatecreate"): "Create a certificate",
        ("POST certificates/import", "certificateupload"): "Import a certificate",
        (f"PATCH {one}", "certificateupdate"): "Change a certificate's attributes",
        (f"DELETE {one}", "certificatedeletebackup"): "Remove a certificate with its backup",
        (f"POST {one}/soft-delete", "certificatedelete"): "Soft-delete a certificate",
        (f"POST {one}/hard-delete", "certificatepurge"): "Purge a certificate",
        (f"POST {one}/recover", "certificaterecover"): "Recover a certificate",
        (f"POST {one}/restore", "certificaterestore"): "Restore a certificate",
    }
    yield from _GROUP.changes(changes, "Azure certificates", "certificates", permission)


def _jobs(path: str, tag: str, what: str, view: str, action: str) -> Iterator[Route]:
    def permission(needed: str) -> Permission:
        return in_container(needed, view)

    yield from _GROUP.read(path, tag, f"jobs: {what}", permission(view))
    changes: dict[Asked, str] = {
        (f"POST {path}", action): f"Start a {what}",
        (f"POST {path}/{{id}}/cancel", action): f"Cancel a {what}",
    }
    yield from _GROUP.changes(changes, tag, f"the {what}", permission)


def _bulk_jobs() -> Iterator[Route]:
    yield from _GROUP.read("bulkjobs", "Azure bulk jobs", "bulk jobs", _ONLY_ADMINS)
    changes: dict[Asked, str] = {
        ("POST bulkjobs", ""): "Start a bulk job",
        ("POST bulkjobs/{id}/cancel", ""): "Cancel a bulk job",
        ("DELETE bulkjobs/{id}", ""): "Delete a bulk job",
    }
    yield from _GROUP.changes(changes, "Azure bulk jobs", "bulk jobs", lambda _: _ONLY_ADMINS)


def _reports() -> Iterator[Route]:
    def permission(action: str) -> Permission:
        return in_container(action, "reportview")

    yield from _GROUP.read("reports", "Azure reports", "reports", permission("reportview"))
    yield _GROUP.missing("reports/{id}/contents", "Azure reports", "The rows of a report", permission("reportview"))
    yield _GROUP.missing("reports/{id}/download", "Azure reports", "A report as CSV", permission("reportdownload"))
    changes: dict[Asked, str] = {
        ("POST reports", "reportcreate"): "Make a report",
        ("DELETE reports/{id}", "reportdelete"): "Delete a report",
    }
    yield from _GROUP.changes(changes, "Azure reports", "reports", permission)
