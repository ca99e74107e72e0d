"""Subscriptions of Azure: discovery, and the records that stand for as long as vaults of theirs are managed."""
