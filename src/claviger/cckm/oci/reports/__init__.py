"""Reports about keys of OCI: what was done to them, how old they are, when they were rotated."""
