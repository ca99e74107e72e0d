"""Claviger: a self-hosted manager for the life of cloud secrets and keys."""

__version__ = "0.1.0"
