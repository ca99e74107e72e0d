"""The control plane, compatible with the CipherTrust Cloud Key Manager REST API."""
