"""A real vault for other people's tests: a pytest plugin with a server, fresh vaults, a clock and faults.

`plugin.py` has the fixtures, `handles.py` what they give; docs/testing.md explains them. pytest loads this package at
every start, so nothing here imports more than the standard library until a test asks for a server.
"""

from claviger.testing.handles import Claviger, ClavigerVault

__all__ = ["Claviger", "ClavigerVault"]
