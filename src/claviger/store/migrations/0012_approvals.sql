-- Four eyes: what must not happen by the word of one person, and who has agreed to what.

-- What is asked of changes that destroy something in a container, such as a vault. quorum is how many different people
-- must agree, who asks included (NULL: no setting of its own). names are words by which the cloud knows the container, with
-- spaces around each: another record that leads to the same place is guarded too.
CREATE TABLE cckm_protections (
    container_id TEXT PRIMARY KEY,
    domain_id TEXT NOT NULL REFERENCES cckm_domains (id) ON DELETE CASCADE,
    names TEXT NOT NULL,
    protected INTEGER NOT NULL,
    quorum INTEGER CHECK (quorum >= 2)
);
CREATE INDEX cckm_protections_of_domain ON cckm_protections (domain_id);

-- Requests for approval. digest is of the very call that was made, version of what it was about: of a request that stands
-- open, either has to be met again. requester is kept when the user goes. What has lapsed still says 'open'.
CREATE TABLE cckm_approvals (
    num INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    domain_id TEXT NOT NULL REFERENCES cckm_domains (id) ON DELETE CASCADE,
    requester TEXT NOT NULL,
    requester_name TEXT NOT NULL,
    action TEXT NOT NULL,
    method TEXT NOT NULL,
    path TEXT NOT NULL,
    digest TEXT NOT NULL,
    version TEXT NOT NULL,
    subject_kind TEXT NOT NULL,
    subject_id TEXT NOT NULL,
    subject_name TEXT NOT NULL,
    container_id TEXT NOT NULL,
    container_name TEXT NOT NULL,
    words TEXT NOT NULL,
    quorum INTEGER NOT NULL CHECK (quorum >= 2),
    state TEXT NOT NULL CHECK (state IN ('open', 'used', 'refused', 'withdrawn', 'lapsed', 'void')),
    reason TEXT NOT NULL,
    created_at REAL NOT NULL,
    updated_at REAL NOT NULL,
    lapses_at REAL NOT NULL,
    ended_at REAL
);
CREATE UNIQUE INDEX cckm_approvals_one_open ON cckm_approvals (domain_id, requester, digest) WHERE state = 'open';
CREATE INDEX cckm_approvals_listed ON cckm_approvals (domain_id, num);

-- One vote a person. user_id is kept when the user goes; his vote counts no more then.
CREATE TABLE cckm_approval_votes (
    approval_id TEXT NOT NULL REFERENCES cckm_approvals (id) ON DELETE CASCADE,
    user_id TEXT NOT NULL,
    username TEXT NOT NULL,
    agrees INTEGER NOT NULL,
    reason TEXT NOT NULL,
    voted_at REAL NOT NULL,
    PRIMARY KEY (approval_id, user_id)
);
