"""The versions of secrets: listed, scheduled for deletion and brought back (OCI contract §10)."""
