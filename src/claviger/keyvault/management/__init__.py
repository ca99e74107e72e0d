"""The part of Azure Resource Manager that clients of Key Vault need: subscriptions, resource groups, and vaults."""
