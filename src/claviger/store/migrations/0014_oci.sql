-- The embedded OCI Vault: identity, vaults, keys, versions, secrets, buckets. Times are epoch seconds. `state` is where a
-- thing stands for good; until `passing_until` its state is shown as `passing` (a transitional one). `revision` grows with
-- every change and makes the etag.

-- All of identity (tenancies to tags) is held in memory as one snapshot, read anew when meta.oci_identity_revision moved.
INSERT INTO meta (key, value) VALUES ('oci_identity_revision', '0');

CREATE TABLE oci_tenancies (
    num INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL UNIQUE,
    description TEXT NOT NULL,
    home_region TEXT NOT NULL,
    namespace TEXT NOT NULL UNIQUE,
    created_at REAL NOT NULL
);

CREATE TABLE oci_region_subscriptions (
    tenancy_num INTEGER NOT NULL REFERENCES oci_tenancies (num) ON DELETE CASCADE,
    region TEXT NOT NULL,
    created_at REAL NOT NULL,
    PRIMARY KEY (tenancy_num, region)
);

-- The tenancy itself is the root compartment and has no row here. parent_id is a compartment's or the tenancy's id.
CREATE TABLE oci_compartments (
    num INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    tenancy_num INTEGER NOT NULL REFERENCES oci_tenancies (num) ON DELETE CASCADE,
    parent_id TEXT NOT NULL,
    name TEXT NOT NULL,
    description TEXT NOT NULL,
    state TEXT NOT NULL,
    freeform_tags TEXT NOT NULL,
    defined_tags TEXT NOT NULL,
    created_at REAL NOT NULL
);
CREATE UNIQUE INDEX oci_compartments_by_name ON oci_compartments (parent_id, name) WHERE state <> 'DELETED';

CREATE TABLE oci_users (
    num INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    tenancy_num INTEGER NOT NULL REFERENCES oci_tenancies (num) ON DELETE CASCADE,
    name TEXT NOT NULL,
    description TEXT NOT NULL,
    created_at REAL NOT NULL,
    UNIQUE (tenancy_num, name)
);

CREATE TABLE oci_api_keys (
    user_num INTEGER NOT NULL REFERENCES oci_users (num) ON DELETE CASCADE,
    fingerprint TEXT NOT NULL,
    public_key TEXT NOT NULL,
    created_at REAL NOT NULL,
    PRIMARY KEY (user_num, fingerprint)
);

-- What a user may do in a compartment and all below it: inspect, read, use or manage, each with those before it.
CREATE TABLE oci_grants (
    user_num INTEGER NOT NULL REFERENCES oci_users (num) ON DELETE CASCADE,
    compartment_id TEXT NOT NULL,
    verb TEXT NOT NULL CHECK (verb IN ('inspect', 'read', 'use', 'manage')),
    PRIMARY KEY (user_num, compartment_id)
);

CREATE TABLE oci_tag_namespaces (
    num INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    tenancy_num INTEGER NOT NULL REFERENCES oci_tenancies (num) ON DELETE CASCADE,
    compartment_id TEXT NOT NULL,
    name TEXT NOT NULL,
    description TEXT NOT NULL,
    is_retired INTEGER NOT NULL,
    created_at REAL NOT NULL,
    UNIQUE (tenancy_num, name)
);

CREATE TABLE oci_tags (
    num INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    namespace_num INTEGER NOT NULL REFERENCES oci_tag_namespaces (num) ON DELETE CASCADE,
    name TEXT NOT NULL,
    description TEXT NOT NULL,
    is_retired INTEGER NOT NULL,
    created_at REAL NOT NULL,
    UNIQUE (namespace_num, name)
);

-- prefix stands in the vault's two host names and in the OCIDs of all that is in it. slot is the number of its own port,
-- where the server has ports for vaults. The wrapping key is made when it is first asked for.
CREATE TABLE oci_vaults (
    num INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    tenancy_num INTEGER NOT NULL REFERENCES oci_tenancies (num),
    region TEXT NOT NULL,
    prefix TEXT NOT NULL UNIQUE,
    slot INTEGER UNIQUE,
    compartment_id TEXT NOT NULL,
    display_name TEXT NOT NULL,
    vault_type TEXT NOT NULL CHECK (vault_type IN ('DEFAULT', 'VIRTUAL_PRIVATE')),
    state TEXT NOT NULL CHECK (state IN ('ACTIVE', 'PENDING_DELETION', 'DELETED')),
    passing TEXT NOT NULL,
    passing_until REAL NOT NULL,
    deletes_at REAL,
    freeform_tags TEXT NOT NULL,
    defined_tags TEXT NOT NULL,
    restored_from TEXT,
    wrapping_key_id TEXT NOT NULL UNIQUE,
    wrapping_public_key TEXT,
    wrapping_data_key_id INTEGER REFERENCES data_keys (id),
    wrapping_sealed BLOB,
    revision INTEGER NOT NULL,
    created_at REAL NOT NULL,
    updated_at REAL NOT NULL
);
CREATE INDEX oci_vaults_by_time ON oci_vaults (compartment_id, region, created_at, num);
CREATE INDEX oci_vaults_by_name ON oci_vaults (compartment_id, region, display_name, num);
CREATE INDEX oci_vaults_due ON oci_vaults (deletes_at) WHERE state = 'PENDING_DELETION';
CREATE INDEX oci_vaults_wrapping ON oci_vaults (wrapping_data_key_id) WHERE wrapping_data_key_id IS NOT NULL;

-- previous_state is where a cancelled deletion leads back to. by_vault says that the key was scheduled with its vault.
CREATE TABLE oci_keys (
    num INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    vault_num INTEGER NOT NULL REFERENCES oci_vaults (num),
    compartment_id TEXT NOT NULL,
    display_name TEXT NOT NULL,
    algorithm TEXT NOT NULL,
    length INTEGER NOT NULL,
    curve_id TEXT,
    protection_mode TEXT NOT NULL,
    current_version_id TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('ENABLED', 'DISABLED', 'PENDING_DELETION', 'DELETED')),
    passing TEXT NOT NULL,
    passing_until REAL NOT NULL,
    previous_state TEXT,
    deletes_at REAL,
    by_vault INTEGER NOT NULL,
    is_auto_rotated INTEGER NOT NULL,
    rotation_interval_days INTEGER,
    rotation_start_at REAL,
    next_rotation_at REAL,
    last_rotation_at REAL,
    last_rotation_status TEXT,
    last_rotation_message TEXT,
    freeform_tags TEXT NOT NULL,
    defined_tags TEXT NOT NULL,
    restored_from TEXT,
    revision INTEGER NOT NULL,
    created_at REAL NOT NULL,
    updated_at REAL NOT NULL
);
CREATE INDEX oci_keys_by_time ON oci_keys (vault_num, compartment_id, created_at, num);
CREATE INDEX oci_keys_by_name ON oci_keys (vault_num, compartment_id, display_name, num);
CREATE INDEX oci_keys_due ON oci_keys (deletes_at) WHERE state = 'PENDING_DELETION';
CREATE INDEX oci_keys_rotated ON oci_keys (next_rotation_at) WHERE is_auto_rotated = 1;

-- sealed is the key material: AES bytes, or a private key as PKCS#8 DER; gone once the version, its key or its vault is
-- deleted.
CREATE TABLE oci_key_versions (
    num INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    key_num INTEGER NOT NULL REFERENCES oci_keys (num),
    state TEXT NOT NULL CHECK (state IN ('ENABLED', 'PENDING_DELETION', 'DELETED')),
    passing TEXT NOT NULL,
    passing_until REAL NOT NULL,
    deletes_at REAL,
    origin TEXT NOT NULL,
    is_auto_rotated INTEGER NOT NULL,
    public_key TEXT,
    restored_from TEXT,
    data_key_id INTEGER REFERENCES data_keys (id),
    sealed BLOB,
    revision INTEGER NOT NULL,
    created_at REAL NOT NULL
);
CREATE INDEX oci_key_versions_by_time ON oci_key_versions (key_num, created_at, num);
CREATE INDEX oci_key_versions_due ON oci_key_versions (deletes_at) WHERE state = 'PENDING_DELETION';
CREATE INDEX oci_key_versions_by_data_key ON oci_key_versions (data_key_id) WHERE data_key_id IS NOT NULL;

-- The four numbers of versions say which stages each of them has; 0 is none. rules and generation are JSON of our own.
-- A name stays taken when its secret is deleted.
CREATE TABLE oci_secrets (
    num INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    vault_num INTEGER NOT NULL REFERENCES oci_vaults (num),
    key_id TEXT NOT NULL REFERENCES oci_keys (id),
    compartment_id TEXT NOT NULL,
    name TEXT NOT NULL,
    description TEXT,
    metadata TEXT,
    rules TEXT NOT NULL,
    is_auto_generated INTEGER NOT NULL,
    generation TEXT,
    current_version INTEGER NOT NULL,
    previous_version INTEGER NOT NULL,
    pending_version INTEGER NOT NULL,
    latest_version INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('ACTIVE', 'PENDING_DELETION', 'DELETED')),
    passing TEXT NOT NULL,
    passing_until REAL NOT NULL,
    deletes_at REAL,
    last_rotation_at REAL,
    freeform_tags TEXT NOT NULL,
    defined_tags TEXT NOT NULL,
    revision INTEGER NOT NULL,
    created_at REAL NOT NULL,
    updated_at REAL NOT NULL,
    UNIQUE (vault_num, name)
);
CREATE INDEX oci_secrets_by_time ON oci_secrets (compartment_id, created_at, num);
CREATE INDEX oci_secrets_by_name ON oci_secrets (compartment_id, name, num);
CREATE INDEX oci_secrets_due ON oci_secrets (deletes_at) WHERE state = 'PENDING_DELETION';

-- sealed is the secret's marking key and the content; content_mark is a MAC of the content under that key, by which a
-- content is known again that was used before. Once nothing of a secret is sealed any more, its marks tell nothing.
CREATE TABLE oci_secret_versions (
    num INTEGER PRIMARY KEY AUTOINCREMENT,
    secret_num INTEGER NOT NULL REFERENCES oci_secrets (num),
    number INTEGER NOT NULL,
    name TEXT,
    content_mark TEXT NOT NULL,
    is_auto_generated INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('ACTIVE', 'PENDING_DELETION', 'DELETED')),
    deletes_at REAL,
    data_key_id INTEGER REFERENCES data_keys (id),
    sealed BLOB,
    created_at REAL NOT NULL,
    UNIQUE (secret_num, number)
);
CREATE UNIQUE INDEX oci_secret_versions_by_name ON oci_secret_versions (secret_num, name) WHERE name IS NOT NULL;
CREATE INDEX oci_secret_versions_due ON oci_secret_versions (deletes_at) WHERE state = 'PENDING_DELETION';
CREATE INDEX oci_secret_versions_by_data_key ON oci_secret_versions (data_key_id) WHERE data_key_id IS NOT NULL;

-- The little of Object Storage that backups need.
CREATE TABLE oci_buckets (
    num INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    tenancy_num INTEGER NOT NULL REFERENCES oci_tenancies (num) ON DELETE CASCADE,
    region TEXT NOT NULL,
    compartment_id TEXT NOT NULL,
    name TEXT NOT NULL,
    freeform_tags TEXT NOT NULL,
    defined_tags TEXT NOT NULL,
    created_by TEXT NOT NULL,
    created_at REAL NOT NULL,
    UNIQUE (tenancy_num, region, name)
);

CREATE TABLE oci_objects (
    num INTEGER PRIMARY KEY AUTOINCREMENT,
    bucket_num INTEGER NOT NULL REFERENCES oci_buckets (num) ON DELETE CASCADE,
    name TEXT NOT NULL,
    content BLOB NOT NULL,
    size INTEGER NOT NULL,
    content_md5 TEXT NOT NULL,
    content_type TEXT NOT NULL,
    etag TEXT NOT NULL,
    created_at REAL NOT NULL,
    UNIQUE (bucket_num, name)
);

-- Pre-authenticated requests: who has the address may read or write one object. Only the hash of the secret part is kept.
CREATE TABLE oci_preauthenticated (
    id TEXT PRIMARY KEY,
    bucket_num INTEGER NOT NULL REFERENCES oci_buckets (num) ON DELETE CASCADE,
    name TEXT NOT NULL,
    object_name TEXT,
    access_type TEXT NOT NULL,
    secret_hash TEXT NOT NULL UNIQUE,
    expires_at REAL NOT NULL,
    created_at REAL NOT NULL
);
CREATE INDEX oci_preauthenticated_by_bucket ON oci_preauthenticated (bucket_num);

-- Backups leave the server: the data key of each must stay.
CREATE TABLE oci_backup_keys (
    uid TEXT PRIMARY KEY,
    data_key_id INTEGER NOT NULL REFERENCES data_keys (id),
    created_at REAL NOT NULL
);

-- What a call with a retry token was answered, for a day; subject is the OCID it is about.
CREATE TABLE oci_retry_tokens (
    user_id TEXT NOT NULL,
    token TEXT NOT NULL,
    request_hash TEXT NOT NULL,
    subject TEXT NOT NULL,
    compartment_id TEXT NOT NULL,
    status INTEGER NOT NULL,
    body BLOB NOT NULL,
    etag TEXT NOT NULL,
    expires_at REAL NOT NULL,
    PRIMARY KEY (user_id, token)
);
CREATE INDEX oci_retry_tokens_expire ON oci_retry_tokens (expires_at);
