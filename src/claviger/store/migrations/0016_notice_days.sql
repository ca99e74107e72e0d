-- How many days ahead a subscription wants to hear of dates that come near: numbers with spaces between them.
ALTER TABLE cckm_notice_subscriptions ADD COLUMN expiry_days TEXT NOT NULL DEFAULT '30 7 1';
ALTER TABLE cckm_notice_subscriptions ADD COLUMN final_days TEXT NOT NULL DEFAULT '7 1';
