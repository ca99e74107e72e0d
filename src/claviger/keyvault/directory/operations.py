"""What an operator does with the directory: tenants, applications and their credentials.

Each operation is one change of the store that decides on the rows it changes and moves the directory's revision. The
functions that take a `Tx` are the same decisions for use inside a larger change.
"""

from __future__ import annotations

import hashlib
import re

import msgspec

from claviger.audit.trail import about, telling
from claviger.core.clock import Clock
from claviger.core.errors import Conflict, Invalid, NotFound
from claviger.core.ids import new_token, new_uuid
from claviger.core.sensitive import Sensitive
from claviger.keyvault.directory import records
from claviger.keyvault.directory.records import Application, ApplicationCertificate, Credential, Kind, Tenant
from claviger.keyvault.directory.signature import read_certificate
from claviger.keyvault.vaults.records import forget_principal
from claviger.keyvault.vaults.rules import check_uuid, is_uuid
from claviger.store.contract import Store, Tx

MAX_CREDENTIALS = 20
MAX_CREDENTIAL_DAYS = 36_500
LEAST_SECRET_LENGTH = 32
MOST_SECRET_LENGTH = 256
LEAST_SECRET_LETTERS = 10

_DOMAIN = re.compile(r"(?=.{1,253}$)[a-z0-9](?:[a-z0-9-]{0,62}\.)*[a-z0-9-]{0,62}[a-z0-9]", re.ASCII)
_NAME = re.compile(r"[^\x00-\x1f\x7f-\x9f/\\]{1,120}")
_RESERVED_DOMAINS = frozenset({"common", "organizations", "consumers", "msi", "metadata"})


class NewApplication(msgspec.Struct, frozen=True):
    """An application just made. `secret` is shown here and never again."""

    application: Application
    secret: Sensitive


def fingerprint(secret: Sensitive) -> bytes:
    """The form in which a credential is kept and compared. Good for secrets that were generated: no list holds them."""
    return hashlib.sha256(secret.reveal()).digest()


async def set_tenant(store: Store, clock: Clock, *, name: str, domain: str, tenant_id: str | None = None) -> Tenant:
    """Makes a tenant, or gives the one of `tenant_id` this name and domain.

    Raises Invalid("Name" | "Domain" | "Uuid"), Conflict("TenantTaken") where another has the name or domain.
    """
    tenant = checked_tenant(name, domain, tenant_id, int(clock.now()))

    def change(tx: Tx) -> Tenant:
        about("tenant", tenant.id, name)
        return put_tenant(tx, tenant)

    return await store.write(change)


async def list_tenants(store: Store) -> list[Tenant]:
    """Every tenant, oldest first."""
    return await records.all_tenants(store)


async def create_application(
    store: Store,
    clock: Clock,
    *,
    name: str,
    tenant: str | None = None,
    kind: Kind = "application",
    days: int | None = None,
    client_id: str | None = None,
    secret: Sensitive | None = None,
) -> NewApplication:
    """Makes an application with one secret, good for `days` or for ever.

    The secret is the client secret of an application and the identity header of a managed identity. `tenant` is an id,
    domain or name, and may be left out where there is only one. `client_id` and `secret` are those that a program has
    already; both are made where they are not given. Raises Invalid("Name" | "Days" | "TenantNeeded" | "Uuid" |
    "ClientSecret"), NotFound("TenantUnknown"), Conflict("ApplicationTaken" | "SecretTaken").
    """
    check_display_name(name)
    now = int(clock.now())
    app_id, object_id = check_uuid(client_id, "client") if client_id else new_uuid(), new_uuid()
    secret = Sensitive(new_token()) if secret is None else check_given_secret(secret)
    expires_at = _expiry(now, days)

    def change(tx: Tx) -> Application:
        made = Application(0, tenant_of(tx, tenant).id, app_id, object_id, name, kind, now)
        _about(made)
        return add_application(tx, made, secret, expires_at)

    return NewApplication(await store.write(change), secret)


async def list_applications(store: Store) -> list[Application]:
    """Every application, by name."""
    return await records.all_applications(store)


async def list_credentials(store: Store, application: str) -> list[Credential]:
    """The credentials of an application: when made, until when good. Raises NotFound("ApplicationUnknown")."""
    return await store.write(lambda tx: records.credentials_in(tx, application_named(tx, application).id))


async def add_credential(
    store: Store, clock: Clock, application: str, *, days: int | None = None
) -> tuple[Application, Sensitive]:
    """Gives an application one more secret, so that programs can change over before the old one is removed.

    Raises NotFound("ApplicationUnknown"), Invalid("Days"), Conflict("TooManyCredentials").
    """
    now = int(clock.now())
    secret, expires_at = Sensitive(new_token()), _expiry(now, days)

    def change(tx: Tx) -> Application:
        found = application_named(tx, application)
        _about(found)
        if len(records.credentials_in(tx, found.id)) >= MAX_CREDENTIALS:
            raise Conflict("TooManyCredentials", application=found.name, most=MAX_CREDENTIALS)
        records.add_credential(tx, found.id, fingerprint(secret), now, expires_at)
        records.bump_revision(tx)
        return found

    return await store.write(change), secret


async def remove_credential(store: Store, application: str, credential_id: int) -> None:
    """Takes a secret away; tokens had with it live on until they expire. Raises NotFound."""

    def change(tx: Tx) -> None:
        found = application_named(tx, application)
        _about(found)
        telling(credential=credential_id)
        if not records.remove_credential(tx, found.id, credential_id):
            raise NotFound("CredentialUnknown", application=found.name, credential=credential_id)
        records.bump_revision(tx)

    await store.write(change)


async def list_certificates(store: Store, application: str) -> list[ApplicationCertificate]:
    """The certificates of an application, oldest first. Raises NotFound("ApplicationUnknown")."""
    return await store.write(lambda tx: records.certificates_in(tx, application_named(tx, application).id))


async def add_certificate(store: Store, clock: Clock, application: str, file: bytes) -> ApplicationCertificate:
    """Lets an application sign in with the certificate in a PEM or DER file, beside what it signs in with already.

    Raises NotFound("ApplicationUnknown"), Invalid("CertificateUnreadable" | "CertificateKey" | "CertificateExpired" |
    "NotAnApplication"), Conflict("CertificateTaken" | "TooManyCredentials").
    """
    read = read_certificate(file, int(clock.now()))

    def change(tx: Tx) -> ApplicationCertificate:
        found = application_named(tx, application)
        _about(found)
        telling(thumbprint=read.sha1.hex())
        if found.kind != "application":
            raise Invalid("NotAnApplication", application=found.name, kind=found.kind)
        known = records.certificates_in(tx, found.id)
        if read.sha256 in (each.sha256 for each in known):
            raise Conflict("CertificateTaken", application=found.name, thumbprint=read.sha1.hex())
        if len(known) >= MAX_CREDENTIALS:
            raise Conflict("TooManyCredentials", application=found.name, most=MAX_CREDENTIALS)
        added = records.add_certificate(tx, msgspec.structs.replace(read, application_id=found.id))
        records.bump_revision(tx)
        return added

    return await store.write(change)


async def remove_certificate(store: Store, application: str, thumbprint: str) -> ApplicationCertificate:
    """Takes a certificate away, by its SHA-1 or SHA-256 in hex; tokens had with it live on until they expire.

    Raises NotFound("ApplicationUnknown" | "CertificateUnknown").
    """
    word = thumbprint.replace(":", "").replace(" ", "").lower()

    def change(tx: Tx) -> ApplicationCertificate:
        found = application_named(tx, application)
        _about(found)
        telling(thumbprint=word)
        for each in records.certificates_in(tx, found.id):
            if word in (each.sha1.hex(), each.sha256.hex()):
                records.remove_certificate(tx, each.id)
                records.bump_revision(tx)
                return each
        raise NotFound("CertificateUnknown", application=found.name, thumbprint=thumbprint[:100])

    return await store.write(change)


async def delete_application(store: Store, application: str) -> Application:
    """Removes an application with its secrets, certificates and all its rights.

    Tokens still out there can do nothing any more. Raises NotFound("ApplicationUnknown").
    """

    def change(tx: Tx) -> Application:
        found = application_named(tx, application)
        _about(found)
        forget_principal(tx, found.object_id)
        records.remove_application(tx, found.id)
        records.bump_revision(tx)
        return found

    return await store.write(change)


def _about(application: Application) -> None:
    about("application", application.app_id, application.name, application.tenant_id)


def checked_tenant(name: str, domain: str, tenant_id: str | None, now: int) -> Tenant:
    """The tenant to store, with a new id where none is given. Raises Invalid("Name" | "Domain" | "Uuid")."""
    return Tenant(
        check_uuid(tenant_id, "tenant") if tenant_id else new_uuid(),
        check_display_name(name),
        _checked_domain(domain),
        now,
    )


def put_tenant(tx: Tx, tenant: Tenant) -> Tenant:
    """Stores a tenant whose parts have been checked. Raises Conflict("TenantTaken")."""
    for other in records.tenants(tx):
        if other.id == tenant.id:
            tenant = msgspec.structs.replace(tenant, created_at=other.created_at)
        elif tenant.domain == other.domain or tenant.name.lower() == other.name.lower():
            raise Conflict("TenantTaken", name=tenant.name, domain=tenant.domain, by=other.id)
    records.put_tenant(tx, tenant)
    records.bump_revision(tx)
    return tenant


def add_application(tx: Tx, application: Application, secret: Sensitive, expires_at: int | None = None) -> Application:
    """Stores an application and its first credential. Raises Conflict("ApplicationTaken" | "SecretTaken")."""
    for word in (application.name, application.app_id):
        if records.find_application(tx, word) is not None:
            raise Conflict("ApplicationTaken", application=word)
    if records.is_credential_taken(tx, fingerprint(secret)):
        raise Conflict("SecretTaken", fix="every application needs a secret of its own")
    added = records.add_application(tx, application)
    records.add_credential(tx, added.id, fingerprint(secret), application.created_at, expires_at)
    records.bump_revision(tx)
    return added


def tenant_of(tx: Tx, asked: str | None) -> Tenant:
    """The tenant asked for, or the only one. Raises NotFound("TenantUnknown"), Invalid("TenantNeeded")."""
    if asked is not None:
        found = records.find_tenant(tx, asked)
        if found is None:
            raise NotFound("TenantUnknown", tenant=asked[:100])
        return found
    every = records.tenants(tx)
    if len(every) != 1:
        raise Invalid("TenantNeeded", tenants=len(every), fix="name a tenant by its id, domain or name")
    return every[0]


def application_named(tx: Tx, asked: str) -> Application:
    """The application of this name, client id or object id. Raises NotFound("ApplicationUnknown")."""
    found = records.find_application(tx, asked)
    if found is None:
        raise NotFound("ApplicationUnknown", application=asked[:120])
    return found


def check_display_name(name: str) -> str:
    """`name` itself. A name may not look like an id, which would make it ambiguous. Raises Invalid("Name")."""
    if _NAME.fullmatch(name) is None or name != name.strip() or is_uuid(name):
        raise Invalid("Name", name=name[:120], rule="1-120 printable characters, no slash, and not a UUID")
    return name


def check_given_secret(secret: Sensitive) -> Sensitive:
    """`secret` itself. Raises Invalid("ClientSecret") for one that looks thought up and not generated.

    Only its SHA-256 is kept, which protects nothing that can be guessed. What Entra ID generates has 34 to 40 random
    characters, a UUID has 36.
    """
    text = secret.reveal()
    printable = all(0x21 <= byte <= 0x7E for byte in text)
    long = LEAST_SECRET_LENGTH <= len(text) <= MOST_SECRET_LENGTH
    if not (printable and long and len(set(text)) >= LEAST_SECRET_LETTERS):
        raise Invalid(
            "ClientSecret",
            rule=f"{LEAST_SECRET_LENGTH}-{MOST_SECRET_LENGTH} printable ASCII characters without blanks, at least "
            f"{LEAST_SECRET_LETTERS} different ones",
            fix="give one that was generated, or none, and one is generated",
        )
    return secret


def _checked_domain(domain: str) -> str:
    lower = domain.lower()
    if _DOMAIN.fullmatch(lower) is None or lower in _RESERVED_DOMAINS or is_uuid(lower):
        raise Invalid("Domain", domain=domain[:253])
    return lower


def _expiry(now: int, days: int | None) -> int | None:
    if days is None:
        return None
    if not 1 <= days <= MAX_CREDENTIAL_DAYS:
        raise Invalid("Days", days=days, least=1, most=MAX_CREDENTIAL_DAYS)
    return now + days * 86_400
