"""The endpoints of Azure secrets: HTTP in, one operation, HTTP out (CCKM contract, Azure §5)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import msgspec

from claviger.audit.trail import about
from claviger.cckm.approvals.guarding import Guards, guarded
from claviger.cckm.azure.secrets.listing import FILTERS
from claviger.cckm.azure.secrets.operations import Operations
from claviger.cckm.azure.secrets.rows import SecretRow
from claviger.cckm.azure.secrets.rules import (
    LONGEST_WAIT_S,
    UNSET_TIMES,
    Operation,
    Status,
    content_type_problem,
    name_problem,
    recovery_problems,
    tag_problems,
    time_problems,
    value_problem,
)
from claviger.cckm.azure.secrets.showing import KIND
from claviger.cckm.azure.secrets.wire import CreateSecret, NewAttributes, RestoreSecret, SecretRecord, UpdateSecret
from claviger.cckm.azure.secrets.work import CREATE, RESTORE_ELSEWHERE, Work
from claviger.cckm.azure.vaults.records import VaultRow
from claviger.cckm.calls import Answer, Call, ListOf, Parameter, Permission, Route, in_container
from claviger.cckm.errors import validation
from claviger.cckm.listing import PAGING
from claviger.core.errors import Invalid, NotFound

TAG = "Azure secrets"
PATH = "/cckm/azure/secrets"
LARGEST_BODY = 256 * 1024
WAIT = Parameter(
    "wait",
    "integer",
    f"Up to how many seconds to wait while Azure is still changing the secret's state, at most {LONGEST_WAIT_S}.",
)


class SecretRoutes:
    """Routes of secrets."""

    def __init__(self, operations: Operations, guards: Guards | None = None) -> None:
        self._operations = operations
        self._guards = guards

    def routes(self) -> list[Route]:
        """Every endpoint of secrets but synchronisation."""
        return [
            *self._of_records(),
            self._action("soft-delete", self._soft_delete, "secretdelete", "Soft-delete a secret in Azure"),
            self._action("hard-delete", self._hard_delete, "secretpurge", "Purge a soft-deleted secret in Azure"),
            self._action("recover", self._recover, "secretrecover", "Recover a soft-deleted secret"),
            self._action(
                "restore", self._restore, "secretrestore", "Restore a deleted secret from its backup", RestoreSecret
            ),
        ]

    def _of_records(self) -> list[Route]:
        return [
            Route(
                method="GET",
                path=PATH,
                handler=self._list,
                permission=in_container("secretview"),
                tag=TAG,
                summary="List secrets",
                query=(*PAGING, *FILTERS),
                gives=ListOf[SecretRecord],
            ),
            Route(
                method="POST",
                path=PATH,
                handler=self._create,
                permission=in_container("secretcreate"),
                tag=TAG,
                summary="Create a secret, or a new version of one",
                takes=CreateSecret,
                gives=SecretRecord,
                query=(WAIT,),
                status=201,
                body_limit=LARGEST_BODY,
                cloud=True,
            ),
            Route(
                method="GET",
                path=f"{PATH}/{{id}}",
                handler=self._get,
                permission=in_container("secretview"),
                tag=TAG,
                summary="Read a secret's record",
                reveals=self._operations.echoes,
                gives=SecretRecord,
            ),
            Route(
                method="PATCH",
                path=f"{PATH}/{{id}}",
                handler=self._update,
                permission=in_container("secretupdate"),
                tag=TAG,
                summary="Change a secret's attributes, tags or content type",
                takes=UpdateSecret,
                gives=SecretRecord,
                query=(WAIT,),
                body_limit=LARGEST_BODY,
                cloud=True,
            ),
            Route(
                method="DELETE",
                path=f"{PATH}/{{id}}",
                handler=self._remove,
                permission=in_container("secretdeletebackup"),
                tag=TAG,
                summary="Remove a deleted secret and its backup from CCKM",
                status=204,
            ),
        ]

    def _action(
        self, name: str, handler: object, action: str, summary: str, takes: type[msgspec.Struct] | None = None
    ) -> Route:
        permission: Permission = in_container(action)
        return Route(
            method="POST",
            path=f"{PATH}/{{id}}/{name}",
            handler=handler,  # type: ignore[arg-type]  # a bound method of this class
            permission=permission,
            tag=TAG,
            summary=summary,
            takes=takes,
            gives=SecretRecord,
            query=(WAIT,),
            cloud=True,
        )

    async def _list(self, call: Call) -> Answer:
        return Answer(await self._operations.page(call.caller.domain_id, call.query, call.containers()))

    async def _get(self, call: Call) -> Answer:
        view = await self._operations.shown(call.caller.domain_id, call.params["id"])
        with _hidden("there is no such secret"):
            call.require(view.key_vault_id)
        about(KIND, view.id, view.secret_name, view.key_vault)
        return Answer(view)

    async def _create(self, call: Call) -> Answer:
        wait_s = _wait(call)
        asked = call.body(CreateSecret)
        vault = await self._vault(call, asked.key_vault)
        work = _new(call, asked, vault)
        ident = await self._operations.create(vault, work, asked.azure_param.value, wait_s)
        return Answer(await self._operations.shown(call.caller.domain_id, ident), status=201)

    async def _update(self, call: Call) -> Answer:
        row, vault = await self._found(call)
        asked = call.body(UpdateSecret)
        work = _changed(call, row, vault, asked)
        return await self._changed(call, Operation.UPDATE, row, vault, work)

    async def _soft_delete(self, call: Call) -> Answer:
        row, vault = await self._found(call)
        kept = vault.soft_delete
        operation = Operation.SOFT_DELETE if kept else Operation.DELETE_FOR_GOOD
        work = _work(call, operation.value, row, vault)
        return await self._changed(call, operation, row, vault, msgspec.structs.replace(work, keeps_deleted=kept))

    async def _hard_delete(self, call: Call) -> Answer:
        row, vault = await self._found(call)
        return await self._changed(
            call, Operation.HARD_DELETE, row, vault, _work(call, Operation.HARD_DELETE.value, row, vault)
        )

    async def _recover(self, call: Call) -> Answer:
        row, vault = await self._found(call)
        return await self._changed(
            call, Operation.RECOVER, row, vault, _work(call, Operation.RECOVER.value, row, vault)
        )

    async def _restore(self, call: Call) -> Answer:
        row, vault = await self._found(call)
        asked = call.body(RestoreSecret)
        target = vault
        if asked.key_vault is not None:
            target = await self._vault(call, asked.key_vault)
            _refuse_hsm(target)
        kind = Operation.RESTORE.value if target.id == vault.id else RESTORE_ELSEWHERE
        return await self._changed(call, Operation.RESTORE, row, target, _work(call, kind, row, target))

    async def _remove(self, call: Call) -> Answer:
        row, vault = await self._found(call)
        async with guarded(self._guards, call) as guard:
            await self._operations.remove(row, vault, guard)
        return Answer(status=204)

    async def _found(self, call: Call) -> tuple[SecretRow, VaultRow]:
        row, vault = await self._operations.found(call.caller.domain_id, call.params["id"])
        with _hidden("there is no such secret"):
            call.require(vault.id)
        return row, vault

    async def _vault(self, call: Call, id_or_name: str) -> VaultRow:
        with _hidden("there is no such key vault under management"):
            vault = await self._operations.vault(call.caller.domain_id, id_or_name)
            call.require(vault.id)
        return vault

    async def _changed(self, call: Call, operation: Operation, row: SecretRow, vault: VaultRow, work: Work) -> Answer:
        wait_s = _wait(call)
        async with guarded(self._guards, call) as guard:
            ident = await self._operations.change(operation, row, vault, work, wait_s, guard)
        shown = await self._operations.shown(call.caller.domain_id, ident)
        await self._operations.settled(vault, row.name, Status(shown.status), wait_s)
        return Answer(shown)


@contextmanager
def _hidden(message: str) -> Iterator[None]:
    """What a caller may not see and what does not exist are refused in the same words."""
    try:
        yield
    except NotFound:
        raise NotFound("NotFound", message=message) from None


def _wait(call: Call) -> int:
    return call.query.integer("wait", 0, 0, LONGEST_WAIT_S)


def _work(call: Call, operation: str, row: SecretRow, vault: VaultRow) -> Work:
    return Work(
        operation=operation,
        vault_id=vault.id,
        domain_id=vault.domain_id,
        user_id=call.caller.user_id,
        name=row.name,
        secret_id=row.id,
        version=row.version,
    )


def _refuse_hsm(vault: VaultRow) -> None:
    if vault.is_managed_hsm:
        raise Invalid("ManagedHsm", message="key_vault: a managed HSM holds no secrets; name a key vault")


def _new(call: Call, asked: CreateSecret, vault: VaultRow) -> Work:
    param = asked.azure_param
    _refuse_hsm(vault)
    not_before, expires_at = _times(param.attributes, "azure_param.attributes")
    tags = None if param.tags is msgspec.UNSET else param.tags
    problems = {
        "secret_name": name_problem(asked.secret_name),
        "azure_param.value": value_problem(param.value.reveal()),
        "azure_param.contentType": content_type_problem(param.kind),
        **_below("azure_param", tag_problems(tags)),
        **_below("azure_param", time_problems(not_before, expires_at)),
        **_below("azure_param", _recovery(param.attributes, vault)),
    }
    _refuse(problems)
    return Work(
        operation=CREATE,
        vault_id=vault.id,
        domain_id=vault.domain_id,
        user_id=call.caller.user_id,
        name=asked.secret_name,
        content_type=param.kind,
        tags=tags,
        enabled=param.attributes.enabled is not False,
        not_before=not_before,
        expires_at=expires_at,
    )


def _changed(call: Call, row: SecretRow, vault: VaultRow, asked: UpdateSecret) -> Work:
    if asked.has_value:
        raise validation({"value": "cannot be changed; create the secret again, which makes a new version"})
    given = NewAttributes() if asked.attributes is msgspec.UNSET else asked.attributes
    not_before, expires_at = _times(given, "attributes")
    tags = None if asked.tags is msgspec.UNSET else asked.tags
    problems: dict[str, str | None] = {
        "contentType": content_type_problem(asked.kind),
        **tag_problems(tags),
        **time_problems(
            row.told.not_before if not_before is None else not_before,
            row.told.expires_at if expires_at is None else expires_at,
        ),
        **_recovery(given, vault),
    }
    _refuse(problems)
    unset = msgspec.UNSET
    return msgspec.structs.replace(
        _work(call, Operation.UPDATE.value, row, vault),
        content_type=unset if asked.kind is None else asked.kind,
        tags=asked.tags,
        enabled=given.enabled,
        not_before=unset if not_before is None else not_before,
        expires_at=unset if expires_at is None else expires_at,
    )


def _times(given: NewAttributes, place: str) -> tuple[int | None, int | None]:
    """`nbf` and `exp`. Go clients send their zero for a time that is not set (CCKM contract §1)."""
    not_before, expires_at = (None if at in UNSET_TIMES else at for at in given.times(place))
    return not_before, expires_at


def _recovery(given: NewAttributes, vault: VaultRow) -> dict[str, str]:
    days = None if given.recoverable_days is msgspec.UNSET else given.recoverable_days
    level = None if given.recovery_level is msgspec.UNSET else given.recovery_level
    return recovery_problems(days, level, vault.soft_delete)


def _below(place: str, problems: Mapping[str, str]) -> dict[str, str]:
    return {f"{place}.{field}": problem for field, problem in problems.items()}


def _refuse(problems: Mapping[str, str | None]) -> None:
    found = {field: problem for field, problem in problems.items() if problem is not None}
    if found:
        raise validation(found)
