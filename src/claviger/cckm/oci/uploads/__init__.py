"""Keys of our own on their way to a vault of OCI: uploads of new keys, and of new versions."""
