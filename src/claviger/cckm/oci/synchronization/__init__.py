"""Synchronisation of OCI's keys: whole vaults are read, and the records brought to what is there (CCKM contract §7)."""
