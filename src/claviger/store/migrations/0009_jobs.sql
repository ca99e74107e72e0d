-- Work that survives: long runs with progress, what is to be run when, and what became of it.

-- One row a run. While it is in progress it may be taken up once free_at (machine's time) has passed: that is the end of
-- its holder's lease, or when to try again. attempts grows with each taking up, and is what an earlier holder lacks.
-- failures counts those since progress was last saved.
CREATE TABLE job_runs (
    num INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    domain_id TEXT NOT NULL,
    run_key TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('in_progress', 'completed', 'failed')),
    request TEXT NOT NULL,
    progress TEXT NOT NULL,
    message TEXT NOT NULL,
    abort INTEGER NOT NULL,
    holder TEXT NOT NULL,
    free_at REAL NOT NULL,
    attempts INTEGER NOT NULL,
    failures INTEGER NOT NULL,
    last_error TEXT NOT NULL,
    started_by TEXT NOT NULL,
    created_at REAL NOT NULL,
    started_at REAL,
    updated_at REAL NOT NULL,
    completed_at REAL
);
CREATE UNIQUE INDEX job_runs_one_at_a_time ON job_runs (run_key) WHERE state = 'in_progress' AND run_key <> '';
CREATE INDEX job_runs_due ON job_runs (free_at) WHERE state = 'in_progress';
CREATE INDEX job_runs_listed ON job_runs (kind, domain_id, num);

-- What is to be run when. next_run_at is the slot that is due next, in whole seconds (NULL: none); whoever moves it on has
-- claimed the slot. planned_at is when that was decided: a time in the future means that the clock was set back since.
CREATE TABLE cckm_job_configs (
    id TEXT PRIMARY KEY,
    domain_id TEXT NOT NULL REFERENCES cckm_domains (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    operation TEXT NOT NULL,
    run_at TEXT NOT NULL,
    disabled INTEGER NOT NULL,
    start_at REAL,
    end_at REAL,
    description TEXT NOT NULL,
    params TEXT NOT NULL,
    next_run_at INTEGER,
    planned_at REAL NOT NULL,
    created_by TEXT NOT NULL,
    created_at REAL NOT NULL,
    updated_at REAL NOT NULL
);
CREATE INDEX cckm_job_configs_listed ON cckm_job_configs (domain_id, created_at);
CREATE INDEX cckm_job_configs_due ON cckm_job_configs (next_run_at);

-- What became of it, one row each time. run_id is the row of job_runs that was started, whose state then is the job's
-- state; status is what it is without one. The row stays when its configuration goes.
CREATE TABLE cckm_jobs (
    num INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    domain_id TEXT NOT NULL REFERENCES cckm_domains (id) ON DELETE CASCADE,
    job_config_id TEXT NOT NULL,
    name TEXT NOT NULL,
    operation TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('in_progress', 'completed', 'failed')),
    message TEXT NOT NULL,
    due_at REAL,
    run_id TEXT,
    skipped_count INTEGER NOT NULL,
    skipped_at REAL,
    created_at REAL NOT NULL,
    started_at REAL,
    finished_at REAL
);
CREATE INDEX cckm_jobs_listed ON cckm_jobs (domain_id, num);
CREATE INDEX cckm_jobs_of_config ON cckm_jobs (job_config_id, num);
