-- Secrets of the embedded Key Vault. One row a secret, one row a version; a version's value is sealed.
CREATE TABLE kv_secrets (
    id INTEGER PRIMARY KEY,
    vault_id INTEGER NOT NULL REFERENCES kv_vaults(id),
    name_key TEXT NOT NULL,
    name TEXT NOT NULL,
    latest_id INTEGER NOT NULL DEFAULT 0,
    deleted INTEGER NOT NULL DEFAULT 0,
    deleted_at INTEGER,
    purge_at INTEGER,
    settles_at INTEGER
);

CREATE UNIQUE INDEX kv_secrets_by_name ON kv_secrets (vault_id, name_key);

-- Listings walk this one, so that a page costs the same beside a million deleted or live neighbours.
CREATE INDEX kv_secrets_listed ON kv_secrets (vault_id, deleted, name_key);

CREATE INDEX kv_secrets_due ON kv_secrets (purge_at) WHERE purge_at IS NOT NULL;

CREATE TABLE kv_secret_versions (
    id INTEGER PRIMARY KEY,
    secret_id INTEGER NOT NULL REFERENCES kv_secrets(id) ON DELETE CASCADE,
    version TEXT NOT NULL,
    enabled INTEGER NOT NULL,
    not_before INTEGER,
    expires_at INTEGER,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    content_type TEXT,
    tags TEXT,
    data_key_id INTEGER NOT NULL REFERENCES data_keys(id),
    sealed BLOB NOT NULL
);

CREATE UNIQUE INDEX kv_secret_versions_by_version ON kv_secret_versions (secret_id, version);

-- For the rotation of data keys, and for the check that a retired one is no longer needed.
CREATE INDEX kv_secret_versions_by_data_key ON kv_secret_versions (data_key_id);

-- A backup leaves the server, so the key that sealed it is kept for good: this row is what keeps it.
CREATE TABLE kv_backup_keys (
    uid TEXT PRIMARY KEY,
    data_key_id INTEGER NOT NULL REFERENCES data_keys(id),
    created_at INTEGER NOT NULL
);
