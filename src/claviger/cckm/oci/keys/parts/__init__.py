"""Portions of the rows of OCI keys, and when each has moved: what search keeps in memory is renewed by this."""
