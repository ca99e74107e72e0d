"""The words of the control plane's wire: what a field, a parameter or a part of the API means, said once for all of it.

The description of the API (`openapi.py`) takes from here whatever a struct or a route does not say itself. An example
is only given where it helps to tell what is meant, and never for a secret.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec


class Word(msgspec.Struct, frozen=True):
    """What a name on the wire means, and a value that it might have."""

    meaning: str
    example: Any = None


ID = "73524b70-1234-4f92-954b-6312f4567d1a"
SUBSCRIPTION = "1cda5d8b-c825-4976-9999-26022adb76b5"
CREATED = "2026-04-13T05:04:16.337973Z"
UPDATED = "2026-04-13T05:04:17.002114Z"

SECRET_FIELDS = frozenset(
    {
        "client_credential",
        "client_secret",
        "credential",
        "jwt",
        "key_file",
        "new_password",
        "pass_phrase",
        "password",
        "private_key",
        "refresh_token",
        "value",
    }
)
"""Fields that hold secrets wherever they stand. Another one says so itself: `format: password` in its extra schema."""

FIELDS: Mapping[str, Word] = {
    # every record
    "id": Word("Id of the record; a UUID.", ID),
    "uri": Word("Name of the record within the product.", f"kylo:kylo:cckm:azure-secret:db-password-{ID}"),
    "account": Word("Account of the record's domain.", "kylo:kylo:admin:accounts:kylo"),
    "application": Word("Always the same; kept for clients that read it."),
    "devAccount": Word("Always the same; kept for clients that read it."),
    "createdAt": Word("When the record was created; RFC 3339, UTC.", CREATED),
    "updatedAt": Word("When the record last changed; RFC 3339, UTC.", UPDATED),
    "created_at": Word("When the record was created; RFC 3339, UTC.", CREATED),
    "updated_at": Word("When the record last changed; RFC 3339, UTC.", UPDATED),
    "created_by": Word("Id of the user who created it."),
    "modified_by": Word("Id of the user who changed it last."),
    "labels": Word("Words of the caller's own, by name."),
    "meta": Word("Data of the caller's own. A change merges; a key that is sent as null goes away."),
    "description": Word("What it is for, in the caller's words.", "The shop's production subscription"),
    "name": Word("Its name."),
    # lists and errors
    "skip": Word("How many matches come before this page."),
    "limit": Word("How many records the page may have; -1 is all."),
    "total": Word("How many records match, before paging."),
    "resources": Word("The records of this page; empty where nothing matches."),
    "code": Word("Number of the kind of error.", 15),
    "codeDesc": Word("Name of the kind of error, the same text every time.", "NCERRBadRequest: Bad HTTP request"),
    "message": Word("What is wrong with this very call, in words."),
    "requestID": Word("Id of the request, as in the header `X-Request-Id`; a UUID.", ID),
    # tokens, users, groups, domains
    "grant_type": Word("What the sign-in is by; `password` where it is absent.", "password"),
    "username": Word("Name to sign in with.", "admin"),
    "password": Word("Password to sign in with."),
    "new_password": Word("The password from now on."),
    "refresh_token": Word("Gives a new token without the password, as often as it lives."),
    "renew_refresh_token": Word("Whether to replace the refresh token too."),
    "refresh_token_id": Word("Id of the refresh token, to list or delete it by."),
    "refresh_token_expires_in": Word("Seconds until the refresh token ends."),
    "refresh_token_lifetime": Word("Minutes that the refresh token may live."),
    "refresh_token_revoke_unused_in": Word("Minutes without use after which the refresh token ends."),
    "jwt": Word("The token: send it as `Authorization: Bearer ...`."),
    "duration": Word("Seconds that the token holds.", 300),
    "token_type": Word("How the token is sent.", "Bearer"),
    "connection": Word("The connection, by name or id.", "embedded-azure"),
    "domain": Word("Domain to act in, by name or id; the root domain where it is absent.", "root"),
    "auth_domain": Word("Domain in which the user lives, where it is another one."),
    "auth_domain_path": Word("Domain in which the user lives, as a path; wins over `auth_domain`."),
    "user_id": Word("Id of the user, with or without `local|` before it.", f"local|{ID}"),
    "email": Word("Mail address of the user.", "ada@example.org"),
    "nickname": Word("What the user is called.", "Ada"),
    "is_domain_user": Word("Whether the user belongs to this domain alone."),
    "password_change_required": Word("Whether the password must be changed before anything else."),
    "app_metadata": Word("Data about the record, kept for the caller."),
    "user_metadata": Word("Data of the user's own, kept for the caller."),
    "users_count": Word("How many members the group has."),
    "admins": Word("Users who become members of the domain's `admin` group.", ["admin"]),
    "allow_user_management": Word("Whether the domain has users of its own."),
    # containers and their rights
    "acls": Word("Who may do what in this container."),
    "permit": Word("True gives the actions, false takes them away."),
    "actions": Word("Names of what may be done in the container.", ["secretview", "secretcreate"]),
    "group": Word("Name of a group; an entry is for a user or for a group.", "CCKM Users"),
    # connections
    "client_id": Word("Id of the application that signs in at the cloud.", "0c9d7f5e-7a0f-4f0e-8f51-9f2a4c1d3b6e"),
    "client_secret": Word("The application's credential; it is kept sealed and never returned."),
    "tenant_id": Word("Id of the tenant; a UUID.", "d27d849e-e487-4b0e-a54c-a6e177867d10"),
    "cloud_name": Word("Which cloud it is.", "AzureCloud"),
    "is_certificate_used": Word("Whether to sign in by a certificate that this server makes and returns."),
    "cert_duration": Word("Days that the certificate is to hold.", 730),
    "certificate": Word("The certificate, as PEM."),
    "certificate_thumbprint": Word("Digest of the certificate, as the cloud shows it."),
    "external_certificate_used": Word("Whether the certificate was made elsewhere."),
    "active_directory_endpoint": Word("Where the cloud's sign-in is; for Azure Stack."),
    "management_url": Word("Where the cloud's management is; for Azure Stack."),
    "resource_manager_url": Word("Where the cloud's resource manager is; for Azure Stack."),
    "key_vault_dns_suffix": Word("What follows a vault's name in its address; for Azure Stack."),
    "vault_resource_url": Word("What tokens for vaults are asked for; for Azure Stack."),
    "azure_stack_server_cert": Word("Certificates of the authority to trust, as PEM; for Azure Stack."),
    "azure_stack_connection_type": Word("How Azure Stack signs in: `AAD` or `ADFS`."),
    "products": Word("What the connection is for.", ["cckm"]),
    "service": Word("Which provider the connection is to.", "azure"),
    "category": Word("Which kind of connection it is.", "cloud"),
    "resource_url": Word("Path of the record itself."),
    "last_connection_ok": Word("Whether the last test reached the cloud; null before the first."),
    "last_connection_error": Word("What went wrong at the last test."),
    "last_connection_at": Word("When the connection was last tested."),
    "connection_ok": Word("Whether the cloud was reached and let the connection in."),
    "connection_error": Word("What went wrong; absent where nothing did."),
    # subscriptions and vaults
    "subscription_id": Word("Id of the Azure subscription.", SUBSCRIPTION),
    "subscriptionId": Word("Id of the Azure subscription.", SUBSCRIPTION),
    "subscription_name": Word("Name of the Azure subscription.", "Pay-As-You-Go"),
    "subscriptionUri": Word("Path of the subscription in Azure.", f"/subscriptions/{SUBSCRIPTION}"),
    "displayName": Word("Name that Azure shows.", "Pay-As-You-Go"),
    "state": Word("State in Azure.", "Enabled"),
    "tenantId": Word("Id of the tenant; a UUID."),
    "authorizationSource": Word("Where the rights in the subscription come from.", "RoleBased"),
    "subscriptionPolicies": Word("Limits that Azure sets for the subscription."),
    "vaults": Word("The vaults, as Azure describes them."),
    "nextLink": Word("Mark of the next page; absent on the last one."),
    "azure_name": Word("Name of the vault in Azure.", "demo"),
    "azure_vault_id": Word("Path of the vault in Azure."),
    "location": Word("Region of the vault.", "eastus"),
    "properties": Word("The vault's properties, as Azure has them."),
    "synced_at": Word("When it was last compared with the cloud."),
    "cloud_key_backup_limit": Word("How many backups of a key to keep; 0 where no limit is set."),
    "override_key_scheduler": Word("Whether the vault's schedule wins over that of a key."),
    "job_config_id": Word("Id of a schedule."),
    # secrets
    "key_vault": Word("The vault, by id or name (`azure_name::subscription_id`).", f"demo::{SUBSCRIPTION}"),
    "key_vault_id": Word("Id of the vault's record."),
    "region": Word("Region of the vault.", "eastus"),
    "secret_name": Word("Name of the secret: letters, digits and hyphens, 1 to 127 of them.", "db-password"),
    "version": Word("Version in Azure; 32 hexadecimal digits.", "e4c3ec7abcda43158d1234b9d1bbfd62"),
    "status": Word("`AVAILABLE`, `SOFT-DELETED` or `DELETED`.", "AVAILABLE"),
    "deleted": Word("Whether it is gone from Azure for good."),
    "gone": Word("Whether the last synchronization did not find it in Azure."),
    "soft_delete_enabled": Word("Whether the vault keeps deleted secrets for a while."),
    "secret_soft_deleted_in_azure": Word("Whether it is soft-deleted in Azure."),
    "key_soft_deleted_in_azure": Word("The same as `secret_soft_deleted_in_azure`, under its older name."),
    "backup": Word("Id of the backup that is kept here; absent where there is none."),
    "backup_at": Word("When the backup was taken."),
    "syncedAt": Word("When it was last compared with the cloud."),
    "tenant": Word("Id of the Azure tenant."),
    "azure_created_at": Word("When it was created in Azure."),
    "azure_updated_at": Word("When it last changed in Azure."),
    "azure_param": Word("What Azure keeps."),
    "value": Word("The secret itself. Answers leave it out unless the server is set to echo it."),
    "contentType": Word("What the value is, in the caller's words.", "password"),
    "content_type": Word("The same as `contentType`, under its older name."),
    "tags": Word("Names and values; `:` and `%` are not allowed.", {"environment": "production"}),
    "managed": Word("Whether Azure itself looks after it, for a certificate."),
    "attributes": Word("What Azure lets be done with it, and when."),
    "enabled": Word("Whether the value may be read in Azure.", True),
    "nbf": Word("Not to be used before this moment; seconds since 1970, or RFC 3339."),
    "exp": Word("Not to be used from this moment on; seconds since 1970, or RFC 3339."),
    "created": Word("When it was created in Azure; seconds since 1970."),
    "updated": Word("When it last changed in Azure; seconds since 1970."),
    "recoveryLevel": Word("How Azure deletes in this vault.", "Recoverable+Purgeable"),
    "recoverableDays": Word("Days that Azure keeps what is soft-deleted.", 90),
    "key_material_origin": Word("Where it was made: `cckm`, `native` or `unknown`."),
    # jobs
    "key_vaults": Word("Vaults, by id or name.", [f"demo::{SUBSCRIPTION}"]),
    "synchronize_all": Word("Every vault in which the caller may synchronize."),
    "overall_status": Word("`in_progress`, `completed` or `failed`.", "in_progress"),
    "detailed_status": Word("The same for each container, by its name."),
    "abort": Word("Whether a cancel was asked for."),
    "completed_at": Word("When the job ended."),
    "cloud": Word("Which cloud the job works on.", "azure"),
}
"""By the name on the wire."""

SEGMENTS: Mapping[str, str] = {
    "connections": "Id or name of the connection.",
    "domains": "Id of the domain.",
    "groups": "Name of the group.",
    "jobs": "Id of the job.",
    "keys": "Id of the key.",
    "properties": "Name of the setting.",
    "secrets": "Id of the secret.",
    "subscriptions": "Id of the subscription's record.",
    "synchronization-jobs": "Id of the job.",
    "tokens": "Id of the refresh token.",
    "users": "Id of the user.",
    "vaults": "Id of the vault's record.",
}
"""What a segment that varies is, by the segment before it."""

TAGS: Mapping[str, str] = {
    "description of the api": "This page, and the document that it is drawn from.",
    "tokens": "Sign in, stay signed in, sign out.",
    "users": "Who may sign in.",
    "groups": "Rights come by membership in groups.",
    "domains": "Separate estates on one server. What lies in another domain does not exist for the caller.",
    "connections": "How this server signs in at a cloud. Credentials are kept sealed and never returned.",
    "azure subscriptions": "The subscriptions that a connection reaches, and those whose vaults are managed here.",
    "azure vaults": "Find vaults in Azure, take them under management, say who may do what in them.",
    "azure secrets": (
        "The whole life of a secret: create, update, soft-delete, recover, hard-delete, restore from a backup, remove."
    ),
}
"""What a part of the API is for, by its tag in lower case."""
