"""Versions of a key: each has material of its own, and the newest is the current one."""
