"""Vaults of the embedded Key Vault, and who may do what in them: access policies and role assignments."""
