"""How Azure is reached: signing in, sending, waiting for a turn; the clients of the official SDK for one connection.

`AzureClouds.reach(connection)` gives the `AzureCloud` of a connection, which the `cloud` modules of the other resources
build on: they take a client from it and let `cloud.ask(...)` (reads) or `cloud.change(...)` (all else) run one call.
Both raise what `translated` tells, Throttled("CloudThrottled") for calls that get no turn in time, and nothing else. A
change is sent once; only after a 429, which did nothing, it is waited for and sent again.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from claviger.cckm.azure.cloud import (
    ONCE,
    SignIn,
    knowing_what_was_sent,
    load,
    noting_transport,
    reading_again,
    translated,
)
from claviger.cckm.azure.connections.pace import AzureBudgets, Budget, Limits, Slots
from claviger.cckm.azure.connections.rules import (
    AZURE_STACK,
    AzureDetails,
    Connection,
    Credentials,
    Endpoints,
    endpoints_of,
    host_of,
    is_vault_name,
)
from claviger.cckm.connections.operations import SEALED_AS
from claviger.cckm.reaching import said
from claviger.cckm.sealed import Safe
from claviger.core.errors import Conflict, Invalid, Throttled, Unavailable
from claviger.core.sensitive import Sensitive
from claviger.outgoing.hosts import is_local
from claviger.outgoing.trust import trust

if TYPE_CHECKING:
    import aiohttp
    from azure.identity.aio import CertificateCredential, ClientSecretCredential
    from azure.keyvault.secrets.aio import SecretClient
    from azure.mgmt.keyvault.aio import KeyVaultManagementClient
    from azure.mgmt.subscription.aio import SubscriptionClient

__all__ = ["ONCE", "AzureCloud", "AzureClouds", "SignIn", "credentials_of", "sealed_form", "translated"]

T = TypeVar("T")

_MOST_CLIENTS = 1024
# Azure Stack lags years behind; these are the newest versions that all of its releases know.
_STACK_VAULTS = {"api_version": "2016-10-01"}


class AzureCloud:
    """One connection's way to Azure: a session, a credential, and clients. Made by `AzureClouds`."""

    def __init__(
        self, details: AzureDetails, credentials: Credentials, limits: Limits, budgets: AzureBudgets, proxy: str | None
    ) -> None:
        self.endpoints: Endpoints = endpoints_of(details)
        self.tenant_id = details.tenant_id
        self.limits = limits
        self.calls = 0
        self.used_at = 0.0
        self._details = details
        self._credentials = credentials
        self._budgets = budgets
        self._proxy = None if is_local(_host_alone(self.endpoints.login)) else proxy
        self._slots = Slots(limits.at_once, limits.queue_s)
        self._opening = asyncio.Lock()
        self._session: aiohttp.ClientSession | None = None
        self._sign_in: SignIn | None = None
        self._closed = False
        self._vaults: OrderedDict[str, SecretClient] = OrderedDict()
        self._arm: dict[str, Any] = {}

    async def open(self) -> None:
        """Loads the SDK and makes the session; every client needs that first. Raises Invalid("CloudInvalid")."""
        self.used_at = asyncio.get_running_loop().time()
        async with self._opening:
            if self._session is not None or self._closed:
                return
            try:
                context = await asyncio.to_thread(_prepare, self._details.azure_stack_server_cert or None)
                from claviger.cckm.azure.connections.transport import open_session

                self._session = open_session(context, self.limits, self._proxy)
                self._sign_in = SignIn(self._credential(), self.limits.sign_in_s, self._hidden())
            except ValueError as problem:  # a certificate that cannot be read, a tenant that the SDK does not take
                if self._session is not None:
                    await self._session.close()
                    self._session = None
                raise Invalid("CloudInvalid", message=said(f"the connection is not usable: {problem}")) from None

    async def close(self) -> None:
        """Ends all connections; calls under way fail."""
        self._closed = True
        if self._sign_in is not None:
            await self._sign_in.close()
        if self._session is not None:
            await self._session.close()

    async def check(self) -> None:
        """Signs in for vaults and for Resource Manager, and asks the latter one question. Raises as `ask` does."""
        await self.open()
        sign_in = self._signed_in()
        if self.endpoints.vault_audience:
            await sign_in.get_token_info(f"{self.endpoints.vault_audience}/.default")
        client = self.subscriptions()

        async def first_one() -> None:
            await anext(aiter(client.subscriptions.list()), None)

        await self.ask(first_one, self.arm_budget(""))

    async def ask(self, work: Callable[[], Awaitable[T]], budget: Budget | None) -> T:
        """Runs a call of the SDK that only reads; the SDK repeats it where that may help. Raises as the module says."""
        async with self._calling():
            if budget is not None:
                await budget.take()
            async with knowing_what_was_sent(), translated(*self._hidden(), limit_s=self.limits.call_s):
                return await work()
        raise AssertionError  # a context manager that might swallow: it does not

    async def change(
        self,
        work: Callable[[], Awaitable[T]],
        budget: Budget | None,
        *,
        creates: bool = False,
        hidden: Iterable[Sensitive] = (),
    ) -> T:
        """Runs a call that changes something. `work` has to give the SDK `**ONCE`. Raises as the module says.

        The call is made once, and again only after a 429, for as long as `call_s` lasts.
        """
        clock = asyncio.get_running_loop().time
        give_up_at = clock() + self.limits.call_s
        secrets = (*self._hidden(), *hidden)
        async with self._calling():
            while True:
                if budget is not None:
                    await budget.take(creates=creates)
                try:
                    left_s = max(1.0, give_up_at - clock())
                    async with knowing_what_was_sent(), translated(*secrets, limit_s=left_s):
                        return await work()
                except Throttled as refusal:
                    wait = float(str(refusal.facts["retry_after_s"]))
                    if wait > self.limits.patience_s or clock() + wait >= give_up_at:
                        raise
                    await asyncio.sleep(wait)

    @asynccontextmanager
    async def _calling(self) -> AsyncIterator[None]:
        self._signed_in()
        self.calls += 1
        try:
            async with self._slots:
                yield
        finally:
            self.calls -= 1
            self.used_at = asyncio.get_running_loop().time()

    # ------------------------------------------------------------------ vaults

    def vault_url(self, azure_name: str, vault_uri: str) -> str:
        """The URL of a vault, without a slash at its end. Raises Invalid("VaultAddress").

        It follows from the name where the connection says how. Else it is what Azure says, if that lies in the cloud
        that the connection names: an address that came from elsewhere is never asked.
        """
        suffix = self.endpoints.vault_suffix
        if self.endpoints.own_vaults:
            if not is_vault_name(azure_name):
                raise Invalid("VaultAddress", message="this is not a vault's name")
            return f"https://{azure_name.lower()}.{suffix}"
        host = host_of(vault_uri)
        if host is None or not host.endswith(f".{suffix}") or not is_vault_name(host.removesuffix(f".{suffix}")):
            raise Invalid("VaultAddress", message=f"the vault's address is not one of the cloud's ({suffix})")
        return f"https://{host}"

    def budget(self, vault_url: str) -> Budget | None:
        """The turns for calls of a vault. Only Azure's own vaults have published limits; None is no limit."""
        return None if self.endpoints.own_vaults else self._budgets.of_vault(vault_url)

    def secret_client(self, vault_url: str) -> SecretClient:
        """The client of a vault, at a URL from `vault_url`. The least recently used are forgotten."""
        from azure.keyvault.secrets.aio import SecretClient

        found = self._vaults.get(vault_url)
        if found is None:
            # The challenge of a vault names the resource to ask tokens for; that it is the vault's own domain is
            # verified by the SDK, for addresses of the connection too, so that no other host is given a token.
            found = SecretClient(vault_url, self._signed_in(), **self._client_settings(), **self._stack_version())
            self._vaults[vault_url] = found
            if len(self._vaults) > _MOST_CLIENTS:
                self._vaults.popitem(last=False)
        self._vaults.move_to_end(vault_url)
        return found

    # ------------------------------------------------------------------ Resource Manager

    def arm_budget(self, subscription_id: str) -> Budget | None:
        """The turns for calls of a subscription at Resource Manager."""
        if is_local(_host_alone(self.endpoints.arm)):
            return None
        return self._budgets.of_subscription(self.endpoints.arm, subscription_id)

    def subscriptions(self) -> SubscriptionClient:
        """The client for subscriptions."""
        from azure.mgmt.subscription.aio import SubscriptionClient

        if "" not in self._arm:
            self._arm[""] = SubscriptionClient(
                self._signed_in(),
                base_url=self.endpoints.arm,
                **self._arm_settings(),
            )
        client: SubscriptionClient = self._arm[""]
        return client

    def management(self, subscription_id: str) -> KeyVaultManagementClient:
        """The client for vaults of a subscription."""
        from azure.mgmt.keyvault.aio import KeyVaultManagementClient

        if subscription_id not in self._arm:
            if len(self._arm) > _MOST_CLIENTS:
                self._arm.clear()
            settings = self._arm_settings() | self._stack_version()
            self._arm[subscription_id] = KeyVaultManagementClient(
                self._signed_in(),
                subscription_id,
                base_url=self.endpoints.arm,
                **settings,
            )
        client: KeyVaultManagementClient = self._arm[subscription_id]
        return client

    # ------------------------------------------------------------------ inside

    def _signed_in(self) -> SignIn:
        if self._sign_in is None or self._closed:
            raise Unavailable("CloudUnreachable", message="the connection has changed or is closed; try again")
        return self._sign_in

    def _client_settings(self) -> dict[str, Any]:
        return {
            "transport": self._transport(),
            "retry_policy": reading_again(self.limits.read_retries, self.limits.patience_s),
            "permit_redirects": False,
        }

    def _arm_settings(self) -> dict[str, Any]:
        return {**self._client_settings(), "credential_scopes": [f"{self.endpoints.arm_audience}/.default"]}

    def _stack_version(self) -> dict[str, str]:
        return _STACK_VAULTS if self._details.cloud_name == AZURE_STACK else {}

    def _transport(self) -> Any:
        return noting_transport(self._session, self.limits.connect_s, self.limits.read_s)

    def _credential(self) -> ClientSecretCredential | CertificateCredential:
        """These two never do instance discovery, so an authority of one's own needs no more than its URL."""
        from azure.identity.aio import CertificateCredential, ClientSecretCredential

        told: dict[str, Any] = {
            "authority": self.endpoints.login,
            "transport": self._transport(),
            "retry_policy_class": lambda **_: reading_again(self.limits.read_retries, self.limits.patience_s),
        }
        tenant_id, client_id = self._details.tenant_id, self._details.client_id
        if self._credentials.private_key is not None:
            pem = self._credentials.private_key.reveal() + b"\n" + self._details.certificate.encode()
            return CertificateCredential(tenant_id, client_id, certificate_data=pem, **told)
        if self._credentials.client_secret is None:
            raise ValueError("the connection has no credentials")
        return ClientSecretCredential(tenant_id, client_id, self._credentials.client_secret.reveal_text(), **told)

    def _hidden(self) -> tuple[Sensitive, ...]:
        secret = self._credentials.client_secret
        return () if secret is None else (secret,)


def _prepare(authority_pem: str | None) -> ssl.SSLContext:
    load()
    return trust(authority_pem)


def _host_alone(url: str) -> str:
    return (host_of(url) or "").partition(":")[0]


class AzureClouds:
    """The ways to Azure of all connections, opened when first needed and kept while they are used."""

    def __init__(self, safe: Safe, limits: Limits | None = None, proxy: str | None = None) -> None:
        self._safe = safe
        self._limits = limits or Limits()
        self._proxy = proxy
        self._budgets = AzureBudgets(self._limits.queue_s)
        self._open: OrderedDict[tuple[str, int], AzureCloud] = OrderedDict()
        self._retired: list[AzureCloud] = []

    async def reach(self, connection: Connection) -> AzureCloud:
        """The way of a connection. Raises Conflict("ConnectionGone") or Invalid("CloudInvalid")."""
        key = (connection.id, connection.revision)
        found = self._open.get(key)
        if found is None:
            sealed = await self._safe.open(SEALED_AS, connection.id)
            if sealed is None:
                raise Conflict(
                    "ConnectionGone", message=f"the connection {connection.name} has no credentials any more"
                )
            found = self._open.get(key)
            if found is None:
                found = self._open[key] = self.try_out(connection.details, credentials_of(sealed))
                self._retire(connection.id)
        self._open.move_to_end(key)
        await found.open()
        await self._close_idle()
        return found

    def try_out(self, details: AzureDetails, credentials: Credentials) -> AzureCloud:
        """A way that is not stored, for a test of parameters. Whoever asks for it opens and closes it."""
        return AzureCloud(details, credentials, self._limits, self._budgets, self._proxy)

    def forget(self, connection_id: str) -> None:
        """Sets aside every way of a connection that was deleted."""
        for key in [key for key in self._open if key[0] == connection_id]:
            self._retired.append(self._open.pop(key))

    def _retire(self, connection_id: str) -> None:
        """Sets aside what a change of the connection has made old, and the least recently used beyond the limit."""
        same = [key for key in self._open if key[0] == connection_id]
        for key in same[:-1]:
            self._retired.append(self._open.pop(key))
        while len(self._open) > self._limits.clouds:
            self._retired.append(self._open.popitem(last=False)[1])

    async def _close_idle(self) -> None:
        """Closes what was set aside, once nobody has used it for a while: a long job may still hold it."""
        if not self._retired:
            return
        now = asyncio.get_running_loop().time()
        idle = [cloud for cloud in self._retired if not cloud.calls and now - cloud.used_at > self._limits.idle_s]
        self._retired = [cloud for cloud in self._retired if cloud not in idle]
        for cloud in idle:
            await cloud.close()

    async def close(self) -> None:
        """Closes all."""
        clouds = [*self._open.values(), *self._retired]
        self._open.clear()
        self._retired = []
        for cloud in clouds:
            await cloud.close()


def sealed_form(credentials: Credentials) -> Sensitive:
    """The credentials as they are sealed: one JSON object."""
    told = {
        name: value.reveal_text()
        for name in ("client_secret", "private_key")
        if (value := getattr(credentials, name)) is not None
    }
    return Sensitive(msgspec.json.encode(told))


def credentials_of(sealed: Sensitive) -> Credentials:
    """The credentials that `sealed_form` was given."""
    told: dict[str, str] = msgspec.json.decode(sealed.reveal(), type=dict[str, str])
    return Credentials(**{name: Sensitive(value) for name, value in told.items()})
