"""Keys of OCI: their records, what is done to them, and how the records follow what OCI says."""
