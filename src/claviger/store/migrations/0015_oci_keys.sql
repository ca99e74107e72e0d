-- The control plane's half for OCI: tenancies, compartments, vaults, keys, versions; local keys; reports. Times are epoch
-- seconds. What OCI says and nobody filters by is JSON in `details`.

CREATE TABLE cckm_oci_tenancies (
    id TEXT PRIMARY KEY,
    domain_id TEXT NOT NULL REFERENCES cckm_domains (id),
    ocid TEXT NOT NULL,
    name TEXT NOT NULL,
    connection_id TEXT NOT NULL,
    connection_name TEXT NOT NULL,
    created_at REAL NOT NULL,
    updated_at REAL NOT NULL
);
CREATE UNIQUE INDEX cckm_oci_tenancies_once ON cckm_oci_tenancies (domain_id, ocid);

CREATE TABLE cckm_oci_compartments (
    id TEXT PRIMARY KEY,
    domain_id TEXT NOT NULL REFERENCES cckm_domains (id),
    ocid TEXT NOT NULL,
    parent_ocid TEXT NOT NULL,
    tenancy_ocid TEXT NOT NULL,
    tenancy_name TEXT NOT NULL,
    connection_id TEXT NOT NULL,
    connection_name TEXT NOT NULL,
    name TEXT NOT NULL,
    details TEXT NOT NULL,
    created_at REAL NOT NULL,
    updated_at REAL NOT NULL
);
CREATE UNIQUE INDEX cckm_oci_compartments_once ON cckm_oci_compartments (domain_id, ocid);

-- A vault that was removed stays here, hidden with all its keys: added again it is the same one. connection_id is empty
-- after a forced delete of the connection.
CREATE TABLE cckm_oci_vaults (
    num INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    domain_id TEXT NOT NULL REFERENCES cckm_domains (id),
    removed INTEGER NOT NULL,
    connection_id TEXT NOT NULL,
    connection_name TEXT NOT NULL,
    tenancy_ocid TEXT NOT NULL,
    tenancy_name TEXT NOT NULL,
    region TEXT NOT NULL,
    ocid TEXT NOT NULL,
    compartment_ocid TEXT NOT NULL,
    compartment_name TEXT NOT NULL,
    display_name TEXT NOT NULL,
    vault_type TEXT NOT NULL,
    state TEXT NOT NULL,
    management_endpoint TEXT NOT NULL,
    bucket_name TEXT NOT NULL,
    bucket_namespace TEXT NOT NULL,
    details TEXT NOT NULL,
    refreshed_at REAL,
    read_began_at REAL,
    created_by TEXT NOT NULL,
    created_at REAL NOT NULL,
    updated_at REAL NOT NULL
);
CREATE UNIQUE INDEX cckm_oci_vaults_once ON cckm_oci_vaults (domain_id, ocid);
CREATE INDEX cckm_oci_vaults_by_connection ON cckm_oci_vaults (connection_id);

-- refresh_at is when to look again at a key that is shown in a passing state (NULL: it has settled); tries count the looks.
-- backup names the object in the vault's bucket.
CREATE TABLE cckm_oci_keys (
    num INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    vault_num INTEGER NOT NULL REFERENCES cckm_oci_vaults (num),
    ocid TEXT NOT NULL,
    name TEXT NOT NULL,
    name_key TEXT NOT NULL,
    algorithm TEXT NOT NULL,
    length INTEGER NOT NULL,
    curve_id TEXT NOT NULL,
    protection_mode TEXT NOT NULL,
    compartment_ocid TEXT NOT NULL,
    compartment_name TEXT NOT NULL,
    state TEXT NOT NULL,
    previous_state TEXT NOT NULL,
    current_version_ocid TEXT NOT NULL,
    origin TEXT NOT NULL,
    oci_created_at REAL NOT NULL,
    deletes_at REAL,
    auto_rotate INTEGER NOT NULL,
    job_config_id TEXT NOT NULL,
    labels TEXT NOT NULL,
    gone INTEGER NOT NULL,
    details TEXT NOT NULL,
    backup TEXT,
    backup_at REAL,
    refresh_at REAL,
    tries INTEGER NOT NULL,
    refreshed_at REAL NOT NULL,
    created_by TEXT NOT NULL,
    modified_by TEXT NOT NULL,
    deleted_by TEXT NOT NULL,
    created_at REAL NOT NULL,
    updated_at REAL NOT NULL
);
CREATE UNIQUE INDEX cckm_oci_keys_once ON cckm_oci_keys (vault_num, ocid);
CREATE INDEX cckm_oci_keys_by_name ON cckm_oci_keys (vault_num, name_key, num);
CREATE INDEX cckm_oci_keys_updated ON cckm_oci_keys (updated_at, num);
CREATE INDEX cckm_oci_keys_due ON cckm_oci_keys (refresh_at) WHERE refresh_at IS NOT NULL;
CREATE INDEX cckm_oci_keys_leaving ON cckm_oci_keys (deletes_at, num, vault_num, gone)
    WHERE state IN ('SCHEDULING_DELETION', 'PENDING_DELETION');
CREATE INDEX cckm_oci_keys_kept ON cckm_oci_keys (updated_at, num, vault_num, state, gone) WHERE backup IS NOT NULL;
CREATE INDEX cckm_oci_keys_of_job ON cckm_oci_keys (job_config_id) WHERE job_config_id <> '';

-- The rows of keys in portions of 1,024 nums, and at which revision of the keys one of a portion changed last: each process
-- that searches keeps the portions in memory, and reads those anew that have moved.
CREATE TABLE cckm_oci_key_parts (
    part INTEGER PRIMARY KEY,
    revision INTEGER NOT NULL
);
INSERT INTO meta (key, value) VALUES ('cckm_oci_keys_revision', '0');

CREATE TABLE cckm_oci_key_versions (
    num INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    key_num INTEGER NOT NULL REFERENCES cckm_oci_keys (num) ON DELETE CASCADE,
    ocid TEXT NOT NULL,
    state TEXT NOT NULL,
    origin TEXT NOT NULL,
    key_origin TEXT NOT NULL,
    source_key_id TEXT NOT NULL,
    source_key_name TEXT NOT NULL,
    source_key_tier TEXT NOT NULL,
    oci_created_at REAL NOT NULL,
    deletes_at REAL,
    gone INTEGER NOT NULL,
    details TEXT NOT NULL,
    refresh_at REAL,
    tries INTEGER NOT NULL,
    refreshed_at REAL NOT NULL,
    deleted_by TEXT NOT NULL,
    created_at REAL NOT NULL,
    updated_at REAL NOT NULL
);
CREATE UNIQUE INDEX cckm_oci_key_versions_once ON cckm_oci_key_versions (key_num, ocid);
CREATE INDEX cckm_oci_key_versions_due ON cckm_oci_key_versions (refresh_at) WHERE refresh_at IS NOT NULL;
CREATE INDEX cckm_oci_key_versions_leaving ON cckm_oci_key_versions (deletes_at, num, key_num, gone)
    WHERE state IN ('SCHEDULING_DELETION', 'PENDING_DELETION');

-- Which date of a deletion was told last by a notice, and how many days ahead that was. version_num 0 is the key itself.
CREATE TABLE cckm_oci_notices_told (
    key_num INTEGER NOT NULL REFERENCES cckm_oci_keys (num) ON DELETE CASCADE,
    version_num INTEGER NOT NULL,
    at REAL NOT NULL,
    days INTEGER NOT NULL,
    PRIMARY KEY (key_num, version_num)
);

-- The vaults of a synchronisation job, as for Azure.
CREATE TABLE cckm_oci_synchronizations (
    run_id TEXT NOT NULL REFERENCES job_runs (id) ON DELETE CASCADE,
    place INTEGER NOT NULL,
    vault_id TEXT NOT NULL,
    name TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('waiting', 'in_progress', 'completed', 'failed', 'cancelled')),
    outcome TEXT NOT NULL,
    PRIMARY KEY (run_id, vault_id)
);
CREATE INDEX cckm_oci_synchronizations_by_vault ON cckm_oci_synchronizations (vault_id, run_id);

CREATE TABLE cckm_oci_drift (
    id TEXT PRIMARY KEY,
    vault_num INTEGER NOT NULL REFERENCES cckm_oci_vaults (num) ON DELETE CASCADE,
    key_ocid TEXT NOT NULL,
    name TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('missing', 'new', 'different')),
    fields TEXT NOT NULL,
    key_id TEXT NOT NULL,
    record_at REAL NOT NULL,
    since REAL NOT NULL
);
CREATE UNIQUE INDEX cckm_oci_drift_once ON cckm_oci_drift (vault_num, key_ocid);
CREATE INDEX cckm_oci_drift_listed ON cckm_oci_drift (since, id);

-- Keys of our own, to be uploaded. The material is in the safe, under ('local-key', id).
CREATE TABLE cckm_local_keys (
    num INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    domain_id TEXT NOT NULL REFERENCES cckm_domains (id),
    name TEXT NOT NULL,
    algorithm TEXT NOT NULL,
    size INTEGER NOT NULL,
    curve_id TEXT NOT NULL,
    usage_mask INTEGER NOT NULL,
    exportable INTEGER NOT NULL,
    deletable INTEGER NOT NULL,
    public_key TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    details TEXT NOT NULL,
    created_by TEXT NOT NULL,
    created_at REAL NOT NULL,
    updated_at REAL NOT NULL
);
CREATE UNIQUE INDEX cckm_local_keys_once ON cckm_local_keys (domain_id, name);

CREATE TABLE cckm_oci_reports (
    num INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    domain_id TEXT NOT NULL REFERENCES cckm_domains (id),
    name TEXT NOT NULL,
    report_type TEXT NOT NULL,
    params TEXT NOT NULL,
    start_at REAL,
    end_at REAL,
    state TEXT NOT NULL,
    message TEXT NOT NULL,
    row_count INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    created_at REAL NOT NULL,
    updated_at REAL NOT NULL
);

CREATE TABLE cckm_oci_report_rows (
    report_num INTEGER NOT NULL REFERENCES cckm_oci_reports (num) ON DELETE CASCADE,
    place INTEGER NOT NULL,
    key_ocid TEXT NOT NULL,
    content TEXT NOT NULL,
    PRIMARY KEY (report_num, place)
);
