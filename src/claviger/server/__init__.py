"""The HTTP front: sockets, TLS, limits, and the choice of the service that a request is for. Knows no service by name."""
