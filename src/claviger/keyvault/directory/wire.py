"""What the login host reads and answers, exactly as it stands on the wire: forms, tokens, documents and errors.

An error is a row of `ERRORS`: the reason under which the code refuses, and the AADSTS number, OAuth word, status and
message that clients and people know from Entra ID.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import parse_qsl, unquote_plus

import msgspec

from claviger.core.errors import Busy, Invalid, Refusal

MAX_FIELDS = 64
MAX_ECHO = 120


class Fault(msgspec.Struct, frozen=True):
    """One kind of error: its AADSTS number, OAuth word, HTTP status, and a message with room for the facts."""

    number: int
    error: str
    status: int
    message: str


_REVIEW = (
    " Review the documentation at "
    "https://docs.microsoft.com/azure/active-directory/develop/active-directory-certificate-credentials ."
)
ERRORS: Mapping[str, Fault] = {
    "TenantNotFound": Fault(
        90002,
        "invalid_request",
        400,
        "Tenant '{tenant}' not found. Check to make sure you have the correct tenant ID and are signing into the "
        "correct cloud. Check with your subscription administrator, this may happen if there are no active "
        "subscriptions for the tenant.",
    ),
    "TenantNeeded": Fault(
        50059,
        "invalid_request",
        400,
        "No tenant-identifying information found in either the request or implied by any provided credentials.",
    ),
    "ApplicationNotFound": Fault(
        700016,
        "unauthorized_client",
        400,
        "Application with identifier '{app}' was not found in the directory '{tenant}'. This can happen if the "
        "application has not been installed by the administrator of the tenant or consented to by any user in the "
        "tenant. You may have sent your authentication request to the wrong tenant.",
    ),
    "ClientSecretWrong": Fault(
        7000215,
        "invalid_client",
        401,
        "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not "
        "the client secret ID, for a secret added to app '{app}'.",
    ),
    "ClientSecretExpired": Fault(
        7000222, "invalid_client", 401, "The provided client secret keys for app '{app}' are expired."
    ),
    "ClientSecretMissing": Fault(
        7000216,
        "invalid_client",
        401,
        "'client_assertion', 'client_secret' or 'request' is required for the 'client_credentials' grant type.",
    ),
    "AssertionType": Fault(50027, "invalid_request", 400, "Invalid client_assertion_type."),
    "AssertionMalformed": Fault(50027, "invalid_request", 400, "JWT token is invalid or malformed."),
    "AssertionWithoutAudience": Fault(
        90014,
        "invalid_request",
        400,
        "The required field 'aud' is missing from the credential. Ensure that you have all the necessary parameters "
        "for the login request.",
    ),
    "AssertionAlgorithm": Fault(
        5002738,
        "invalid_client",
        401,
        "Invalid JWT token. '{given}' is not a supported signature algorithm. Supported signing algorithms are: "
        "'{known}'",
    ),
    "AssertionWithoutThumbprint": Fault(
        5002723,
        "invalid_client",
        401,
        "Invalid JWT token. No certificate SHA-1 thumbprint, certificate SHA-256 thumbprint, nor keyId specified in "
        "token header.",
    ),
    "CertificateUnknown": Fault(
        700027,
        "invalid_client",
        401,
        "The certificate with identifier used to sign the client assertion is not registered on application. [Reason - "
        "The key was not found., Thumbprint of key used by client: '{thumbprint}', app Id '{app}']",
    ),
    "CertificateOutdated": Fault(
        700027,
        "invalid_client",
        401,
        "Client assertion contains an invalid signature. [Reason - The key used is {state}., Thumbprint of key used by "
        "client: '{thumbprint}', Found key 'Start={begins}, End={ends}']",
    ),
    "AssertionSignature": Fault(
        700027,
        "invalid_client",
        401,
        "Client assertion contains an invalid signature. [Reason - The provided signature value did not match the "
        "expected signature value., Thumbprint of key used by client: '{thumbprint}', Found key 'Start={begins}, "
        "End={ends}']",
    ),
    "AssertionIdentifier": Fault(
        700021,
        "invalid_client",
        401,
        "Client assertion application identifier doesn't match 'client_id' parameter." + _REVIEW,
    ),
    "AssertionAudience": Fault(
        700023,
        "invalid_client",
        401,
        "Client assertion audience claim does not match Realm issuer." + _REVIEW,
    ),
    "AssertionTime": Fault(
        700024,
        "invalid_client",
        401,
        "Client assertion is not within its valid time range. Current time: {now}, assertion valid from {begins}, "
        "expiry time of assertion {ends}." + _REVIEW,
    ),
    "AssertionTooLong": Fault(
        700024,
        "invalid_client",
        401,
        "Client assertion is not within its valid time range: it may be good for {hours} hours at most. Current time: "
        "{now}, assertion valid from {begins}, expiry time of assertion {ends}." + _REVIEW,
    ),
    "GrantUnsupported": Fault(
        70003, "unsupported_grant_type", 400, "The app requested an unsupported grant type '{grant}'."
    ),
    "ParameterMissing": Fault(
        900144, "invalid_request", 400, "The request body must contain the following parameter: '{name}'."
    ),
    "ScopeWithoutDefault": Fault(
        1002012,
        "invalid_scope",
        400,
        "The provided value for scope {scope} is not valid. Client credential flows must have a scope value with "
        "/.default suffixed to the resource identifier (application ID URI).",
    ),
    "ScopeMixed": Fault(
        70011,
        "invalid_scope",
        400,
        "The provided request must include a 'scope' input parameter. The provided value for the input parameter "
        "'scope' is not valid. The scope {scope} is not valid.",
    ),
    "ResourceUnknown": Fault(
        500011,
        "invalid_resource",
        400,
        "The resource principal named {resource} was not found in the tenant named {tenant}.",
    ),
    "InstanceUnknown": Fault(50049, "invalid_instance", 400, "Unknown or invalid instance."),
    "RequestMalformed": Fault(9002313, "invalid_request", 400, "Invalid request. Request is malformed or invalid."),
    "RequestTooLarge": Fault(9002313, "invalid_request", 413, "Invalid request. Request is malformed or invalid."),
    "RequestTooSlow": Fault(9002313, "invalid_request", 408, "Invalid request. The request did not arrive in time."),
    "PageUnknown": Fault(9002313, "invalid_request", 404, "Invalid request. There is nothing at this address."),
    "VerbNotAllowed": Fault(
        900561, "invalid_request", 405, "The endpoint only accepts {allowed} requests. Received a {verb} request."
    ),
    "TooManyFailures": Fault(
        90055, "temporarily_unavailable", 429, "There are too many incoming requests. Try again in {retry_after_s} s."
    ),
}
_BUSY = Fault(90033, "temporarily_unavailable", 503, "A transient error has occurred. Please try again.")
_UNRECORDED = Fault(90033, "temporarily_unavailable", 503, "{message}")
_FAILED = Fault(90033, "server_error", 500, "An error has occurred on the server.")


class ErrorBody(msgspec.Struct):
    """An error as Entra ID answers it."""

    error: str
    error_description: str
    error_codes: list[int]
    timestamp: str
    trace_id: str
    correlation_id: str
    error_uri: str


class Token(msgspec.Struct):
    """The answer of the version 2 token endpoint."""

    token_type: str
    expires_in: int
    ext_expires_in: int
    access_token: str


class TokenV1(msgspec.Struct):
    """The answer of the version 1 token endpoint, where numbers are strings."""

    token_type: str
    expires_in: str
    ext_expires_in: str
    expires_on: str
    not_before: str
    resource: str
    access_token: str


class IdentityToken(msgspec.Struct):
    """The answer of the identity endpoint and of IMDS; every value is a string."""

    access_token: str
    client_id: str
    expires_in: str
    expires_on: str
    ext_expires_in: str
    not_before: str
    resource: str
    token_type: str


class IdentityError(msgspec.Struct, rename="camel"):
    """An error of the identity endpoint."""

    status_code: int
    message: str


class ImdsError(msgspec.Struct):
    """An error of IMDS."""

    error: str
    error_description: str


class _AskedValues(msgspec.Struct):
    values: list[str] | None = None


class _AskedOfToken(msgspec.Struct):
    xms_cc: _AskedValues | None = None


class _AskedClaims(msgspec.Struct):
    access_token: _AskedOfToken | None = None


encode = msgspec.json.Encoder().encode
_asked_claims = msgspec.json.Decoder(_AskedClaims)


def decode_form(body: bytes) -> dict[str, str]:
    """The fields of a form or a query. Raises Invalid("RequestMalformed"), also for a field given twice."""
    try:
        pairs = parse_qsl(
            body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MAX_FIELDS, separator="&"
        )
    except (UnicodeError, ValueError):
        raise Invalid("RequestMalformed") from None
    form = dict(pairs)
    if len(form) != len(pairs):
        raise Invalid("RequestMalformed")
    return form


def decode_basic(authorization: bytes | None) -> tuple[str, str] | None:
    """Client id and secret out of an HTTP Basic header (RFC 6749 §2.3.1). Raises Invalid("RequestMalformed")."""
    scheme, _, word = (authorization or b"").partition(b" ")
    if scheme.lower() != b"basic":
        return None
    try:
        client_id, colon, secret = base64.b64decode(word.strip(), validate=True).decode().partition(":")
        if not colon:
            raise Invalid("RequestMalformed")
        return unquote_plus(client_id, errors="strict"), unquote_plus(secret, errors="strict")
    except (binascii.Error, UnicodeError, ValueError):
        raise Invalid("RequestMalformed") from None


def asks_continuous_access(claims: str) -> bool:
    """Whether a `claims` parameter says that the client handles claims challenges (Key Vault contract §7.4)."""
    if not claims:
        return False
    try:
        asked = _asked_claims.decode(claims)
    except (msgspec.MsgspecError, RecursionError):
        raise Invalid("RequestMalformed") from None
    capabilities = asked.access_token.xms_cc if asked.access_token else None
    return capabilities is not None and "CP1" in (word.upper() for word in capabilities.values or ())


def fault_of(refusal: Refusal) -> Fault:
    """The row of the table for a refusal."""
    if refusal.reason == "AuditUnavailable":
        return _UNRECORDED
    if isinstance(refusal, Busy):
        return _BUSY
    return ERRORS.get(refusal.reason, _FAILED)


def error_body(refusal: Refusal, *, at: float, trace_id: str, correlation_id: str, login: str) -> bytes:
    """The body of an error answer. Facts that came from the client are cut short."""
    fault = fault_of(refusal)
    facts = {name: str(value)[:MAX_ECHO] for name, value in refusal.facts.items()}
    when = datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    told = fault.message.format_map(facts) if facts else fault.message
    described = f"AADSTS{fault.number}: {told} Trace ID: {trace_id} Correlation ID: {correlation_id} Timestamp: {when}"
    return encode(
        ErrorBody(
            fault.error,
            described,
            [fault.number],
            when,
            trace_id,
            correlation_id,
            f"{login}/error?code={fault.number}",
        )
    )
