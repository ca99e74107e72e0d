"""What is done with users: made, looked up, changed, deleted; and whom somebody who is no `admin` must leave alone."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from claviger.audit.trail import about
from claviger.cckm import records as shared
from claviger.cckm.access.acls import records as acls
from claviger.cckm.access.acls.rules import user_grantee
from claviger.cckm.access.domains import records as domains
from claviger.cckm.access.groups import records as groups
from claviger.cckm.access.metadata import merged
from claviger.cckm.access.onetime import OneTimePassword
from claviger.cckm.access.passwords import Passwords
from claviger.cckm.access.sessions import records as sessions
from claviger.cckm.access.users import records
from claviger.cckm.access.users.records import Search, User, UserDetails
from claviger.cckm.access.users.rules import password_problem, text_problem, username_problem
from claviger.cckm.access.users.wire import NewUser, UserChange
from claviger.cckm.calls import ADMINS, Caller
from claviger.cckm.errors import validation
from claviger.core.clock import Clock
from claviger.core.errors import Conflict, Forbidden, NotFound
from claviger.core.ids import new_uuid
from claviger.store.contract import Store, Tx

USER = "user"


class Users:
    """The users of a caller's domain: those who live there, and the root domain's who are in a group of it."""

    def __init__(self, store: Store, passwords: Passwords, one_time: OneTimePassword, clock: Clock) -> None:
        self._store = store
        self._passwords = passwords
        self._one_time = one_time
        self._clock = clock

    async def create(self, caller: Caller, new: NewUser) -> User:
        """A user who lives in the caller's domain.

        Raises Invalid, Conflict("UsernameInUse"), Throttled where too many passwords wait to be hashed, and Forbidden
        where the domain has no users of its own.
        """
        problems = _problems(username=new.username, name=new.name, email=new.email, nickname=new.nickname)
        wrong = password_problem(new.password.reveal_text(), new.username)
        if wrong:
            problems["password"] = wrong
        if problems:
            raise validation(problems)
        now = self._clock.now()
        user = User(
            id=new_uuid(),
            domain_id=caller.domain_id,
            username=new.username,
            name=new.name,
            email=new.email,
            password_change_required=new.password_change_required,
            password_changed_at=now,
            token_epoch=0,
            failed_count=0,
            locked_until=0.0,
            last_login=None,
            details=UserDetails(
                nickname=new.nickname or new.username,
                prevent_ui_login=bool(new.login_flags.prevent_ui_login),
                app_metadata=merged("app_metadata", {}, new.app_metadata),
                user_metadata=merged("user_metadata", {}, new.user_metadata),
            ),
            created_at=now,
            updated_at=now,
        )
        hashed = await self._passwords.hash(new.password)

        def change(tx: Tx) -> User:
            _check_domain(tx, caller)
            if records.named_in_tx(tx, user.domain_id, user.username) is not None:
                raise _name_in_use()
            about(USER, user.id, user.username)
            records.add(tx, user, hashed)
            shared.bump_access_revision(tx)
            return user

        return await self._store.write(change)

    async def get(self, caller: Caller, user_id: str) -> User:
        """A user whom the caller's domain sees. Raises NotFound."""
        found = await records.seen_in(self._store, caller.domain_id, user_id)
        if found is None:
            raise NotFound("NotFound", message="there is no such user in this domain")
        return found

    async def count(self, caller: Caller, search: Search) -> int:
        """How many users match."""
        return await records.count(self._store, caller.domain_id, search)

    async def listed(
        self, caller: Caller, search: Search, order: Sequence[tuple[str, bool]], skip: int, most: int
    ) -> list[User]:
        """One page of the users who match."""
        return await records.listed(self._store, caller.domain_id, search, order, skip, most)

    async def groups_of(self, caller: Caller, users: Sequence[User]) -> dict[str, list[str]]:
        """The groups of the caller's domain that each of these users is in."""
        return await groups.of_users(self._store, caller.domain_id, [user.id for user in users])

    async def update(self, caller: Caller, user_id: str, asked: UserChange) -> User:
        """Changes a user. A new password ends his sessions, and a lock-out.

        Raises Invalid, NotFound, Conflict("UsernameInUse"), Throttled where too many passwords wait to be hashed, and
        Forbidden for a user who lives elsewhere, or who is an admin while the caller is none.
        """
        before = await self.get(caller, user_id)
        _check_fields(asked, before)
        hashed = await self._passwords.hash(asked.password) if asked.password is not None else None
        now = self._clock.now()

        def change(tx: Tx) -> User:
            user = _manageable(tx, caller, user_id)
            if asked.username is not None:
                holder = records.named_in_tx(tx, user.domain_id, asked.username)
                if holder is not None and holder.id != user.id:
                    raise _name_in_use()
            after = changed(user, asked, now)
            records.replace(tx, after)
            if hashed is not None:
                records.set_password(tx, user.id, hashed, after.password_change_required, now)
                sessions.remove_of_user(tx, user.id)
            elif asked.failed_logins_count == 0:
                records.set_failures(tx, user.id, 0, 0.0)
            shared.bump_access_revision(tx)
            return records.get(tx, user.id) or after

        after = await self._store.write(change)
        if hashed is not None:
            await self._one_time.forget(after)
        return after

    async def update_self(self, caller: Caller, asked: UserChange) -> User:
        """Changes what everybody may change of himself: name, nickname, e-mail address, user_metadata."""
        if asked.password is not None:
            raise validation({"password": "is changed with PATCH /api/v1/auth/changepw"})
        before = await self.own(caller)
        _check_fields(asked, before)
        own = UserChange(name=asked.name, email=asked.email, nickname=asked.nickname, user_metadata=asked.user_metadata)
        now = self._clock.now()

        def change(tx: Tx) -> User:
            user = records.get(tx, caller.user_id)
            if user is None:
                raise NotFound("NotFound")
            about(USER, user.id, user.username)
            after = changed(user, own, now)
            records.replace(tx, after)
            shared.bump_access_revision(tx)
            return after

        return await self._store.write(change)

    async def own(self, caller: Caller) -> User:
        """The caller himself. Raises NotFound."""
        found = await records.find(self._store, caller.user_id)
        if found is None:
            raise NotFound("NotFound")
        return found

    async def delete(self, caller: Caller, user_id: str) -> None:
        """Deletes a user with his memberships, sessions, clients and entries in ACLs.

        Raises NotFound, Forbidden as `update` does, and Conflict for oneself and the last admin of a domain.
        """

        def change(tx: Tx) -> None:
            user = _manageable(tx, caller, user_id)
            if user.id == caller.user_id:
                raise Conflict("OwnUser", message="nobody deletes himself; ask another admin")
            if groups.domains_led_alone(tx, user.id):
                raise Conflict("LastAdmin", message="the last admin of a domain cannot be deleted")
            acls.remove_grantee(tx, user_grantee(user.id))
            records.remove(tx, user.id)
            shared.bump_access_revision(tx)

        await self._store.write(change)


def changed(user: User, asked: UserChange, now: float) -> User:
    """The user after a PATCH; metadata are merged, all else is replaced."""
    details = user.details
    flag = asked.login_flags.prevent_ui_login
    must_change = asked.password_change_required
    return msgspec.structs.replace(
        user,
        username=_or(asked.username, user.username),
        name=_or(asked.name, user.name),
        email=_or(asked.email, user.email),
        password_change_required=user.password_change_required if must_change is None else must_change,
        details=UserDetails(
            nickname=_or(asked.nickname, details.nickname),
            prevent_ui_login=details.prevent_ui_login if flag is None else flag,
            app_metadata=merged("app_metadata", details.app_metadata, asked.app_metadata),
            user_metadata=merged("user_metadata", details.user_metadata, asked.user_metadata),
        ),
        updated_at=now,
    )


def _or(new: str | None, old: str) -> str:
    return old if new is None else new


def _manageable(tx: Tx, caller: Caller, user_id: str) -> User:
    """The user, if the caller may change him. Raises NotFound or Forbidden."""
    user = records.seen_in_tx(tx, caller.domain_id, user_id)
    if user is None:
        raise NotFound("NotFound", message="there is no such user in this domain")
    about(USER, user.id, user.username)
    if user.domain_id != caller.domain_id:
        raise Forbidden("ForeignUser", message="this user lives in another domain, where alone he can be changed")
    if not caller.is_in(ADMINS) and records.is_admin_somewhere(tx, user.id):
        raise Forbidden("AdminOnly", message="only members of admin may change or delete an admin")
    _check_domain(tx, caller)
    return user


def _check_domain(tx: Tx, caller: Caller) -> None:
    domain = domains.get(tx, caller.domain_id)
    if domain is None:
        raise NotFound("NotFound", message="there is no such domain")
    if not domain.details.allow_user_management:
        raise Forbidden("UserManagementOff", message="this domain was made without user management")


def _check_fields(asked: UserChange, user: User) -> None:
    problems = _problems(
        username=asked.username, name=asked.name or "", email=asked.email or "", nickname=asked.nickname or ""
    )
    if asked.password is not None:
        wrong = password_problem(asked.password.reveal_text(), _or(asked.username, user.username))
        if wrong:
            problems["password"] = wrong
    if asked.failed_logins_count not in (None, 0):
        problems["failed_logins_count"] = "can only be set to 0"
    if problems:
        raise validation(problems)


def _problems(*, username: str | None, **texts: str) -> dict[str, str]:
    found = {"username": username_problem(username) if username is not None else None}
    found |= {field: text_problem(text) for field, text in texts.items()}
    return {field: problem for field, problem in found.items() if problem}


def _name_in_use() -> Conflict:
    return Conflict("UsernameInUse", message="this username is in use in the domain")
