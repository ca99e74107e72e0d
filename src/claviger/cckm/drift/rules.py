"""What can have happened to something behind our back. Pure."""

from __future__ import annotations

MISSING, NEW, DIFFERENT = "missing", "new", "different"
KINDS = (MISSING, NEW, DIFFERENT)
AZURE, OCI = "azure", "oci"
CLOUDS = (AZURE, OCI)
