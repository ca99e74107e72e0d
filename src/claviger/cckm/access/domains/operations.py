"""What is done with domains: made, changed and deleted by the root domain's admins, seen by whoever acts in them."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from claviger.audit.trail import about
from claviger.cckm import records as shared
from claviger.cckm.access.domains import records
from claviger.cckm.access.domains.records import Domain, DomainDetails
from claviger.cckm.access.domains.rules import name_problem
from claviger.cckm.access.domains.wire import DomainChange, NewDomain
from claviger.cckm.access.first import add_domain
from claviger.cckm.access.groups import records as groups
from claviger.cckm.access.metadata import merged
from claviger.cckm.access.users import records as users
from claviger.cckm.access.users.rules import LONGEST_TEXT, plain_user_id, shown_user_id
from claviger.cckm.calls import ADMINS, ROOT_DOMAIN, Caller
from claviger.cckm.errors import validation
from claviger.core.clock import Clock
from claviger.core.errors import Conflict, Forbidden, NotFound
from claviger.core.ids import new_uuid
from claviger.store.contract import Store, Tx

DOMAIN = "domain"
MOST_ADMINS = 100


class Domains:
    """All domains, as a caller may see them."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def visible(self, caller: Caller) -> list[Domain]:
        """Every domain to admins of the root domain; to all others the one they act in."""
        found = await records.all_of_them(self._store)
        return found if _rules_all(caller) else [domain for domain in found if domain.id == caller.domain_id]

    async def get(self, caller: Caller, id_or_name: str) -> Domain:
        """A domain by its id or name. Raises NotFound, also for one that the caller does not see."""
        found = await records.by_id_or_name(self._store, id_or_name)
        if found is None or not (found.id == caller.domain_id or _rules_all(caller)):
            raise _no_such_domain()
        return found

    async def create(self, caller: Caller, new: NewDomain) -> Domain:
        """A new domain with its system groups; those in `admins`, else the caller, are in its group `admin`.

        Raises Invalid, Forbidden where the caller is no admin of the root domain, and Conflict("DomainNameInUse").
        """
        _must_rule_all(caller)
        _check(new)
        now = self._clock.now()
        domain_id = new_uuid()

        def change(tx: Tx) -> Domain:
            if records.named(tx, new.name) is not None:
                raise Conflict("DomainNameInUse", message="this name is in use by another domain")
            admins = new.admins or [shown_user_id(caller.user_id)]
            details = DomainDetails(
                admins=admins,
                allow_user_management=new.allow_user_management,
                parent_ca_id=new.parent_ca_id,
                hsm_connection_id=new.hsm_connection_id,
                hsm_kek_label=new.hsm_kek_label,
                meta=merged("meta", {}, new.meta),
            )
            domain = Domain(domain_id, new.name, details, now, now)
            about(DOMAIN, domain.id, domain.name)
            add_domain(tx, domain)
            for user_id in _found(tx, admins):
                groups.add_member(tx, domain_id, ADMINS, user_id)
            shared.bump_access_revision(tx)
            return domain

        return await self._store.write(change)

    async def update(self, caller: Caller, id_or_name: str, asked: DomainChange) -> Domain:
        """Changes what can be changed of a domain. Raises Invalid, NotFound and Forbidden."""
        found = await self.get(caller, id_or_name)
        _must_rule_all(caller)
        if asked.name is not None and asked.name != found.name:
            raise validation({"name": "cannot be changed"})
        _check_texts(hsm_connection_id=asked.hsm_connection_id or "", hsm_kek_label=asked.hsm_kek_label or "")
        now = self._clock.now()

        def change(tx: Tx) -> Domain:
            domain = records.get(tx, found.id)
            if domain is None:
                raise _no_such_domain()
            about(DOMAIN, domain.id, domain.name)
            after = changed(domain, asked, now)
            records.replace(tx, after)
            shared.bump_access_revision(tx)
            return after

        return await self._store.write(change)

    async def delete(self, caller: Caller, id_or_name: str) -> None:
        """Deletes a domain that is empty. Raises NotFound, Forbidden, Conflict("DomainInUse" | "RootDomain")."""
        found = await self.get(caller, id_or_name)
        _must_rule_all(caller)
        if found.id == ROOT_DOMAIN:
            raise Conflict("RootDomain", message="the root domain cannot be deleted")

        def change(tx: Tx) -> None:
            if records.get(tx, found.id) is None:
                raise _no_such_domain()
            about(DOMAIN, found.id, found.name)
            uses = records.uses_of(tx, found.id)
            if uses:
                told = ", ".join(f"{count} {what}" for what, count in uses.items())
                raise Conflict("DomainInUse", message=f"the domain still has {told}; delete them first")
            records.remove(tx, found.id)
            shared.bump_access_revision(tx)

        await self._store.write(change)


def changed(domain: Domain, asked: DomainChange, now: float) -> Domain:
    """The domain after a PATCH."""
    details = domain.details
    after = msgspec.structs.replace(
        details,
        hsm_connection_id=asked.hsm_connection_id or details.hsm_connection_id,
        hsm_kek_label=asked.hsm_kek_label or details.hsm_kek_label,
        meta=merged("meta", details.meta, asked.meta),
    )
    return msgspec.structs.replace(domain, details=after, updated_at=now)


def _found(tx: Tx, admins: Sequence[str]) -> list[str]:
    """The ids of users of the root domain, named by id or username. Raises Invalid("Validation")."""
    found = []
    for at, text in enumerate(admins):
        user_id = plain_user_id(text)
        user = users.get(tx, user_id) if user_id else users.named_in_tx(tx, ROOT_DOMAIN, text)
        if user is None or user.domain_id != ROOT_DOMAIN:
            raise validation({f"admins[{at}]": "there is no such user in the root domain"})
        found.append(user.id)
    return found


def _check(new: NewDomain) -> None:
    problems = {}
    wrong = name_problem(new.name)
    if wrong:
        problems["name"] = wrong
    if len(new.admins) > MOST_ADMINS:
        problems["admins"] = f"may name at most {MOST_ADMINS} users"
    if problems:
        raise validation(problems)
    _check_texts(
        parent_ca_id=new.parent_ca_id, hsm_connection_id=new.hsm_connection_id, hsm_kek_label=new.hsm_kek_label
    )


def _check_texts(**texts: str) -> None:
    problems = {
        field: f"must have at most {LONGEST_TEXT} characters"
        for field, text in texts.items()
        if len(text) > LONGEST_TEXT
    }
    if problems:
        raise validation(problems)


def _rules_all(caller: Caller) -> bool:
    return caller.domain_id == ROOT_DOMAIN and caller.is_in(ADMINS)


def _must_rule_all(caller: Caller) -> None:
    if not _rules_all(caller):
        raise Forbidden("RootAdminOnly", message="this is for members of admin of the root domain, signed in there")


def _no_such_domain() -> NotFound:
    return NotFound("NotFound", message="there is no such domain")
