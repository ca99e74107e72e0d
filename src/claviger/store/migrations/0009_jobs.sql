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
