"""Taking vaults out of a server and in again: sealed archives, plain documents, and the seed of a server."""
