"""Vaults of OCI: discovery, records, who may do what in them, how they are protected."""
