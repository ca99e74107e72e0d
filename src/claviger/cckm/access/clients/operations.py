"""What is done with clients: a user makes them for himself, sees his own, and deletes them, which ends their tokens."""

from __future__ import annotations

from claviger.audit.trail import about
from claviger.cckm import records as shared
from claviger.cckm.access import records as access
from claviger.cckm.access.clients import records
from claviger.cckm.access.clients.records import Client, ClientDetails
from claviger.cckm.access.clients.rules import MOST_PER_USER, SECRET_BYTES, secret_hash
from claviger.cckm.access.sessions.operations import REVOKED_FOR_S
from claviger.cckm.access.users.rules import text_problem
from claviger.cckm.calls import ADMINS, Caller
from claviger.cckm.errors import validation
from claviger.core.clock import Clock
from claviger.core.errors import Conflict, NotFound
from claviger.core.ids import new_token, new_uuid
from claviger.core.sensitive import Sensitive
from claviger.store.contract import Store, Tx

CLIENT = "client"


class Clients:
    """The clients of a caller, in the domain that he acts in. `clock` is the machine's."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def create(self, caller: Caller, name: str) -> tuple[Client, Sensitive]:
        """A client and its secret, which is shown this once. Raises Invalid and Conflict("TooManyClients")."""
        wrong = text_problem(name)
        if wrong:
            raise validation({"name": wrong})
        secret = Sensitive(new_token(SECRET_BYTES))
        client = Client(
            id=new_uuid(),
            sha256=secret_hash(secret.reveal()),
            user_id=caller.user_id,
            domain_id=caller.domain_id,
            details=ClientDetails(name),
            created_at=self._clock.now(),
        )

        def change(tx: Tx) -> None:
            if records.count_of_user(tx, caller.user_id) >= MOST_PER_USER:
                raise Conflict("TooManyClients", message=f"a user may have at most {MOST_PER_USER} clients")
            about(CLIENT, client.id, name)
            records.add(tx, client)
            shared.bump_access_revision(tx)

        await self._store.write(change)
        return client, secret

    async def own(self, caller: Caller) -> list[Client]:
        """The caller's clients, oldest first."""
        return await records.of_user(self._store, caller.user_id, caller.domain_id)

    async def get(self, caller: Caller, client_id: str) -> Client:
        """A client of the caller's, or to an admin any of the domain. Raises NotFound."""
        found = await records.find(self._store, client_id)
        if found is None or not _is_visible(caller, found):
            raise _no_such_client()
        return found

    async def delete(self, caller: Caller, client_id: str) -> None:
        """Deletes a client and ends its tokens. Raises NotFound as `get` does."""
        now = self._clock.now()

        def change(tx: Tx) -> None:
            found = records.get(tx, client_id)
            if found is None or not _is_visible(caller, found):
                raise _no_such_client()
            about(CLIENT, client_id, found.details.name)
            records.remove(tx, client_id)
            access.revoke(tx, [client_id], now + REVOKED_FOR_S)
            shared.bump_access_revision(tx)

        await self._store.write(change)


def _is_visible(caller: Caller, client: Client) -> bool:
    return client.domain_id == caller.domain_id and (client.user_id == caller.user_id or caller.is_in(ADMINS))


def _no_such_client() -> NotFound:
    return NotFound("NotFound", message="there is no such client")
