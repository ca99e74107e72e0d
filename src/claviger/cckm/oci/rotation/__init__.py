"""The rotation of OCI keys by the scheduler: which job rotates a key, and what such a job does."""
