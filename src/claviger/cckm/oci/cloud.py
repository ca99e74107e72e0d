"""How OCI is asked: the official SDK, which is synchronous, in threads of our own (docs/decisions/0020-oci-sdk.md).

`OciCloud.ask(handle, work, kind)` runs `work(client)` for a call that only reads, again where that may help;
`OciCloud.change(...)` sends it once, and again only after a 429, which did nothing. The SDK's own retries and its
circuit breaker, which is one for the whole process, are off. Every call ends in time: what has not is undecided.

    404 NotFound("CloudHidden") where a right may be missing, else NotFound("CloudNotFound"); one without a code of
    OCI's is Unavailable("CloudUnreachable"),
    409, 412 Conflict("CloudConflict"), 401, 403 Forbidden("CloudRefused"),
    other 4xx, 501 Invalid("CloudInvalid"), 429 Throttled("CloudThrottled", retry_after_s=...),
    not sent for certain Unavailable("CloudUnreachable"), perhaps done Unavailable("CloudUndecided").

Each has OCI's code and text as `facts["message"]`, and the code alone as `facts["code"]`.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import logging
import random
import ssl
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from claviger.cckm.oci.pace import Kind, budget_of
from claviger.cckm.oci.realm import REALM_DOMAIN, Handle, Service, handle, host_alone, is_region, vault_handle
from claviger.cckm.oci.workers import SHARE, Workers
from claviger.cckm.pace import Budgets, Limits
from claviger.cckm.reaching import said, seconds_asked
from claviger.core.errors import Conflict, Forbidden, Invalid, NotFound, Refusal, Throttled, Unavailable
from claviger.core.sensitive import Sensitive
from claviger.outgoing.hosts import is_local
from claviger.outgoing.trust import trust

T = TypeVar("T")

HIDDEN = frozenset({"NotAuthorizedOrNotFound", "NamespaceNotFound", "BucketNotFound"})
"""OCI's words for what is not there, or not the account's to see: it never says which."""
_MOST_IDLE_CLIENTS = 8
"""Clients that wait for work, of one service at one address; each keeps a connection."""
_MOST_HANDLES = 512
_MOST_CAUSES = 8
_LOOK_AT = "look at the connection's user_ocid, fingerprint and key, at the region and at this machine's clock"
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.3, 5.0
_SDK = ("oci.key_management", "oci.identity", "oci.object_storage", "oci.signer", "oci.circuit_breaker", "oci.retry")
_CLIENTS: dict[Service, tuple[str, str]] = {
    "control": ("oci.key_management", "KmsVaultClient"),
    "management": ("oci.key_management", "KmsManagementClient"),
    "identity": ("oci.identity", "IdentityClient"),
    "storage": ("oci.object_storage", "ObjectStorageClient"),
}

log = logging.getLogger("claviger.cckm")


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """Who signs, and where: what a connection comes to. `authority_pem` alone is trusted where it is given."""

    tenancy_ocid: str
    user_ocid: str
    fingerprint: str
    region: str
    private_key: Sensitive
    pass_phrase: Sensitive | None = None
    realm_domain: str = REALM_DOMAIN
    authority_pem: str | None = None


class OciCloud:
    """One account's way to OCI. Made by `clouds.OciClouds`."""

    def __init__(self, account: Account, limits: Limits, budgets: Budgets, workers: Workers, proxy: str | None) -> None:
        self.tenancy_ocid = account.tenancy_ocid
        self.region = account.region
        self.limits = limits
        self._account = account
        self._budgets = budgets
        self._workers = workers
        self._share = asyncio.Semaphore(SHARE)
        self._proxy = proxy
        self._opening = asyncio.Lock()
        self._signer: Any = None
        self._context: ssl.SSLContext | None = None
        self._idle: OrderedDict[Handle, list[Any]] = OrderedDict()
        self._lock = threading.Lock()
        self._closed = False

    # ------------------------------------------------------------------ where

    def control(self, region: str | None = None) -> Handle:
        """Vaults of a region. Raises Invalid("CloudInvalid") for what is no region's name."""
        return self._regional("control", region)

    def identity(self, region: str | None = None) -> Handle:
        """Identity in a region."""
        return self._regional("identity", region)

    def storage(self, region: str | None = None) -> Handle:
        """Object Storage of a region."""
        return self._regional("storage", region)

    def management(self, endpoint: str) -> Handle:
        """Keys of a vault, at the address that OCI published. Raises Invalid("CloudInvalid") for one elsewhere."""
        found = vault_handle(endpoint, self._account.realm_domain)
        if found is None:
            told = f"the vault's management endpoint is not one of the realm ({self._account.realm_domain})"
            raise Invalid("CloudInvalid", message=told)
        return found

    def _regional(self, service: Service, region: str | None) -> Handle:
        name = region or self.region
        if not is_region(name):
            raise Invalid("CloudInvalid", message="this is not the name of a region")
        return handle(service, name, self._account.realm_domain)

    # ------------------------------------------------------------------ asking

    async def ask(self, at: Handle, work: Callable[[Any], T], kind: Kind) -> T:
        """Runs a call of the SDK that only reads, a few times where that may help. Raises as the module says."""
        clock = asyncio.get_running_loop().time
        give_up_at, pause_s = clock() + self.limits.call_s, _FIRST_PAUSE_S
        for tries_left in reversed(range(self.limits.read_retries + 1)):
            try:
                return await self._turn(at, work, kind, max(1.0, give_up_at - clock()))
            except (Throttled, Unavailable) as refusal:
                asked = refusal.facts.get("retry_after_s")
                wait_s = float(str(asked)) if asked is not None else pause_s * random.uniform(0.5, 1.5)
                if not tries_left or wait_s > self.limits.patience_s or clock() + wait_s >= give_up_at:
                    raise
            await asyncio.sleep(wait_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
        raise AssertionError  # the last try answers or raises

    async def once(self, at: Handle, work: Callable[[Any], T], kind: Kind, calls: int = 1) -> T:
        """Runs a call that only reads, or a few one after the other, once: for who repeats it as he sees fit.

        Raises as the module says.
        """
        for _ in range(calls - 1):
            await self._take(at, kind)
        return await self._turn(at, work, kind, self.limits.call_s)

    async def change(self, at: Handle, work: Callable[[Any], T], kind: Kind) -> T:
        """Runs a call that changes something: once, and again only after a 429. Raises as the module says."""
        clock = asyncio.get_running_loop().time
        give_up_at = clock() + self.limits.call_s
        while True:
            try:
                return await self._turn(at, work, kind, max(1.0, give_up_at - clock()))
            except Throttled as refusal:
                wait_s = float(str(refusal.facts["retry_after_s"]))
                if wait_s > self.limits.patience_s or clock() + wait_s >= give_up_at:
                    raise
            await asyncio.sleep(wait_s)

    async def _turn(self, at: Handle, work: Callable[[Any], T], kind: Kind, limit_s: float) -> T:
        await self.open()
        await self._take(at, kind)
        used: list[Any] = []
        try:
            return await self._workers.run(
                lambda: self._in_thread(at, work, used),
                queue_s=self.limits.queue_s,
                limit_s=limit_s,
                share=self._share,
                cut=lambda: self._cut(used),
            )
        except Refusal:
            raise
        except TimeoutError:
            raise Unavailable("CloudUndecided", message="OCI did not answer in time") from None
        except Exception as failure:  # noqa: BLE001 - the SDK raises what it likes for answers it does not understand
            raise refusal_of(failure, self._hidden()) from None

    def paces(self, at: Handle) -> bool:
        """Whether calls wait for their turn there; on this machine there are as many turns as anybody wants."""
        return not is_local(host_alone(at.endpoint))

    async def _take(self, at: Handle, kind: Kind) -> None:
        if self.paces(at):
            await budget_of(self._budgets, self._account.realm_domain, self.tenancy_ocid, kind).take()

    def _in_thread(self, at: Handle, work: Callable[[Any], T], used: list[Any]) -> T:
        """One thread uses a client at a time: its session was not made for more. `used` names it meanwhile."""
        with self._lock:
            idle = self._idle.get(at)
            client = idle.pop() if idle else None
        if client is None:
            client = self._client(at)
        with self._lock:
            used.append(client)
        try:
            return work(client)
        finally:
            with self._lock:
                used.clear()
                kept = self._idle.setdefault(at, [])
                self._idle.move_to_end(at)
                if not self._closed and len(kept) < _MOST_IDLE_CLIENTS:
                    kept.append(client)
                    client = None
                forgotten = self._idle.popitem(last=False)[1] if len(self._idle) > _MOST_HANDLES else []
            for each in (*forgotten, *([client] if client is not None else [])):
                each.base_client.session.close()

    def _cut(self, used: list[Any]) -> None:
        """Ends the connection of a call that was given up, so that its thread is free again."""
        from claviger.cckm.oci.transport import cut

        with self._lock:
            for client in used:
                cut(client.base_client.session)

    # ------------------------------------------------------------------ the SDK

    async def open(self) -> None:
        """Loads the SDK and the key. Raises Invalid("CloudInvalid"), Unavailable("CloudUnreachable") once closed."""
        if self._closed:
            raise Unavailable("CloudUnreachable", message="the connection has changed or is closed; try again")
        async with self._opening:
            if self._signer is None:
                limits = self.limits
                try:
                    self._signer = await self._workers.run(
                        self._make_signer, queue_s=limits.queue_s, limit_s=limits.call_s, share=self._share
                    )
                except TimeoutError:
                    raise Invalid("CloudInvalid", message="the connection's key takes too long to open") from None

    def _make_signer(self) -> Any:
        load()
        from oci.signer import Signer

        account = self._account
        try:
            made = Signer(
                tenancy=account.tenancy_ocid,
                user=account.user_ocid,
                fingerprint=account.fingerprint,
                private_key_file_location=None,
                pass_phrase=None if account.pass_phrase is None else account.pass_phrase.reveal_text(),
                private_key_content=account.private_key.reveal_text(),
            )
        except Exception as problem:  # noqa: BLE001 - whatever is wrong with it, it was given to us
            told = said(str(problem), self._hidden())
            raise Invalid("CloudInvalid", message=f"the connection's key cannot be used: {told}") from None
        if not hasattr(made.private_key, "decrypt"):  # the kinds of keys that only sign are not OCI's
            raise Invalid("CloudInvalid", message="the connection's key cannot be used: it is not an RSA key")
        return made

    def _client(self, at: Handle) -> Any:
        from oci.circuit_breaker import NoCircuitBreakerStrategy
        from oci.retry import NoneRetryStrategy

        from claviger.cckm.oci.transport import set_up

        module, name = _CLIENTS[at.service]
        account = self._account
        config = {
            "tenancy": account.tenancy_ocid,
            "user": account.user_ocid,
            "fingerprint": account.fingerprint,
            "region": account.region,
            "key_content": "",
        }
        client = getattr(importlib.import_module(module), name)(
            config,
            service_endpoint=at.endpoint,
            signer=self._signer,
            retry_strategy=NoneRetryStrategy(),
            circuit_breaker_strategy=NoCircuitBreakerStrategy(),
            timeout=(self.limits.connect_s, self.limits.read_s),
        )
        set_up(
            client.base_client.session,
            self._trust(),
            None if is_local(host_alone(at.endpoint)) else self._proxy,
            self.limits.body_bytes,
        )
        return client

    def _trust(self) -> ssl.SSLContext:
        """Made once, for all clients: to read what the machine trusts takes longer than a call."""
        with self._lock:
            if self._context is None:
                self._context = trust(self._account.authority_pem)
            return self._context

    def _hidden(self) -> tuple[Sensitive, ...]:
        phrase = self._account.pass_phrase
        return (self._account.private_key,) if phrase is None else (self._account.private_key, phrase)

    async def check(self) -> None:
        """Asks who the account is. Raises as `ask` does."""
        user = self._account.user_ocid
        await self.ask(self.identity(), lambda client: client.get_user(user), "others")

    async def close(self) -> None:
        """Ends all connections; calls under way go on to their time-outs, and their clients are closed then."""
        with self._lock:
            self._closed = True
            left = [client for clients in self._idle.values() for client in clients]
            self._idle.clear()
        for client in left:
            with contextlib.suppress(Exception):
                client.base_client.session.close()


def load() -> None:
    """Imports the SDK. Takes half a second: call it in a thread."""
    for name in _SDK:
        importlib.import_module(name)
    logging.getLogger("oci").setLevel(logging.CRITICAL)  # what failed is told once, by our own refusal


def refusal_of(failure: Exception, hidden: tuple[Sensitive, ...] = ()) -> Refusal:
    """What the SDK raised, as one of our refusals."""
    from oci import exceptions as sdk

    if isinstance(failure, sdk.ServiceError):
        return _answered(failure, hidden)
    if isinstance(failure, sdk.ConnectTimeout):
        return Unavailable("CloudUnreachable", message="OCI cannot be reached: no connection in time")
    if isinstance(failure, sdk.RequestException):
        if _is_not_sent(failure):
            return Unavailable("CloudUnreachable", message="OCI cannot be reached: no connection, name or trust")
        return Unavailable("CloudUndecided", message="OCI did not answer: the connection was cut, or took too long")
    log.warning("an answer of OCI was not understood: %s", type(failure).__name__)
    return Unavailable("CloudUndecided", message=f"OCI's answer was not understood ({type(failure).__name__})")


def _is_not_sent(failure: Any) -> bool:
    """Whether it is certain that the request never left: no name, no connection, no TLS."""
    from urllib3 import exceptions as below

    certain = (below.NewConnectionError, below.ConnectTimeoutError, below.ProxyError, below.SSLError)
    at: Any = failure
    for _ in range(_MOST_CAUSES):
        if isinstance(at, certain):
            return True
        causes = (getattr(at, "reason", None), *getattr(at, "args", ()), at.__cause__, at.__context__)
        at = next((cause for cause in causes if isinstance(cause, BaseException)), None)
        if at is None:
            break
    return False


def _not_there(message: str, code: str) -> Refusal:
    """A 404; what a proxy's page does not show says nothing about what OCI has."""
    if not code.isalnum():
        return Unavailable("CloudUnreachable", message=f"{message} (a 404 that is not OCI's)")
    return NotFound("CloudHidden" if code in HIDDEN else "CloudNotFound", message=message, code=code)


def _answered(failure: Any, hidden: tuple[Sensitive, ...]) -> Refusal:
    status, code = int(failure.status), str(failure.code or "")[:100]
    words = f"{code}: {failure.message}" if code else str(failure.message or "without an explanation")
    message = said(f"OCI answered {status}: {words}", hidden)
    match status:
        case 404:
            return _not_there(message, code)
        case 409 | 412:
            return Conflict("CloudConflict", message=message, code=code)
        case 401 | 403:
            told = message if status == 403 else f"{message}; {_LOOK_AT}"
            return Forbidden("CloudRefused", message=told, code=code)
        case 429:
            told = message if "TooManyRequests" in message else f"{message} (TooManyRequests)"
            wait_s = seconds_asked(failure.headers.get("Retry-After") or failure.headers.get("retry-after") or "1")
            return Throttled("CloudThrottled", message=told, code=code, retry_after_s=wait_s)
        case 501 | 505:
            return Invalid("CloudInvalid", message=message, code=code)
    if status >= 500 or status < 300:
        return Unavailable("CloudUndecided", message=message)
    if status < 400:  # redirections are not followed: they would carry a request elsewhere
        return Unavailable("CloudUnreachable", message=f"OCI answered {status}, which leads elsewhere")
    return Invalid("CloudInvalid", message=message, code=code)
