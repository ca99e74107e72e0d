"""Compartments of OCI: what a connection sees (compartments, tags, buckets), and the records of compartments."""
