"""The embedded OCI Vault: vaults, keys, cryptography and secrets as the official OCI clients know them."""
