"""Secrets of Azure vaults as the control plane knows them, and everything that it does to them."""
