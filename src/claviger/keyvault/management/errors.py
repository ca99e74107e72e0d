"""Every refusal of the management API as Resource Manager tells it: `{"error": {"code", "message"}}`.

One table, keyed by the refusal's reason. Messages that are not known from the real service are marked.
"""

from __future__ import annotations

from collections.abc import Mapping

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
    Unavailable,
)
from claviger.keyvault.errors import Told, encode_error

NAME_RULE = (
    "The vault name '{name}' is invalid. A vault's name must be between 3-24 alphanumeric characters. The name must "
    "begin with a letter, end with a letter or digit, and not contain consecutive hyphens. Follow this link for more "
    "information: https://go.microsoft.com/fwlink/?linkid=2147742"
)
NAME_TAKEN = (
    "The vault name '{vault}' is already in use. Vault names are globaly unique so it is possible that the name is "
    "already taken. If you are sure that the vault name was not taken then it is possible that a vault with the same "
    "name was recently deleted but not purged after being placed in a recoverable state. If the vault is in a "
    "recoverable state then the vault will need to be purged before reusing the name. For more information on soft "
    "delete and purging a vault follow this link https://go.microsoft.com/fwlink/?linkid=2147740."
)
NAME_DELETED = (
    "A vault with the same name already exists in deleted state. You need to either recover or purge existing key "
    "vault. Follow this link https://go.microsoft.com/fwlink/?linkid=2149745 for more information on soft delete."
)
_BAD = "An invalid value was provided for '{property}'."

_TABLE: Mapping[str, Told] = {
    # who is calling
    "MissingToken": Told(
        401,
        "AuthenticationFailed",
        "Authentication failed. The 'Authorization' header is missing or is no bearer token.",
    ),
    "WrongAudience": Told(
        401,
        "InvalidAuthenticationTokenAudience",
        "The access token has been obtained for wrong audience or resource '{found}'. It should exactly match with one "
        "of the allowed audiences '{expected}'.",
    ),
    "WrongIssuer": Told(
        401,
        "InvalidAuthenticationTokenTenant",
        "The access token is from the wrong issuer '{found}'. It must match a tenant of this server.",
    ),
    "UnknownSigningKey": Told(
        401, "InvalidAuthenticationToken", "The access token is invalid: its signing key '{kid}' is not known."
    ),
    "InvalidToken": Told(401, "InvalidAuthenticationToken", "The access token is invalid: {detail}."),
    "InsufficientClaims": Told(
        401, "InvalidAuthenticationToken", "Continuous access evaluation resulted in a claims challenge."
    ),
    "AuthorizationFailed": Told(
        403,
        "AuthorizationFailed",
        "The client '{appid}' with object id '{oid}' does not have authorization to perform action '{action}' over "
        "scope '{scope}' or the scope is invalid. If access was recently granted, please refresh your credentials.",
    ),
    "PermissionModel": Told(403, "InsufficientPermissions", "Caller is not allowed to change permission model"),
    # where it asks
    "ApiVersionMissing": Told(
        400,
        "MissingApiVersionParameter",
        "The api-version query parameter (?api-version=) is required for all requests.",
    ),
    "ApiVersionUnknown": Told(
        400,
        "InvalidApiVersionParameter",
        "The api-version '{given}' is invalid. The supported versions are '{known}'.",
    ),
    "ProviderVersionUnknown": Told(
        400,
        "NoRegisteredProviderFound",
        "No registered resource provider found for API version '{given}' and namespace 'Microsoft.KeyVault'. The "
        "supported api-versions are '{known}'.",
    ),
    "Subscription": Told(
        400,
        "InvalidSubscriptionId",
        "The provided subscription identifier '{subscription}' is malformed or invalid.",
    ),
    "SubscriptionNotFound": Told(404, "SubscriptionNotFound", "The subscription '{subscription}' could not be found."),
    "ResourceGroup": Told(
        400,
        "InvalidResourceGroup",  # unconfirmed
        "The provided resource group name '{name}' is not valid. It can have letters, digits, '-', '.', '(', ')' and "
        "'_', at most 90 of them, and no '.' at its end.",
    ),
    "GroupNotFound": Told(404, "ResourceGroupNotFound", "Resource group '{group}' could not be found."),
    "GroupElsewhere": Told(
        409,
        "InvalidResourceGroupLocation",
        "Invalid resource group location '{asked}'. The Resource group already exists in location '{location}'.",
    ),
    "NamespaceUnknown": Told(404, "InvalidResourceNamespace", "The resource namespace '{namespace}' is invalid."),
    "TypeUnknown": Told(
        404,
        "InvalidResourceType",
        "The resource type '{type}' could not be found in the namespace '{namespace}'.",
    ),
    "Page": Told(404, "NotFound", "There is nothing at this address."),  # unconfirmed
    "Verb": Told(
        405, "MethodNotAllowed", "The requested resource does not support http method '{verb}'."
    ),  # unconfirmed
    "NotAPerson": Told(400, "BadRequest", "/me request is only valid with delegated authentication flow."),
    # what it asks for
    "Content": Told(
        400,
        "InvalidRequestContent",
        "The request content was invalid and could not be deserialized: '{detail}'.",
    ),
    "LocationMissing": Told(400, "LocationRequired", "The location property is required for this definition."),
    "Property": Told(400, "BadRequest", _BAD),
    "PropertyMissing": Told(400, "BadRequest", "The parameter {property} is not specified."),
    "Permission": Told(
        400, "BadRequest", "An invalid value was provided for 'accessPolicies': '{permission}' is none of {known}."
    ),  # unconfirmed
    "Location": Told(400, "LocationNotAvailableForResourceType", "The provided location '{location}' is not valid."),
    "RetentionDays": Told(
        400,
        "BadRequest",
        "An invalid value was provided for 'softDeleteRetentionInDays'. It must be between {least} and {most}.",
    ),  # unconfirmed
    "RetentionSet": Told(
        400,
        "BadRequest",
        'The property "softDeleteRetentionInDays" has been set already and it can\'t be modified.',
    ),
    "SoftDeleteOff": Told(
        400,
        "BadRequest",
        "The property \"enableSoftDelete\" can be set to false only for creating new vault. Enabling the 'soft delete' "
        "functionality is an irreversible action.",
    ),
    "PurgeProtectionOff": Told(
        400,
        "BadRequest",
        'The property "enablePurgeProtection" cannot be set to false. Enabling the purge protection for a vault is an '
        "irreversible action.",
    ),
    "PurgeProtection": Told(
        400, "BadRequest", 'The property "enablePurgeProtection" can be set only where soft delete is enabled.'
    ),  # unconfirmed
    "VaultName": Told(400, "VaultNameNotValid", NAME_RULE),
    "Filter": Told(400, "InvalidFilterInQueryString", "Invalid $filter '{given}' specified in the query string."),
    "Top": Told(400, "InvalidTopInQueryString", "Invalid $top '{given}' specified in the query string."),  # unconfirmed
    "PageMark": Told(400, "InvalidSkipToken", "The $skiptoken in the query string is not valid."),  # unconfirmed
    "Encoding": Told(400, "BadRequest", "The request URI contains an invalid escape or is not UTF-8."),
    "Body": Told(400, "InvalidRequestContent", "The request content did not arrive as a whole."),
    "BodyTooSlow": Told(408, "RequestTimeout", "The request content did not arrive in time."),
    "BodyTooLarge": Told(413, "RequestContentTooLarge", "The request content is over the limit of {limit} bytes."),
    # where it stands
    "VaultNotFound": Told(
        404,
        "ResourceNotFound",
        "The Resource 'Microsoft.KeyVault/vaults/{vault}' under resource group '{group}' was not found. For more "
        "details please go to https://aka.ms/ARMResourceNotFoundFix",
    ),
    "HsmNotFound": Told(
        404,
        "ResourceNotFound",
        "The Resource 'Microsoft.KeyVault/managedHSMs/{hsm}' under resource group '{group}' was not found. For more "
        "details please go to https://aka.ms/ARMResourceNotFoundFix",
    ),
    "DeletedVaultNotFound": Told(
        404, "DeletedVaultNotFound", "The specified deleted vault '{vault}' does not exist."
    ),  # unconfirmed
    "NothingToRecover": Told(
        400,
        "SoftDeletedVaultDoesNotExist",
        "A soft deleted vault with the given name does not exist. Ensure that the name for the vault that is being "
        "attempted to recover is in a recoverable state.",
    ),
    "VaultTaken": Told(409, "VaultAlreadyExists", NAME_TAKEN),
    "VaultDeleted": Told(409, "ConflictError", NAME_DELETED),
    "VaultElsewhere": Told(
        409,
        "InvalidResourceLocation",
        "The resource '{vault}' already exists in location '{location}' in resource group '{group}'. A resource with "
        "the same name cannot be created in location '{asked}'. Please select a new resource name.",
    ),
    "AuditUnavailable": Told(503, "ServiceUnavailable", "{message}"),
    "VaultPurgeProtected": Told(405, "MethodNotAllowed", "Operation 'DeletedVaultPurge' is not allowed."),
    # by a switch
    **{
        f"Fault{status}": Told(status, code, "A switch made this call fail.")
        for status, code in (
            (408, "RequestTimeout"),
            (500, "InternalServerError"),
            (502, "BadGateway"),
            (503, "ServiceUnavailable"),
            (504, "GatewayTimeout"),
        )
    },
}

# A reason without a row of its own is told by its kind, so that no refusal ever becomes a 5xx by omission.
_BY_KIND: Mapping[type[Refusal], Told] = {
    Invalid: Told(400, "BadRequest", "The request is not valid."),
    TooLarge: Told(413, "RequestContentTooLarge", "The request content is too large."),
    Unauthenticated: Told(401, "InvalidAuthenticationToken", "The access token is invalid."),
    Forbidden: Told(403, "Forbidden", "The operation is not allowed."),
    NotFound: Told(404, "NotFound", "There is nothing at this address."),
    Conflict: Told(409, "Conflict", "The state of the resource does not allow the operation."),
    Throttled: Told(429, "TooManyRequests", "Too many requests. Please try again later."),
    Busy: Told(429, "TooManyRequests", "Too many requests. Please try again later."),
    Unavailable: Told(503, "ServiceUnavailable", "The service is not available now."),
}
_INTERNAL = Told(500, "InternalServerError", "The server could not process the request.")


class _Facts(dict[str, object]):
    def __missing__(self, name: str) -> str:
        return "?"


def told(refusal: Refusal) -> Told:
    """How this refusal is told; a stored row that is damaged is our fault, and a 500."""
    reason = "VaultDeleted" if refusal.reason == "VaultTaken" and refusal.facts.get("deleted") else refusal.reason
    return _TABLE.get(reason) or _BY_KIND.get(type(refusal), _INTERNAL)


def message_of(refusal: Refusal) -> str:
    """What a refusal says."""
    return told(refusal).message.format_map(_Facts(refusal.facts))


def body_of(refusal: Refusal) -> tuple[int, bytes]:
    """Status and JSON body of a refusal."""
    how = told(refusal)
    return how.status, encode_error(how.code, message_of(refusal))
