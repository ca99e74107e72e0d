"""The proxy of `claviger exec`: leads one program's requests to cloud APIs to this server, and lets all others pass."""
