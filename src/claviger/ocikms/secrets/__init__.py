"""Secrets in OCI vaults: their management, their versions, and the retrieval of their contents (OCI contract §10)."""
