"""Root keys and envelope encryption. Start with `envelope.py`; nothing here knows a database."""
