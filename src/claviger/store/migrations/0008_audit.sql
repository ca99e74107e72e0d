-- The audit log: a Merkle tree (RFC 6962) of records. Nothing here is ever changed or removed but the head and the counts.

-- What many records share, and how many those are: lists filter and count by this.
CREATE TABLE audit_facets (
    id INTEGER PRIMARY KEY,
    domain_id TEXT NOT NULL,
    service TEXT NOT NULL,
    origin TEXT NOT NULL,
    action TEXT NOT NULL,
    severity TEXT NOT NULL,
    success INTEGER NOT NULL,
    username TEXT NOT NULL,
    address TEXT NOT NULL,
    count INTEGER NOT NULL
);
CREATE UNIQUE INDEX audit_facets_once
    ON audit_facets (domain_id, service, action, origin, severity, success, username, address);

-- seq is the number of the leaf, from 0 without a gap. hashes is the leaf's hash and, behind it, those of the whole
-- subtrees that this leaf completes, from the smallest up: node n of level l ends the row ((n + 1) << l) - 1.
-- body is the canonical JSON, which alone counts; at, facet_id and object_key repeat what is in it. object_key is a
-- number made of the object's id, for finding it; two objects may share one.
CREATE TABLE audit_records (
    seq INTEGER PRIMARY KEY,
    at REAL NOT NULL,
    facet_id INTEGER NOT NULL,
    object_key INTEGER,
    hashes BLOB NOT NULL,
    body BLOB NOT NULL
);
CREATE INDEX audit_records_by_at ON audit_records (at, seq, facet_id);
CREATE INDEX audit_records_by_facet ON audit_records (facet_id, at, seq);

-- By object within each 512 records: so a new record's place in the index is always near the last one's.
CREATE INDEX audit_records_by_object ON audit_records ((seq / 512), object_key);

-- One row: how many leaves there are, and the roots of the whole subtrees that they make, largest first.
CREATE TABLE audit_head (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    size INTEGER NOT NULL,
    frontier BLOB NOT NULL
);
INSERT INTO audit_head (id, size, frontier) VALUES (1, 0, CAST('' AS BLOB));

-- Signed notes, each about the first size records.
CREATE TABLE audit_checkpoints (
    size INTEGER PRIMARY KEY,
    at REAL NOT NULL,
    note TEXT NOT NULL
);
