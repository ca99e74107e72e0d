"""Every refusal of the embedded Key Vault as the wire tells it: status, code, inner code and message (contract §6).

One table, keyed by the refusal's reason. Messages that are not confirmed by a recording of the real service are marked.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from claviger.core.errors import (
    Busy,
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    Refusal,
    Throttled,
    TooLarge,
    Unauthenticated,
)


class InnerError(msgspec.Struct):
    """The more precise code inside an error."""

    code: str


class ErrorDetail(msgspec.Struct, omit_defaults=True):
    """The error proper."""

    code: str
    message: str
    innererror: InnerError | None = None


class ErrorBody(msgspec.Struct):
    """What every refusal of the data plane carries."""

    error: ErrorDetail


class Told(msgspec.Struct, frozen=True):
    """How a refusal is told."""

    status: int
    code: str
    message: str
    inner: str | None = None


_RECOVERABLE = (
    "Secret {name} is currently in a deleted but recoverable state, and its name cannot be reused; "
    "in this state, the secret can only be recovered or purged."
)
_NOT_FOUND = (
    "A secret with (name/id) {name} was not found in this key vault. If you recently deleted this secret you may be "
    "able to recover it using the correct recovery command. For help resolving this issue, please see "
    "https://go.microsoft.com/fwlink/?linkid=2125182"
)
_POLICY = (
    "The user, group or application 'appid={appid};oid={oid};iss={iss}' does not have secrets {permission} permission "
    "on key vault '{vault};location={location}'. For help resolving this issue, please see "
    "https://go.microsoft.com/fwlink/?linkid=2125287"
)
_RBAC = (
    "Caller is not authorized to perform action on resource.\r\n"
    "If role assignments, deny assignments or role definitions were changed recently, please observe propagation "
    "time.\r\nCaller: appid={appid};oid={oid};iss={iss}\r\nAction: '{action}'\r\nResource: '{resource}'\r\n"
    "Assignment: (not found)\r\nDenyAssignmentId: null\r\nDecisionReason: null\r\n"
    "Vault: {vault};location={location}\r\n"
)
_THROTTLED = "Request was not processed because too many requests were received. Reason: VaultRequestTypeLimitReached"
_PURGE_PROTECTED = (
    'Operation "purge" is not allowed because purge protection is enabled for this vault. Key Vault service will '
    "automatically purge it after the retention period has passed."
)

_FAULTS = (
    (408, "RequestTimeout"),
    (500, "InternalServerError"),
    (502, "BadGateway"),
    (503, "ServiceUnavailable"),
    (504, "GatewayTimeout"),
)
_TABLE: Mapping[str, Told] = {
    # who is calling
    "MissingToken": Told(401, "Unauthorized", "AKV10000: Request is missing a Bearer or PoP token."),
    "WrongAudience": Told(401, "Unauthorized", "AKV10022: Invalid audience. Expected {expected}, found: {found}."),
    "WrongIssuer": Told(401, "Unauthorized", "AKV10032: Invalid issuer. Expected one of {expected}, found {found}."),
    "UnknownSigningKey": Told(
        401,
        "Unauthorized",
        "AKV10046: Unable to resolve the key used for signature validation. Key ID: {kid}.",
    ),
    "InsufficientClaims": Told(401, "Unauthorized", "Continuous access evaluation resulted in a claims challenge."),
    "InvalidToken": Told(401, "Unauthorized", "Error validating token: {detail}"),  # unconfirmed
    "ForbiddenByPolicy": Told(403, "Forbidden", _POLICY, "ForbiddenByPolicy"),
    "ForbiddenByRbac": Told(403, "Forbidden", _RBAC, "ForbiddenByRbac"),
    "ForbiddenByFirewall": Told(
        403,
        "Forbidden",
        "Client address is not authorized and caller is not a trusted service.\r\nClient address: {address}\r\n"
        "Vault: {vault};location={location}",
        "ForbiddenByFirewall",
    ),
    "ForbiddenByConnection": Told(
        403,
        "Forbidden",
        "Public network access is disabled and request is not from a trusted service nor via an approved private link.",
        "ForbiddenByConnection",
    ),  # unconfirmed
    # what is asked
    "ApiVersionMissing": Told(400, "BadParameter", "api-version must be specified"),  # unconfirmed
    "ApiVersionUnknown": Told(
        400,
        "BadParameter",
        "The specified version ({given}) is not recognized. Consider using the latest supported version ({latest}).",
    ),
    "Name": Told(400, "BadParameter", "The request URI contains an invalid name: {name}"),
    "Route": Told(400, "BadParameter", "Method {method} does not allow operation '{segment}'"),
    "Property": Told(400, "BadParameter", "Property  has invalid value\r\n"),
    "Body": Told(
        400, "BadParameter", "The request body is missing, or is not JSON of the expected form."
    ),  # unconfirmed
    "Encoding": Told(400, "BadParameter", "The request URI contains an invalid escape or is not UTF-8."),  # unconfirmed
    "Header": Told(400, "BadParameter", "The request has an invalid {header} header."),  # unconfirmed
    "MaxResults": Told(
        400, "BadParameter", "Invalid maxresults: {given}. It must be a whole number between 1 and {most}."
    ),  # unconfirmed
    "PageMark": Told(400, "BadParameter", "The request URI contains an invalid $skiptoken."),  # unconfirmed
    "BackupBlob": Told(400, "Malformed backup blob", "Backup blob contains invalid or corrupt version."),
    "ForeignBackup": Told(400, "BadParameter", "Cannot decrypt backup blob."),
    "TooManyVersions": Told(
        400, "BadParameter", "Secret {name} has more than {most} versions and cannot be backed up."
    ),  # unconfirmed
    "BodyTooLarge": Told(413, "RequestEntityTooLarge", "The request body is over the limit of {limit} bytes."),
    # where it stands
    "SecretNotFound": Told(404, "SecretNotFound", _NOT_FOUND),
    "DeletedSecretNotFound": Told(404, "SecretNotFound", "Deleted Secret not found: {name}"),
    "VaultNotFound": Told(404, "VaultNotFound", "There is no key vault at {host}."),
    "SecretDisabled": Told(403, "Forbidden", "Operation get is not allowed on a disabled secret.", "SecretDisabled"),
    "SecretManaged": Told(
        403,
        "Forbidden",
        'Operation "delete" is not allowed as this object\'s lifetime is managed by Key Vault.',
        "SecretManagedByKeyVault",
    ),
    "PurgeProtected": Told(403, "Forbidden", _PURGE_PROTECTED),
    "ObjectIsDeletedButRecoverable": Told(409, "Conflict", _RECOVERABLE, "ObjectIsDeletedButRecoverable"),
    "NameIsBeingDeleted": Told(
        409,
        "Conflict",
        "Secret {name} is currently being deleted and cannot be re-created; retry later.",
        "ObjectIsBeingDeleted",
    ),
    "ObjectIsBeingDeleted": Told(409, "Conflict", "Secret is currently being deleted.", "ObjectIsBeingDeleted"),
    "ObjectIsBeingRecovered": Told(
        409,
        "Conflict",
        "Secret {name} is currently being recovered and cannot be re-created; retry later.",
        "ObjectIsBeingRecovered",
    ),
    "RestoreConflict": Told(
        409,
        "Conflict",
        "There was a conflict restoring the secret '{id}'. A secret of that name exists in this vault, or is deleted "
        "and can still be recovered.",
    ),
    # how busy we are
    "TooManyRequests": Told(429, "Throttled", _THROTTLED),
    "AuditUnavailable": Told(503, "ServiceUnavailable", "{message}"),
    # by a switch
    **{f"Fault{status}": Told(status, code, "A switch made this call fail.") for status, code in _FAULTS},
}

# A reason without a row of its own is told by its kind, so that no refusal ever becomes a 5xx by omission.
_BY_KIND: Mapping[type[Refusal], Told] = {
    Invalid: Told(400, "BadParameter", "The request is not valid."),
    TooLarge: Told(413, "RequestEntityTooLarge", "The request body is too large."),
    Unauthenticated: Told(401, "Unauthorized", "Error validating token."),
    Forbidden: Told(403, "Forbidden", "The operation is not allowed."),
    NotFound: Told(404, "NotFound", "The resource was not found."),
    Conflict: Told(409, "Conflict", "The state of the resource does not allow the operation."),
    Throttled: Told(429, "Throttled", _THROTTLED),
    Busy: Told(429, "Throttled", _THROTTLED),
}
_INTERNAL = Told(500, "InternalServerError", "The server could not process the request.")


class _Facts(dict[str, object]):
    def __missing__(self, name: str) -> str:
        return "?"


def told(refusal: Refusal) -> Told:
    """How this refusal is told; a stored row that is damaged is our fault, and a 500."""
    return _TABLE.get(refusal.reason) or _BY_KIND.get(type(refusal), _INTERNAL)


def body_of(refusal: Refusal) -> tuple[int, bytes]:
    """Status and JSON body of a refusal."""
    how = told(refusal)
    message = how.message.format_map(_Facts(refusal.facts))
    return how.status, encode_error(how.code, message, how.inner)


def encode_error(code: str, message: str, inner: str | None = None) -> bytes:
    """An error body of the data plane."""
    return msgspec.json.encode(ErrorBody(ErrorDetail(code, message, InnerError(inner) if inner else None)))
