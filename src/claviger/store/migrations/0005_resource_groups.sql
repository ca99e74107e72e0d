-- Resource groups of the management API. A vault names its group; a deleted one may name a group that is gone.
CREATE TABLE kv_resource_groups (
    id INTEGER PRIMARY KEY,
    subscription_id TEXT NOT NULL,
    name TEXT NOT NULL,
    location TEXT NOT NULL,
    tags TEXT,
    created_at INTEGER NOT NULL
);
CREATE UNIQUE INDEX kv_resource_groups_by_name ON kv_resource_groups (subscription_id, lower(name));

INSERT INTO kv_resource_groups (subscription_id, name, location, created_at)
SELECT subscription_id, MIN(resource_group), MIN(location), MIN(created_at)
FROM kv_vaults GROUP BY subscription_id, lower(resource_group);
