"""Data keys as rows, and everything that is sealed under them. Start with `keyring.py`."""
