-- Notices: webhooks that tell other systems what happened, and what is about to.

-- Where notices go. types are words with spaces between them, empty for all. The secret that notices are signed with is
-- sealed ('notice', id). waiting counts the deliveries that are not at their end; dropped those that found no room.
-- Nothing is sent before resume_at: the receiver asked for that, or could not be reached failures times in a row.
CREATE TABLE cckm_notice_subscriptions (
    id TEXT PRIMARY KEY,
    domain_id TEXT NOT NULL REFERENCES cckm_domains (id),
    url TEXT NOT NULL,
    types TEXT NOT NULL,
    disabled INTEGER NOT NULL,
    disabled_reason TEXT NOT NULL,
    description TEXT NOT NULL,
    authority TEXT NOT NULL,
    waiting INTEGER NOT NULL,
    dropped INTEGER NOT NULL,
    resume_at REAL NOT NULL,
    failures INTEGER NOT NULL,
    delivered_at REAL,
    failed_at REAL,
    last_error TEXT NOT NULL,
    created_at REAL NOT NULL,
    updated_at REAL NOT NULL
);
CREATE INDEX cckm_notice_subscriptions_by_domain ON cckm_notice_subscriptions (domain_id, created_at);

-- The outbox: one row a notice and subscription, written by the change that the notice tells of. num is the order.
-- state: 'due' (the first of its object; sent from try_at on), 'queued' (behind another of its object), 'delivered',
-- 'dead' (given up). While a server sends it, holder names that server, and try_at is when its lease ends.
CREATE TABLE cckm_notice_deliveries (
    num INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    subscription_id TEXT NOT NULL REFERENCES cckm_notice_subscriptions (id) ON DELETE CASCADE,
    domain_id TEXT NOT NULL,
    notice_id TEXT NOT NULL,
    type TEXT NOT NULL,
    subject TEXT NOT NULL,
    object_key TEXT NOT NULL,
    data TEXT NOT NULL,
    noticed_at REAL NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('due', 'queued', 'delivered', 'dead')),
    attempts INTEGER NOT NULL,
    try_at REAL NOT NULL,
    holder TEXT NOT NULL,
    last_status INTEGER,
    last_error TEXT NOT NULL,
    ended_at REAL
);
CREATE INDEX cckm_notice_deliveries_due ON cckm_notice_deliveries (subscription_id, try_at, num) WHERE state = 'due';
CREATE INDEX cckm_notice_deliveries_in_order ON cckm_notice_deliveries (subscription_id, object_key, num)
    WHERE ended_at IS NULL;
CREATE INDEX cckm_notice_deliveries_held ON cckm_notice_deliveries (holder) WHERE holder <> '';
CREATE INDEX cckm_notice_deliveries_ended ON cckm_notice_deliveries (subscription_id, ended_at, num)
    WHERE ended_at IS NOT NULL;
CREATE INDEX cckm_notice_deliveries_by_domain ON cckm_notice_deliveries (domain_id, num);

-- The dates of a version that lists and notices go by, as the cloud tells them: when it expires, and when a
-- soft-deleted one becomes final.
ALTER TABLE cckm_azure_secrets ADD COLUMN expires_at INTEGER;
ALTER TABLE cckm_azure_secrets ADD COLUMN purge_at INTEGER;
CREATE INDEX cckm_azure_secrets_expiring ON cckm_azure_secrets (expires_at, num, facet_id) WHERE expires_at IS NOT NULL;
CREATE INDEX cckm_azure_secrets_leaving ON cckm_azure_secrets (purge_at, num, facet_id) WHERE purge_at IS NOT NULL;

-- Which date of a secret was told last, and how many days ahead that was.
CREATE TABLE cckm_notices_told (
    secret_num INTEGER NOT NULL REFERENCES cckm_azure_secrets (num) ON DELETE CASCADE,
    kind TEXT NOT NULL,
    at INTEGER NOT NULL,
    days INTEGER NOT NULL,
    PRIMARY KEY (secret_num, kind)
);
