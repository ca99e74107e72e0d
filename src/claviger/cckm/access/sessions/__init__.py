"""Signing in and out: tokens, refresh tokens, passwords, and what a caller may know of himself."""
