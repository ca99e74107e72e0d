"""The embedded Azure Key Vault: secrets data plane, token issuer and vaults, as official clients know them."""
