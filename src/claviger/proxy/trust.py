"""The trust files of a program under `claviger exec`: what it trusts already, and this server's authority beside it.

A variable that is set keeps meaning what it means: its file, with the authority added, stands in a folder of this one
call. Where none is set, the files that the server has written are used as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

BUNDLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
"""They replace what a program trusts, so they need everything."""
ADDITIONS = ("NODE_EXTRA_CA_CERTS",)
_BEGIN = b"-----BEGIN CERTIFICATE-----"


Merge = Callable[[Path, bytes], str]
"""Puts a new trust file in place of the one that was given; the path of the new one."""


def trust_files(environment: Mapping[str, str], tls: Path, merge: Merge) -> dict[str, str]:
    """A file for every variable. `tls` is the folder of the server's own. What cannot be read gives way to ours."""
    authority, bundle = tls / "ca.pem", tls / "bundle.pem"
    made: dict[str, str | None] = {}
    files = {}
    for variable in (*BUNDLES, *ADDITIONS):
        given = environment.get(variable)
        if given and given not in made:
            made[given] = _with_authority(Path(given), authority.read_bytes(), merge)
        files[variable] = (made[given] if given else None) or str(bundle if variable in BUNDLES else authority)
    return files


def trusts_others(tls: Path) -> bool:
    """Whether the server's bundle holds more than its own authority: it found a trust store on this machine."""
    return (tls / "bundle.pem").read_bytes().count(_BEGIN) > 1


def _with_authority(given: Path, authority: bytes, merge: Merge) -> str | None:
    """The given file itself where it has the authority, else a new one that has both; None where it cannot be read."""
    try:
        paths = [path for path in sorted(given.iterdir()) if path.is_file()] if given.is_dir() else [given]
        parts = [path.read_bytes() for path in paths]
    except OSError:
        return None
    certificates = [part.rstrip() for part in parts if _BEGIN in part]
    if any(authority.strip() in part for part in certificates):
        return str(given)
    return merge(given, b"\n".join([*certificates, authority]))
