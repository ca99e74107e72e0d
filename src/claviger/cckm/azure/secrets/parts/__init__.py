"""Portions of the rows of secrets, and when each has moved: what is kept of them in memory is renewed by this."""
