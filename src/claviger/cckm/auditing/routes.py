"""The audit log over HTTP: /v1/audit/records, and what proves it under /v1/claviger/audit (CCKM contract §10)."""

from __future__ import annotations

from claviger.audit.entry import Origin, Severity
from claviger.cckm.auditing.operations import AuditTrail
from claviger.cckm.auditing.wire import (
    AuditRecordShown,
    CheckpointShown,
    ClientRecord,
    ConsistencyShown,
    InclusionShown,
    PublicKeyShown,
)
from claviger.cckm.calls import CCKM_ADMINS, Answer, Call, Handler, ListOf, Parameter, Route, members
from claviger.cckm.listing import PAGING, Page, window_of
from claviger.core.errors import NotFound

TAG = "Audit"
_RECORDS = "/audit/records"
_CLIENTS = "/audit/client-records"
_PROOF = "/claviger/audit"
_FILTERS = (
    Parameter("severity", description="How grave.", repeated=True, values=Severity.__args__),  # type: ignore[attr-defined]
    Parameter("createdAfter", description="From this time on; RFC 3339."),
    Parameter("createdBefore", description="Up to this time; RFC 3339."),
    Parameter("success", "boolean", "Whether what was asked for was done."),
    Parameter("message", description="What was done, in any case; * stands for anything.", repeated=True),
    Parameter(
        "service", description="Which service did it: cckm, keyvault, management, login, claviger.", repeated=True
    ),
    Parameter(
        "source",
        description=f"Where it came from: {', '.join(Origin.__args__)}.",  # type: ignore[attr-defined]
        repeated=True,
    ),
    Parameter("client_ip", description="The address that the call came from.", repeated=True),
    Parameter("username", description="Who did it, by name, in any case; * stands for anything.", repeated=True),
    Parameter("object_id", description="What it was done to, by id."),
)
_WHO = "Members of `admin` see every record of their domain, CCKM Admins those of the service cckm."


class AuditRoutes:
    """The routes of the log. None of them is recorded: they only read it."""

    def __init__(self, trail: AuditTrail) -> None:
        self._trail = trail

    def routes(self) -> list[Route]:
        """All of them."""
        return [*self._of_records(), *self._of_clients(), *self._of_proofs()]

    def _of_records(self) -> list[Route]:
        return [
            Route(
                method="GET",
                path=_RECORDS,
                handler=self._list,
                permission=members(CCKM_ADMINS),
                tag=TAG,
                summary="List audit records",
                description=f"The newest first. {_WHO}",
                gives=ListOf[AuditRecordShown],
                query=(*PAGING, *_FILTERS),
            ),
            Route(
                method="GET",
                path=f"{_RECORDS}/{{id}}",
                handler=self._get,
                permission=members(CCKM_ADMINS),
                tag=TAG,
                summary="Read an audit record",
                description=f"With its canonical form, whose hash is a leaf of the log's tree. {_WHO}",
                gives=AuditRecordShown,
                errors=(404,),
            ),
        ]

    def _of_clients(self) -> list[Route]:
        return [
            Route(
                method="GET",
                path=_CLIENTS,
                handler=self._no_clients,
                permission=members(CCKM_ADMINS),
                tag=TAG,
                summary="List the records that clients have sent",
                description="There are none: no client of this server sends any.",
                gives=ListOf[ClientRecord],
                query=PAGING,
            ),
            Route(
                method="GET",
                path=f"{_CLIENTS}/{{id}}",
                handler=self._no_client,
                permission=members(CCKM_ADMINS),
                tag=TAG,
                summary="Read a record that a client has sent",
                gives=ClientRecord,
                errors=(404,),
            ),
        ]

    def _of_proofs(self) -> list[Route]:
        return [
            self._proof(
                "checkpoint",
                self._checkpoint,
                "Read the last signed checkpoint",
                "How many records there are, and the root of their tree. Kept elsewhere, it proves what was there.",
                CheckpointShown,
            ),
            self._proof(
                "proofs/inclusion",
                self._inclusion,
                "Prove that a record is in the log",
                "The hashes that lead from the record to the root of the first `size` records (RFC 9162 §2.1.3).",
                InclusionShown,
                Parameter("seq", "integer", "The record's number.", least=0),
                Parameter("size", "integer", "How many records; without it, all.", least=0),
            ),
            self._proof(
                "proofs/consistency",
                self._consistency,
                "Prove that the log only grew",
                "That the first `to` records begin with the first `from` (RFC 9162 §2.1.4).",
                ConsistencyShown,
                Parameter("from", "integer", "The earlier size.", least=0),
                Parameter("to", "integer", "The later size; without it, all.", least=0),
            ),
            self._proof(
                "public-key",
                self._public_key,
                "Read the key that checkpoints are checked with",
                "Keep it apart from the server: `claviger audit verify --public-key` takes it.",
                PublicKeyShown,
            ),
        ]

    def _proof(
        self, name: str, handler: Handler, summary: str, description: str, gives: object, *query: Parameter
    ) -> Route:
        return Route(
            method="GET",
            path=f"{_PROOF}/{name}",
            handler=handler,
            permission=members(CCKM_ADMINS),
            tag=TAG,
            summary=summary,
            description=description,
            gives=gives,
            query=query,
            errors=(404,) if not query else (),
        )

    async def _list(self, call: Call) -> Answer:
        return Answer(await self._trail.page(call.caller, call.query))

    async def _get(self, call: Call) -> Answer:
        return Answer(await self._trail.read(call.caller, call.params["id"]))

    async def _no_clients(self, call: Call) -> Answer:
        window = window_of(call.query)
        return Answer(Page(window.skip, window.limit, 0, []))

    async def _no_client(self, _: Call) -> Answer:
        raise NotFound("AuditRecordNotFound", message="there is no such audit record")

    async def _checkpoint(self, _: Call) -> Answer:
        return Answer(await self._trail.checkpoint())

    async def _inclusion(self, call: Call) -> Answer:
        return Answer(await self._trail.inclusion(call.query))

    async def _consistency(self, call: Call) -> Answer:
        return Answer(await self._trail.consistency(call.query))

    async def _public_key(self, _: Call) -> Answer:
        return Answer(await self._trail.public_key())
