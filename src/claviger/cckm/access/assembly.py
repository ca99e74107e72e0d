"""Puts the parts of access together: the gate, and every route of users, groups, domains, tokens and clients."""

from __future__ import annotations

from dataclasses import dataclass

from claviger.cckm.access.clients.operations import Clients
from claviger.cckm.access.clients.routes import ClientRoutes
from claviger.cckm.access.domains.operations import Domains
from claviger.cckm.access.domains.routes import DomainRoutes
from claviger.cckm.access.gate import TokenGate
from claviger.cckm.access.groups.operations import Groups
from claviger.cckm.access.groups.routes import GroupRoutes
from claviger.cckm.access.keys.routes import KeyRoutes
from claviger.cckm.access.onetime import OneTimePassword
from claviger.cckm.access.own.routes import OwnRoutes
from claviger.cckm.access.passwords import Passwords
from claviger.cckm.access.sessions.lines import Sessions
from claviger.cckm.access.sessions.operations import SignIn
from claviger.cckm.access.sessions.routes import SessionRoutes
from claviger.cckm.access.signing import SigningKeys
from claviger.cckm.access.snapshot import Access
from claviger.cckm.access.tokens import TokenMaker, TokenReader
from claviger.cckm.access.users.operations import Users
from claviger.cckm.access.users.routes import UserRoutes
from claviger.cckm.calls import Route
from claviger.cckm.sealed import Safe
from claviger.core.clock import Clock
from claviger.sealing.notes import SealedNotes
from claviger.store.contract import Store


@dataclass(frozen=True)
class AccessParts:
    """What the rest of the server needs of access. `passwords.close()` belongs to the server's end."""

    gate: TokenGate
    routes: list[Route]
    access: Access
    keys: SigningKeys
    passwords: Passwords


def access_parts(
    store: Store,
    safe: Safe,
    notes: SealedNotes,
    clock: Clock,
    machine_clock: Clock,
    passwords: Passwords | None = None,
) -> AccessParts:
    """Everything of access, on one database.

    Records are dated by `clock`; tokens, sessions and lock-outs go by `machine_clock`, as their holders' clocks do.
    """
    passwords = passwords or Passwords()
    one_time = OneTimePassword(notes)
    keys = SigningKeys(store, safe, machine_clock)
    access = Access(store, keys)
    reader = TokenReader(keys, machine_clock)
    sign_in = SignIn(store, passwords, TokenMaker(keys, machine_clock), one_time, machine_clock)
    users = Users(store, passwords, one_time, clock)
    routes = [
        *SessionRoutes(sign_in, Sessions(store, reader, machine_clock), machine_clock).routes(),
        *OwnRoutes(store, users, access, machine_clock).routes(),
        *KeyRoutes(keys).routes(),
        *ClientRoutes(Clients(store, machine_clock)).routes(),
        *UserRoutes(users, machine_clock).routes(),
        *GroupRoutes(Groups(store, clock)).routes(),
        *DomainRoutes(Domains(store, clock)).routes(),
    ]
    return AccessParts(TokenGate(store, access, reader, machine_clock), routes, access, keys, passwords)
