"""The retrieval of secrets: what programs call to get a content (OCI contract §10)."""
