-- Which root keys this database is sealed under. The keys themselves are never in a database.
-- check_value is a known constant sealed under the root key: a wrong key is found at start, not at the first read.
CREATE TABLE root_keys (
    id TEXT PRIMARY KEY,
    state TEXT NOT NULL CHECK (state IN ('current', 'previous')),
    check_value BLOB NOT NULL,
    created_at INTEGER NOT NULL
);
CREATE UNIQUE INDEX root_keys_current ON root_keys (state) WHERE state = 'current';

-- One data key of a scope, wrapped under a root key. Ids are random and never used again, so a key remembered by some
-- process can never be taken for another one. Whoever stores a sealed value refers to its key: the foreign keys make
-- it impossible to remove a root key or a data key that something still needs.
CREATE TABLE data_keys (
    id INTEGER PRIMARY KEY,
    scope TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('current', 'previous')),
    root_key_id TEXT NOT NULL REFERENCES root_keys (id),
    wrapped BLOB NOT NULL,
    created_at INTEGER NOT NULL
);
CREATE UNIQUE INDEX data_keys_current ON data_keys (scope) WHERE state = 'current';
CREATE INDEX data_keys_root_key ON data_keys (root_key_id);
CREATE INDEX data_keys_previous ON data_keys (scope) WHERE state = 'previous';

-- The few secrets of the server itself, by name.
CREATE TABLE sealed_notes (
    name TEXT PRIMARY KEY,
    data_key_id INTEGER NOT NULL REFERENCES data_keys (id),
    sealed BLOB NOT NULL,
    updated_at INTEGER NOT NULL
);
CREATE INDEX sealed_notes_data_key ON sealed_notes (data_key_id);
