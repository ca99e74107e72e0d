"""Drift: what has changed in the clouds without us, in one list for all of them."""
