"""The scheduler: what is to be run when, by a cron expression, and what became of it (CCKM contract §9)."""
