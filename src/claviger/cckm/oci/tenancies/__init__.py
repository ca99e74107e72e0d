"""Tenancies of OCI: the regions that a connection's tenancy has, and the records of tenancies."""
