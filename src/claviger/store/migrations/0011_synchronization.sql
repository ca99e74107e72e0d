-- Synchronisation: jobs that compare what is recorded of secrets with what is in the cloud, a vault at a time.

-- The vaults of a job (job_runs), each with how far it is, and in JSON what came of it. name is that of the vault's
-- record when the job was started.
CREATE TABLE cckm_azure_synchronizations (
    run_id TEXT NOT NULL REFERENCES job_runs (id) ON DELETE CASCADE,
    place INTEGER NOT NULL,
    vault_id TEXT NOT NULL,
    name TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('waiting', 'in_progress', 'completed', 'failed', 'cancelled')),
    outcome TEXT NOT NULL,
    PRIMARY KEY (run_id, vault_id)
);
CREATE INDEX cckm_azure_synchronizations_by_vault ON cckm_azure_synchronizations (vault_id, run_id);

-- When the last reading of a vault that came to its end was begun. Times in the cloud are whole seconds, so what was
-- changed shortly before that may have changed once more since, without its times showing it.
CREATE TABLE cckm_azure_readings (
    vault_num INTEGER PRIMARY KEY REFERENCES cckm_azure_vaults (num) ON DELETE CASCADE,
    began_at REAL NOT NULL
);

-- What was found to have changed in the cloud without us, one row a name. fields is JSON: what differs, with what it was
-- as we knew it and what it is. secret_id is the record that shows it; record_at is when synchronisation last changed
-- that record: if it has changed since, somebody has dealt with it here, and this row is of no account any more.
CREATE TABLE cckm_azure_drift (
    id TEXT PRIMARY KEY,
    vault_num INTEGER NOT NULL REFERENCES cckm_azure_vaults (num) ON DELETE CASCADE,
    name TEXT NOT NULL,
    name_key TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('missing', 'new', 'different')),
    fields TEXT NOT NULL,
    secret_id TEXT NOT NULL,
    record_at REAL NOT NULL,
    since REAL NOT NULL
);
CREATE UNIQUE INDEX cckm_azure_drift_once ON cckm_azure_drift (vault_num, name_key);
CREATE INDEX cckm_azure_drift_listed ON cckm_azure_drift (since, id);
