"""Backups of vaults and keys, which leave the server sealed, and what comes back of them (OCI contract §7.4)."""
