"""Versions of OCI keys: their records, rotation, scheduled deletion."""
