"""Secrets of the embedded Key Vault: their rules, wire form, rows and operations."""
