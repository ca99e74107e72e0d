"""The keys that sign tokens, as others may see them."""
