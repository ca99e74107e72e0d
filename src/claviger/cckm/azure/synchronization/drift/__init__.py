"""Drift: what has changed in the cloud without us, kept until somebody deals with it."""
