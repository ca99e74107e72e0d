-- Tenants, applications and vaults of the embedded Key Vault, and who may do what.
-- All of it is held in memory as one snapshot, read anew when meta.directory_revision has moved: whatever changes one
-- of these tables moves it in the same transaction.
INSERT INTO meta (key, value) VALUES ('directory_revision', '0');

CREATE TABLE kv_tenants (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    domain TEXT NOT NULL UNIQUE,
    created_at INTEGER NOT NULL
);

-- app_id is the client id that a program signs in with, object_id the principal that rights are given to.
CREATE TABLE kv_applications (
    id INTEGER PRIMARY KEY,
    tenant_id TEXT NOT NULL REFERENCES kv_tenants (id),
    app_id TEXT NOT NULL UNIQUE,
    object_id TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('application', 'managed-identity')),
    created_at INTEGER NOT NULL
);
CREATE UNIQUE INDEX kv_applications_by_name ON kv_applications (lower(name));
CREATE INDEX kv_applications_by_tenant ON kv_applications (tenant_id);

-- The secret itself is shown once and kept nowhere: it is 32 random bytes, so a plain SHA-256 cannot be searched.
CREATE TABLE kv_application_credentials (
    id INTEGER PRIMARY KEY,
    application_id INTEGER NOT NULL REFERENCES kv_applications (id) ON DELETE CASCADE,
    sha256 BLOB NOT NULL UNIQUE,
    created_at INTEGER NOT NULL,
    expires_at INTEGER
);
CREATE INDEX kv_application_credentials_by_application ON kv_application_credentials (application_id);

-- A previous key goes on verifying until lapses_at, when the last token it signed has expired.
CREATE TABLE kv_signing_keys (
    kid TEXT PRIMARY KEY,
    state TEXT NOT NULL CHECK (state IN ('current', 'previous')),
    data_key_id INTEGER NOT NULL REFERENCES data_keys (id),
    sealed BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    lapses_at INTEGER
);
CREATE UNIQUE INDEX kv_signing_keys_current ON kv_signing_keys (state) WHERE state = 'current';
CREATE INDEX kv_signing_keys_by_data_key ON kv_signing_keys (data_key_id);

-- The id is the directory revision that made the vault, so it is never used again: sealed values are bound to it.
-- A soft-deleted vault (deleted_at is set) keeps its name taken until it is purged.
CREATE TABLE kv_vaults (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    tenant_id TEXT NOT NULL REFERENCES kv_tenants (id),
    subscription_id TEXT NOT NULL,
    resource_group TEXT NOT NULL,
    location TEXT NOT NULL,
    sku TEXT NOT NULL CHECK (sku IN ('standard', 'premium')),
    soft_delete INTEGER NOT NULL,
    retention_days INTEGER NOT NULL CHECK (retention_days BETWEEN 7 AND 90),
    purge_protection INTEGER NOT NULL,
    rbac INTEGER NOT NULL,
    public_access INTEGER NOT NULL,
    network_acls TEXT,
    enabled_for_deployment INTEGER NOT NULL,
    enabled_for_disk_encryption INTEGER NOT NULL,
    enabled_for_template_deployment INTEGER NOT NULL,
    tags TEXT,
    other TEXT,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    deleted_at INTEGER,
    purge_at INTEGER
);
CREATE UNIQUE INDEX kv_vaults_by_name ON kv_vaults (lower(name));
CREATE INDEX kv_vaults_by_tenant ON kv_vaults (tenant_id);
CREATE INDEX kv_vaults_due ON kv_vaults (purge_at) WHERE purge_at IS NOT NULL;

-- application_id is empty where the policy holds whatever application the principal uses.
CREATE TABLE kv_access_policies (
    id INTEGER PRIMARY KEY,
    vault_id INTEGER NOT NULL REFERENCES kv_vaults (id) ON DELETE CASCADE,
    tenant_id TEXT NOT NULL,
    object_id TEXT NOT NULL,
    application_id TEXT NOT NULL DEFAULT '',
    permissions TEXT NOT NULL
);
CREATE UNIQUE INDEX kv_access_policies_by_principal
    ON kv_access_policies (vault_id, tenant_id, object_id, application_id);

-- scope is an ARM path in lower case: a subscription, a resource group, a vault, or one secret of a vault.
CREATE TABLE kv_role_assignments (
    id TEXT PRIMARY KEY,
    scope TEXT NOT NULL,
    role_id TEXT NOT NULL,
    principal_id TEXT NOT NULL,
    created_at INTEGER NOT NULL
);
CREATE UNIQUE INDEX kv_role_assignments_once ON kv_role_assignments (scope, role_id, principal_id);
CREATE INDEX kv_role_assignments_by_principal ON kv_role_assignments (principal_id);
