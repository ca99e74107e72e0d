-- One row per fact about the installation itself: its identity, and the revisions that say when a snapshot is stale.
CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
);
