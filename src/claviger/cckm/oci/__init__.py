"""The control plane's OCI half: connections, tenancies, compartments, vaults, keys and their versions."""
