-- Search over the estate, what is leaving, and what lists of secrets filter by besides.

-- When Azure created the version (0: not known). sole is 1 where no other row has the vault and the name. deleted_by is the
-- user who deleted it through us, empty where nobody did or somebody else has.
ALTER TABLE cckm_azure_secrets ADD COLUMN azure_created_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE cckm_azure_secrets ADD COLUMN sole INTEGER NOT NULL DEFAULT 0;
ALTER TABLE cckm_azure_secrets ADD COLUMN deleted_by TEXT NOT NULL DEFAULT '';
CREATE INDEX cckm_azure_secrets_aged ON cckm_azure_secrets (azure_created_at, num, facet_id);

ALTER TABLE cckm_azure_secret_facets ADD COLUMN sole INTEGER NOT NULL DEFAULT 0;
DROP INDEX cckm_azure_secret_facets_once;
CREATE UNIQUE INDEX cckm_azure_secret_facets_once ON cckm_azure_secret_facets
    (domain_id, vault_num, status, soft_deleted, gone, enabled, managed, origin, latest, sole);

-- The rows of secrets in portions of 1,024 nums, and at which revision of the secrets one of a portion changed last: each
-- process that searches keeps the portions in memory, and reads those anew that have moved.
CREATE TABLE cckm_azure_secret_parts (
    part INTEGER PRIMARY KEY,
    revision INTEGER NOT NULL
);
INSERT INTO cckm_azure_secret_parts (part, revision) SELECT DISTINCT num / 1024, 0 FROM cckm_azure_secrets;
