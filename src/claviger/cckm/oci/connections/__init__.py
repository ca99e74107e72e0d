"""Connections to OCI: an API key of a user, a region, and the realm's domain."""
