"""Vaults: what holds keys and secrets, with hosts of its own."""
