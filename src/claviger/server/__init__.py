"""The HTTP front: sockets, TLS, limits, and the choice of the service a request is for. Knows no service by name."""
