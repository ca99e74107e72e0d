"""The first start: the root domain, its groups, and the user `admin` who can make all others; and his way back in."""

from __future__ import annotations

from claviger.audit.trail import about, withhold
from claviger.cckm import records as shared
from claviger.cckm.access.domains import records as domains
from claviger.cckm.access.domains.records import Domain, DomainDetails
from claviger.cckm.access.domains.rules import ROOT_NAME
from claviger.cckm.access.groups import records as groups
from claviger.cckm.access.groups.records import Group, GroupDetails
from claviger.cckm.access.groups.rules import SYSTEM_GROUPS
from claviger.cckm.access.onetime import FIRST_ADMIN, OneTimePassword, new_one_time_password
from claviger.cckm.access.passwords import Passwords
from claviger.cckm.access.sessions import records as sessions
from claviger.cckm.access.users import records as users
from claviger.cckm.access.users.records import User, UserDetails
from claviger.cckm.access.users.rules import password_problem, shown_user_id
from claviger.cckm.calls import ADMINS, ROOT_DOMAIN
from claviger.core.clock import Clock
from claviger.core.errors import Misconfigured, NotFound
from claviger.core.ids import new_uuid
from claviger.core.sensitive import Sensitive
from claviger.sealing.notes import SealedNotes
from claviger.store.contract import Store, Tx


async def ensure_admin(
    store: Store, passwords: Passwords, notes: SealedNotes, clock: Clock, preset: Sensitive | None
) -> None:
    """Makes the root domain and the user `admin` where there is no root domain yet; a later start changes nothing.

    With `preset` that is his password, for good. Otherwise he gets a one-time password, which `take_one_time_password`
    shows once and which he has to change before he can do anything else. Servers that start at once agree on one.
    Raises Misconfigured("Setting") for a preset password that is too weak.
    """
    if await domains.find(store, ROOT_DOMAIN) is not None:
        return
    if preset is not None:
        wrong = password_problem(preset.reveal_text(), FIRST_ADMIN)
        if wrong:
            raise Misconfigured(
                "Setting", setting="CLAVIGER_ADMIN_PASSWORD", fix=f"give a password that fits: it {wrong}"
            )
    password = preset if preset is not None else await OneTimePassword(notes).ensure()
    hashed = await passwords.hash(password)
    now = clock.now()
    admin = User(
        id=new_uuid(),
        domain_id=ROOT_DOMAIN,
        username=FIRST_ADMIN,
        name=FIRST_ADMIN,
        email="",
        password_change_required=preset is None,
        password_changed_at=now,
        token_epoch=0,
        failed_count=0,
        locked_until=0.0,
        last_login=None,
        details=UserDetails(nickname=FIRST_ADMIN),
        created_at=now,
        updated_at=now,
    )

    def change(tx: Tx) -> None:
        if domains.get(tx, ROOT_DOMAIN) is not None:
            withhold()
            return
        about("user", admin.id, admin.username)
        details = DomainDetails(admins=[shown_user_id(admin.id)])
        add_domain(tx, Domain(ROOT_DOMAIN, ROOT_NAME, details, now, now))
        users.add(tx, admin, hashed)
        groups.add_member(tx, ROOT_DOMAIN, ADMINS, admin.id)
        shared.bump_access_revision(tx)

    await store.write(change)


def add_domain(tx: Tx, domain: Domain) -> None:
    """Stores a new domain with the groups that every domain has (CCKM contract §6)."""
    domains.add(tx, domain)
    for name, description in SYSTEM_GROUPS.items():
        details = GroupDetails(description=description, app_metadata={"system": True})
        groups.add(tx, Group(domain.id, name, details, domain.created_at, domain.created_at))


async def take_one_time_password(notes: SealedNotes) -> Sensitive | None:
    """The first admin's one-time password, shown once: None ever after, and once he has changed it."""
    return await OneTimePassword(notes).take()


async def reset_password(
    store: Store, passwords: Passwords, notes: SealedNotes, clock: Clock, username: str, domain: str
) -> Sensitive:
    """Gives a user a new one-time password, which he has to change; ends his sessions and a lock-out.

    The domain, by id or name, is the one where he lives. Raises NotFound("NoSuchUser").
    """
    home = await domains.by_id_or_name(store, domain)
    user = await users.named(store, home.id, username) if home is not None else None
    if user is None:
        raise NotFound("NoSuchUser", user=username, domain=domain)
    password = new_one_time_password()
    hashed = await passwords.hash(password)
    now = clock.now()

    def change(tx: Tx) -> None:
        about("user", user.id, user.username)
        users.set_password(tx, user.id, hashed, True, now)
        sessions.remove_of_user(tx, user.id)
        shared.bump_access_revision(tx)

    await store.write(change)
    await OneTimePassword(notes).forget(user)
    return password
