"""Synchronisation of Azure secrets: whole vaults are read, and the records brought to what is there (contract §6)."""
