"""Who there is in the embedded OCI: tenancies, compartments, users with API keys, and what they may do."""
