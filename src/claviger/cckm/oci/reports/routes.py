"""Reports over HTTP (CCKM contract, OCI §10)."""

from __future__ import annotations

from typing import Any

from claviger.cckm.calls import Answer, Call, ListOf, Parameter, Route, in_container
from claviger.cckm.listing import PAGING
from claviger.cckm.oci.reports.operations import Reports
from claviger.cckm.oci.reports.wire import CreateReport, ReportRecord

_TAG = "OCI reports"
_MANY = "/cckm/oci/reports"
_ONE = f"{_MANY}/{{id}}"
VIEW = "reportview"
_WORDS = {
    "key_name": "Name of the key.",
    "key_activity": "What was done, as the audit log says it.",
    "key_id": "OCID of the key.",
    "oci_key_id": "The same as `key_id`.",
    "vault_id": "OCID of the vault.",
    "oci_vault_id": "The same as `vault_id`.",
    "user_name": "Who did it.",
}
_FILTERS = tuple(Parameter(name, repeated=True, description=word) for name, word in _WORDS.items())


class ReportRoutes:
    """Answers calls about reports."""

    def __init__(self, reports: Reports) -> None:
        self._reports = reports

    def routes(self) -> list[Route]:
        """All of them."""
        return [*self._records(), *self._rows()]

    def _records(self) -> list[Route]:
        return [
            Route(
                method="GET",
                path=_MANY,
                handler=self.listing,
                permission=in_container(VIEW, VIEW),
                tag=_TAG,
                summary="List reports",
                gives=ListOf[ReportRecord],
                query=(
                    *PAGING,
                    Parameter("id", repeated=True),
                    Parameter("name", repeated=True),
                    Parameter("report_type", repeated=True),
                    Parameter("overall_status", repeated=True),
                ),
            ),
            Route(
                method="POST",
                path=_MANY,
                handler=self.create,
                permission=in_container("reportcreate", "reportcreate"),
                tag=_TAG,
                summary="Make a report",
                description="`key-report`: what was done to keys, from the audit log. `key-aging`: how old keys and "
                "their current versions are. `key-rotation`: the versions that were made in up to 14 days, the last "
                "ones where none are named.",
                takes=CreateReport,
                gives=ReportRecord,
                status=201,
                errors=(404, 409),
                example={"name": "ages", "report_type": "key-aging"},
            ),
            Route(
                method="GET",
                path=_ONE,
                handler=self.read,
                permission=in_container(VIEW, VIEW),
                tag=_TAG,
                summary="Read a report",
                gives=ReportRecord,
            ),
            Route(
                method="DELETE",
                path=_ONE,
                handler=self.delete,
                permission=in_container("reportdelete", VIEW),
                tag=_TAG,
                summary="Delete a report",
                status=204,
            ),
        ]

    def _rows(self) -> list[Route]:
        return [
            Route(
                method="GET",
                path=f"{_ONE}/contents",
                handler=self.contents,
                permission=in_container(VIEW, VIEW),
                tag=_TAG,
                summary="Read the rows of a report",
                gives=ListOf[dict[str, Any]],
                query=(*PAGING[:2], *_FILTERS),
                errors=(409,),
            ),
            Route(
                method="GET",
                path=f"{_ONE}/download",
                handler=self.download,
                permission=in_container("reportdownload", VIEW),
                tag=_TAG,
                summary="Download a report as CSV",
                gives=str,
                media="text/csv",
                errors=(409,),
            ),
        ]

    async def listing(self, call: Call) -> Answer:
        """GET /reports."""
        return Answer(await self._reports.listing(call.caller.domain_id, call.containers(), call.query))

    async def create(self, call: Call) -> Answer:
        """POST /reports."""
        seen = call.containers()
        return Answer(await self._reports.create(call.caller, seen, call.body(CreateReport)), status=201)

    async def read(self, call: Call) -> Answer:
        """GET /reports/{id}."""
        return Answer(await self._reports.read(call.caller.domain_id, call.containers(), call.params["id"]))

    async def delete(self, call: Call) -> Answer:
        """DELETE /reports/{id}."""
        await self._reports.delete(call.caller.domain_id, call.containers(), call.params["id"])
        return Answer(status=204)

    async def contents(self, call: Call) -> Answer:
        """GET /reports/{id}/contents."""
        ident = call.params["id"]
        return Answer(await self._reports.contents(call.caller.domain_id, call.containers(), ident, call.query))

    async def download(self, call: Call) -> Answer:
        """GET /reports/{id}/download."""
        name, text = await self._reports.download(call.caller.domain_id, call.containers(), call.params["id"])
        headers = [
            (b"content-type", b"text/csv; charset=utf-8"),
            (b"content-disposition", f'attachment; filename="{name}"'.encode("ascii")),
        ]
        return Answer(text.encode(), headers=headers)
