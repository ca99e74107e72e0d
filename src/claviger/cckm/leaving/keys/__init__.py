"""Keys of OCI, and versions of them, that are leaving."""
