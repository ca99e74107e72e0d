"""What all modules that use Azure's SDK share: loading it, one translation of what it raises, how it repeats reads.

The SDK is imported on first use, in a thread: it takes half a second and 50 MB. `translated()` turns what it raises
into refusals of our own family, always with Azure's code and text as `facts["message"]`, and for the first three
Azure's code alone as `facts["code"]`:

    404 NotFound("CloudNotFound"), 409 Conflict("CloudConflict"), 401, 403, no token Forbidden("CloudRefused"),
    other 4xx, 501, 505 Invalid("CloudInvalid"), 429 Throttled("CloudThrottled", retry_after_s=...),
    not sent for certain Unavailable("CloudUnreachable"), perhaps done Unavailable("CloudUndecided").
"""

from __future__ import annotations

import asyncio
import importlib
import logging
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from claviger.cckm.reaching import said, seconds_asked
from claviger.core.errors import Conflict, Forbidden, Invalid, NotFound, Refusal, Throttled, Unavailable
from claviger.core.sensitive import Sensitive

if TYPE_CHECKING:
    from azure.core.credentials import AccessToken, AccessTokenInfo, TokenRequestOptions
    from azure.identity.aio import CertificateCredential, ClientSecretCredential

ONCE: dict[str, Any] = {"retry_total": 0}
"""What every call of the SDK that changes something is given, so that it is sent once.

Its retry policy then never repeats, not even for a Retry-After (azure-core 1.41, `RetryPolicyBase.increment`); its
authentication policy sends again after a 401 alone, which did nothing.
"""

_SDK = (
    "aiohttp",
    "aiolimiter",
    "azure.core.pipeline.transport",
    "azure.identity.aio",
    "azure.keyvault.secrets.aio",
    "azure.mgmt.keyvault.aio",
    "azure.mgmt.subscription.aio",
)
_SENT: ContextVar[list[str]] = ContextVar("sent")

log = logging.getLogger("claviger.cckm")


def load() -> None:
    """Imports the SDK. Takes half a second: call it in a thread."""
    for name in _SDK:
        importlib.import_module(name)
    logging.getLogger("azure").setLevel(logging.ERROR)  # what failed is told once, by our own refusal


@asynccontextmanager
async def translated(*hidden: Sensitive, limit_s: float | None = None) -> AsyncIterator[None]:
    """Turns whatever the SDK raises inside into one of our refusals (see the module's text).

    `hidden` values are struck out of Azure's words; after `limit_s` seconds the call is given up, undecided.
    """
    try:
        async with asyncio.timeout(limit_s):
            yield
    except Refusal:
        raise
    except TimeoutError:
        raise Unavailable("CloudUndecided", message="Azure did not answer in time") from None
    except Exception as failure:  # noqa: BLE001  the SDK raises what it likes for answers that it does not understand
        raise _refusal_of(failure, hidden) from None


@asynccontextmanager
async def knowing_what_was_sent() -> AsyncIterator[None]:
    """Makes an undecided outcome a certain one where nothing was sent: CloudUndecided becomes CloudUnreachable.

    For one call by clients with a `noting_transport`. Much may fail before a call is made: it waits for others that
    sign in, asks the vault whom it trusts, gets a token.
    """
    sent: list[str] = []
    mark = _SENT.set(sent)
    try:
        yield
    except Unavailable as refusal:
        if refusal.reason == "CloudUndecided" and not sent:
            raise Unavailable("CloudUnreachable", message=f"nothing was asked: {refusal.facts['message']}") from None
        raise
    finally:
        _SENT.reset(mark)


def noting_transport(session: Any, connect_s: float, read_s: float) -> Any:
    """The SDK's transport over a session that is not its own; notes each request that is sent with a token."""
    from azure.core.pipeline.transport import AioHttpTransport

    class Noting(AioHttpTransport):  # type: ignore[misc]  # the SDK gives this name on demand
        async def send(self, request: Any, **options: Any) -> Any:
            if "Authorization" in request.headers:
                _SENT.get([]).append(request.method)
            return await super().send(request, **options)

    return Noting(session=session, session_owner=False, connection_timeout=connect_s, read_timeout=read_s)


def _refusal_of(failure: Exception, hidden: Iterable[Sensitive]) -> Refusal:
    from azure.core import exceptions as sdk

    if isinstance(failure, sdk.HttpResponseError) and failure.status_code is not None:
        return _answered(failure, hidden)
    if isinstance(failure, sdk.ClientAuthenticationError):
        if failure.message.startswith(("Unexpected response", "No response")):  # what follows is the whole answer
            return Unavailable("CloudUnreachable", message="the login host's answer is neither a token nor an error")
        return Forbidden("CloudRefused", message=said(failure.message, hidden))
    if isinstance(failure, sdk.AzureError):
        # aiohttp's transport calls every failure of a connection "not sent", so the cause behind it decides.
        if _is_not_sent(failure.inner_exception) or isinstance(failure, sdk.ServiceRequestTimeoutError):
            why = failure.message.replace(" ssl:True", "").replace(" ssl:default", "")
            return Unavailable("CloudUnreachable", message=said(f"Azure cannot be reached: {why}", hidden))
        return Unavailable("CloudUndecided", message=said(f"Azure did not answer: {failure.message}", hidden))
    if isinstance(failure, ValueError) and "challenge" in str(failure):  # the SDK's check of who gets a token
        return Forbidden("CloudRefused", message=said(f"the vault asks for a token of another cloud: {failure}"))
    log.warning("an answer of Azure was not understood", exc_info=failure)
    return Unavailable("CloudUndecided", message=f"Azure's answer was not understood ({type(failure).__name__})")


def _is_not_sent(failure: BaseException | None) -> bool:
    """Whether it is certain that the request never left: no name, no connection, no TLS."""
    import aiohttp

    return isinstance(
        failure,
        (
            aiohttp.ClientConnectorError,
            aiohttp.ConnectionTimeoutError,
            aiohttp.ClientHttpProxyError,
            aiohttp.InvalidURL,
        ),
    )


def _answered(failure: Any, hidden: Iterable[Sensitive]) -> Refusal:
    status = int(failure.status_code)
    message = said(f"Azure answered {status}: {_words(failure)}", hidden)
    match status:
        case 404:
            return NotFound("CloudNotFound", message=message, code=_code(failure))
        case 409:
            return Conflict("CloudConflict", message=message, code=_code(failure))
        case 401 | 403:
            return Forbidden("CloudRefused", message=message, code=_code(failure))
        case 429:
            return Throttled("CloudThrottled", message=message, retry_after_s=retry_after(failure.response))
        case 501 | 505:
            return Invalid("CloudInvalid", message=message)
    if status >= 500 or status < 300:  # a success that cannot be read was a success perhaps
        return Unavailable("CloudUndecided", message=message)
    if status < 400:  # redirections are not followed: they would carry a secret elsewhere
        return Unavailable("CloudUnreachable", message=f"Azure answered {status}, which leads elsewhere")
    return Invalid("CloudInvalid", message=message)


def _code(failure: Any) -> str:
    """Azure's most precise word for what is wrong; empty for an answer that is not in Azure's form."""
    return "" if failure.error is None else str(_inner_code(failure.error) or failure.error.code)[:100]


def _inner_code(told: Any) -> Any:
    return told.innererror.get("code") if isinstance(told.innererror, dict) else None


def _words(failure: Any) -> str:
    """Azure's code, inner code and text; where the answer has none, the reason of its status."""
    told = failure.error
    if told is None:
        at = failure.message.find("AADSTS")  # what the login host answers has a form of its own
        return failure.message[at:].strip("'") if at >= 0 else str(failure.reason or "without an explanation")
    inner = _inner_code(told)
    code = f"{told.code} ({inner})" if inner and inner != told.code else told.code
    return f"{code}: {told.message}" if told.message else str(code)


def retry_after(response: Any) -> int:
    """The seconds that an answer asks to wait, from 1 to 3600; 5 where it says nothing."""
    text = response.headers.get("Retry-After", "") if response is not None else ""
    return seconds_asked(text)


class SignIn:
    """A credential of the SDK: tokens of the connection's own, got once for all who wait for one.

    A call whose sign-in failed was certainly not made, so nothing here is ever undecided.
    """

    def __init__(
        self, inner: ClientSecretCredential | CertificateCredential, limit_s: float, hidden: Iterable[Sensitive]
    ) -> None:
        self._inner = inner
        self._limit_s = limit_s
        self._hidden = tuple(hidden)
        self._one = asyncio.Lock()

    async def get_token_info(self, *scopes: str, options: TokenRequestOptions | None = None) -> AccessTokenInfo:
        """A token for the scopes. Raises Forbidden("CloudRefused"), Unavailable("CloudUnreachable") or Throttled."""
        try:
            async with translated(*self._hidden, limit_s=self._limit_s), self._one:
                return await self._inner.get_token_info(*scopes, options=options)
        except (Forbidden, Invalid, NotFound, Conflict) as refusal:
            # "... AADSTS7000215: Invalid client secret provided. ... Trace ID: ...": the first line is what helps.
            words = str(refusal.facts["message"]).partition(" Trace ID:")[0]
            raise Forbidden("CloudRefused", message=f"signing in failed: {words}") from None
        except Unavailable as refusal:
            raise Unavailable("CloudUnreachable", message=f"signing in failed: {refusal.facts['message']}") from None

    async def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        """The same in the older form."""
        from azure.core.credentials import AccessToken

        told = {name: options[name] for name in ("claims", "tenant_id", "enable_cae") if options.get(name)}
        found = await self.get_token_info(*scopes, options=told)  # type: ignore[arg-type]
        return AccessToken(found.token, found.expires_on)

    async def close(self) -> None:
        """Forgets the tokens."""
        await self._inner.close()

    async def __aenter__(self) -> SignIn:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


def reading_again(retries: int, patience_s: float) -> Any:
    """The SDK's policy for repeating reads: a few times, soon, and after a Retry-After of tolerable length only."""
    from azure.core.pipeline.policies import AsyncRetryPolicy

    class Patient(AsyncRetryPolicy):  # type: ignore[type-arg]
        def parse_retry_after(self, retry_after: str) -> float:
            try:
                wait = float(super().parse_retry_after(retry_after))
            except Exception:  # noqa: BLE001  the library's date parser raises what it likes
                return 1.0
            return wait if wait >= 0 else 1.0  # also for what is not a number

        def get_retry_after(self, response: Any) -> float | None:
            text = response.http_response.headers.get("Retry-After")
            return self.parse_retry_after(text) if text else None

        def is_retry(self, settings: dict[str, Any], response: Any) -> bool:
            wait = self.get_retry_after(response)
            if wait is not None and wait > patience_s:
                return False
            return bool(super().is_retry(settings, response))

    return Patient(retry_total=retries, retry_backoff_factor=0.3, retry_backoff_max=5)
