"""Dates that come near: expiries, and the ends of retentions."""
