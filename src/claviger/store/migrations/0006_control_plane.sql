-- The control plane: who may use it, which clouds it reaches, what it knows of them, and what it is about to do there.
-- Nothing here refers to a table of the embedded clouds: they are strangers that meet over HTTPS.
INSERT INTO meta (key, value) VALUES ('cckm_access_revision', '0');
INSERT INTO meta (key, value) VALUES ('cckm_azure_secrets_revision', '0');
INSERT INTO meta (key, value) VALUES ('cckm_refused_sign_ins', '0');

-- Every sealed value of the control plane, by what it is: a connection's credential, a secret's backup, a signing key.
CREATE TABLE cckm_sealed (
    kind TEXT NOT NULL,
    ident TEXT NOT NULL,
    data_key_id INTEGER NOT NULL REFERENCES data_keys (id),
    sealed BLOB NOT NULL,
    PRIMARY KEY (kind, ident)
);
CREATE INDEX cckm_sealed_by_data_key ON cckm_sealed (data_key_id);

-- Domains, users, groups, rights. What is remembered of them holds until meta.cckm_access_revision moves.
CREATE TABLE cckm_domains (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    details TEXT NOT NULL,
    created_at REAL NOT NULL,
    updated_at REAL NOT NULL
);
CREATE UNIQUE INDEX cckm_domains_by_name ON cckm_domains (lower(name));

-- username_key is the name as names are compared. Tokens carry token_epoch: those of an earlier one are void.
CREATE TABLE cckm_users (
    id TEXT PRIMARY KEY,
    domain_id TEXT NOT NULL REFERENCES cckm_domains (id),
    username TEXT NOT NULL,
    username_key TEXT NOT NULL,
    name TEXT NOT NULL,
    email TEXT NOT NULL,
    password_hash TEXT NOT NULL,
    password_change_required INTEGER NOT NULL,
    password_changed_at REAL NOT NULL,
    token_epoch INTEGER NOT NULL,
    failed_count INTEGER NOT NULL,
    locked_until REAL NOT NULL,
    last_login REAL,
    details TEXT NOT NULL,
    created_at REAL NOT NULL,
    updated_at REAL NOT NULL
);
CREATE UNIQUE INDEX cckm_users_by_name ON cckm_users (domain_id, username_key);

CREATE TABLE cckm_groups (
    domain_id TEXT NOT NULL REFERENCES cckm_domains (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    details TEXT NOT NULL,
    created_at REAL NOT NULL,
    updated_at REAL NOT NULL,
    PRIMARY KEY (domain_id, name)
);

-- A user of one domain may be in groups of another: that is what lets him enter it.
CREATE TABLE cckm_members (
    domain_id TEXT NOT NULL,
    group_name TEXT NOT NULL,
    user_id TEXT NOT NULL REFERENCES cckm_users (id) ON DELETE CASCADE,
    PRIMARY KEY (domain_id, group_name, user_id),
    FOREIGN KEY (domain_id, group_name) REFERENCES cckm_groups (domain_id, name) ON DELETE CASCADE ON UPDATE CASCADE
);
CREATE INDEX cckm_members_by_user ON cckm_members (user_id, domain_id, group_name);

-- grantee is 'user:UUID' or 'group:NAME'; actions are words with spaces between them.
CREATE TABLE cckm_acls (
    domain_id TEXT NOT NULL REFERENCES cckm_domains (id) ON DELETE CASCADE,
    container_id TEXT NOT NULL,
    grantee TEXT NOT NULL,
    actions TEXT NOT NULL,
    PRIMARY KEY (container_id, grantee)
);
CREATE INDEX cckm_acls_by_grantee ON cckm_acls (domain_id, grantee);

-- One row for a whole line of refresh tokens: selector begins each of them, sha256 is that of the rest of the newest.
CREATE TABLE cckm_refresh_tokens (
    id TEXT PRIMARY KEY,
    selector TEXT NOT NULL UNIQUE,
    sha256 BLOB NOT NULL,
    session_id TEXT NOT NULL,
    user_id TEXT NOT NULL REFERENCES cckm_users (id) ON DELETE CASCADE,
    domain_id TEXT NOT NULL REFERENCES cckm_domains (id) ON DELETE CASCADE,
    client_id TEXT NOT NULL,
    unused_limit_s INTEGER,
    created_at REAL NOT NULL,
    used_at REAL NOT NULL,
    expires_at REAL NOT NULL
);
CREATE INDEX cckm_refresh_tokens_by_user ON cckm_refresh_tokens (user_id, used_at);
CREATE INDEX cckm_refresh_tokens_by_session ON cckm_refresh_tokens (session_id);
CREATE INDEX cckm_refresh_tokens_due ON cckm_refresh_tokens (expires_at);

-- Access tokens that were taken back before their end, by the id of the token, of its session, or of its client.
CREATE TABLE cckm_revoked (
    token_id TEXT PRIMARY KEY,
    expires_at REAL NOT NULL
);
CREATE INDEX cckm_revoked_due ON cckm_revoked (expires_at);

-- A program that signs in by a credential of its own as one user (client credentials).
CREATE TABLE cckm_clients (
    id TEXT PRIMARY KEY,
    sha256 BLOB NOT NULL,
    user_id TEXT NOT NULL REFERENCES cckm_users (id) ON DELETE CASCADE,
    domain_id TEXT NOT NULL REFERENCES cckm_domains (id) ON DELETE CASCADE,
    details TEXT NOT NULL,
    created_at REAL NOT NULL
);
CREATE INDEX cckm_clients_by_user ON cckm_clients (user_id);

-- Groups that a client is in beside those of its user.
CREATE TABLE cckm_client_members (
    domain_id TEXT NOT NULL,
    group_name TEXT NOT NULL,
    client_id TEXT NOT NULL REFERENCES cckm_clients (id) ON DELETE CASCADE,
    PRIMARY KEY (domain_id, group_name, client_id),
    FOREIGN KEY (domain_id, group_name) REFERENCES cckm_groups (domain_id, name) ON DELETE CASCADE ON UPDATE CASCADE
);
CREATE INDEX cckm_client_members_by_client ON cckm_client_members (client_id, domain_id, group_name);

CREATE TABLE cckm_signing_keys (
    kid TEXT PRIMARY KEY,
    state TEXT NOT NULL CHECK (state IN ('current', 'previous')),
    created_at REAL NOT NULL,
    lapses_at REAL
);
CREATE UNIQUE INDEX cckm_signing_keys_current ON cckm_signing_keys (state) WHERE state = 'current';

-- Clouds. details is the connection's own JSON without its secrets; those are sealed ('connection', id).
CREATE TABLE cckm_connections (
    id TEXT PRIMARY KEY,
    domain_id TEXT NOT NULL REFERENCES cckm_domains (id),
    service TEXT NOT NULL,
    name TEXT NOT NULL,
    cloud_name TEXT NOT NULL,
    details TEXT NOT NULL,
    last_connection_ok INTEGER,
    last_connection_error TEXT,
    last_connection_at REAL,
    revision INTEGER NOT NULL,
    created_at REAL NOT NULL,
    updated_at REAL NOT NULL
);
CREATE UNIQUE INDEX cckm_connections_by_name ON cckm_connections (domain_id, name);

-- Private keys that wait for the certificate of a signing request, sealed ('connection-csr', id). id is the SHA-256 of
-- the public key.
CREATE TABLE cckm_connection_csrs (
    id TEXT PRIMARY KEY,
    domain_id TEXT NOT NULL REFERENCES cckm_domains (id) ON DELETE CASCADE,
    created_at REAL NOT NULL
);
CREATE INDEX cckm_connection_csrs_due ON cckm_connection_csrs (created_at);

CREATE TABLE cckm_azure_subscriptions (
    id TEXT PRIMARY KEY,
    domain_id TEXT NOT NULL REFERENCES cckm_domains (id),
    subscription_id TEXT NOT NULL,
    display_name TEXT NOT NULL,
    details TEXT NOT NULL,
    created_at REAL NOT NULL,
    updated_at REAL NOT NULL
);
CREATE UNIQUE INDEX cckm_azure_subscriptions_once ON cckm_azure_subscriptions (domain_id, subscription_id);

-- num is what rows of secrets carry; it is never used again. connection_id is empty after a forced delete.
CREATE TABLE cckm_azure_vaults (
    num INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    domain_id TEXT NOT NULL REFERENCES cckm_domains (id),
    connection_id TEXT NOT NULL,
    connection_name TEXT NOT NULL,
    subscription_id TEXT NOT NULL,
    subscription_name TEXT NOT NULL,
    azure_name TEXT NOT NULL,
    azure_vault_id TEXT NOT NULL,
    cloud_name TEXT NOT NULL,
    location TEXT NOT NULL,
    type TEXT NOT NULL,
    details TEXT NOT NULL,
    labels TEXT NOT NULL,
    cloud_key_backup_limit INTEGER NOT NULL,
    synced_at REAL,
    created_by TEXT NOT NULL,
    created_at REAL NOT NULL,
    updated_at REAL NOT NULL
);
CREATE UNIQUE INDEX cckm_azure_vaults_once ON cckm_azure_vaults (domain_id, lower(azure_vault_id));
CREATE INDEX cckm_azure_vaults_by_name ON cckm_azure_vaults (domain_id, lower(azure_name));
CREATE INDEX cckm_azure_vaults_by_connection ON cckm_azure_vaults (connection_id);

-- What all secrets with the same filterable facts share, and how many those are: lists count and skip by this.
-- domain_id is empty where the vault was removed: its rows are seen by nobody, and go in batches.
CREATE TABLE cckm_azure_secret_facets (
    id INTEGER PRIMARY KEY,
    domain_id TEXT NOT NULL,
    vault_num INTEGER NOT NULL,
    status TEXT NOT NULL,
    soft_deleted INTEGER NOT NULL,
    gone INTEGER NOT NULL,
    enabled INTEGER NOT NULL,
    managed INTEGER NOT NULL,
    origin TEXT NOT NULL,
    latest INTEGER NOT NULL,
    count INTEGER NOT NULL
);
CREATE UNIQUE INDEX cckm_azure_secret_facets_once ON cckm_azure_secret_facets
    (domain_id, vault_num, status, soft_deleted, gone, enabled, managed, origin, latest);

-- One row a secret's version. num is the order of creation here. name_key is the name in lower case, as Azure compares.
-- details is what is only shown, and what Azure says (attributes, tags, content type), as JSON; the sealed backup is
-- ('backup', backup). latest is 1 on the newest row of a vault's name.
CREATE TABLE cckm_azure_secrets (
    num INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    facet_id INTEGER NOT NULL,
    vault_num INTEGER NOT NULL,
    name TEXT NOT NULL,
    name_key TEXT NOT NULL,
    version TEXT NOT NULL,
    latest INTEGER NOT NULL,
    status TEXT NOT NULL,
    soft_deleted INTEGER NOT NULL,
    gone INTEGER NOT NULL,
    details TEXT NOT NULL,
    backup TEXT,
    backup_at REAL,
    synced_at REAL NOT NULL,
    created_by TEXT NOT NULL,
    modified_by TEXT NOT NULL,
    created_at REAL NOT NULL,
    updated_at REAL NOT NULL
);
CREATE INDEX cckm_azure_secrets_by_name ON cckm_azure_secrets (vault_num, name_key, num, facet_id);
CREATE INDEX cckm_azure_secrets_by_version ON cckm_azure_secrets (version);
CREATE INDEX cckm_azure_secrets_by_backup ON cckm_azure_secrets (backup) WHERE backup IS NOT NULL;
CREATE INDEX cckm_azure_secrets_named ON cckm_azure_secrets (name_key, num, facet_id);
CREATE INDEX cckm_azure_secrets_updated ON cckm_azure_secrets (updated_at, num, facet_id);
CREATE INDEX cckm_azure_secrets_facet_created ON cckm_azure_secrets (facet_id, num);
CREATE INDEX cckm_azure_secrets_facet_updated ON cckm_azure_secrets (facet_id, updated_at, num);

CREATE TABLE cckm_azure_secret_tags (
    secret_num INTEGER NOT NULL REFERENCES cckm_azure_secrets (num) ON DELETE CASCADE,
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (secret_num, name)
);
CREATE INDEX cckm_azure_secret_tags_named ON cckm_azure_secret_tags (name, value, secret_num);

-- How many secrets of each facet have a tag: lists by tag count by this.
CREATE TABLE cckm_azure_secret_tag_counts (
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    facet_id INTEGER NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (name, value, facet_id)
);

-- What is about to be done in a cloud, committed before the cloud is asked. One at a time for a subject. A row whose
-- holder is dead, or whose lease has ended, is taken up by whoever finds it: the cloud is asked what happened.
CREATE TABLE intents (
    id TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    subject TEXT NOT NULL UNIQUE,
    payload TEXT NOT NULL,
    stage TEXT NOT NULL,
    holder TEXT NOT NULL,
    leased_until REAL NOT NULL,
    attempts INTEGER NOT NULL,
    try_at REAL NOT NULL,
    last_error TEXT NOT NULL,
    created_at REAL NOT NULL
);
CREATE INDEX intents_due ON intents (try_at);
