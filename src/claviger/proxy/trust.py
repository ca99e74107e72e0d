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


def trust_files(environment: Mapping[str, str], tls: Path, folder: Callable[[], Path]) -> dict[str, str]:
    """A file for every variable. `tls` holds the server's files; `folder` gives the place for new ones."""
    authority, bundle = tls / "ca.pem", tls / "bundle.pem"
    made: dict[tuple[Path, Path], Path] = {}
    files = {}
    for variable in (*BUNDLES, *ADDITIONS):
        ours = bundle if variable in BUNDLES else authority
        given = Path(environment[variable]) if environment.get(variable) else ours
        if (given, ours) not in made:
            made[given, ours] = _with_authority(given, authority.read_bytes(), folder, len(made)) or ours
        files[variable] = str(made[given, ours])
    return files


def trusts_others(tls: Path) -> bool:
    """Whether the server's bundle holds more than its own authority: it found a trust store on this machine."""
    return (tls / "bundle.pem").read_bytes().count(_BEGIN) > 1


def _with_authority(given: Path, authority: bytes, folder: Callable[[], Path], number: int) -> Path | None:
    """The given file itself where it has the authority, else a new one that has both; None where it cannot be read."""
    try:
        paths = [path for path in sorted(given.iterdir()) if path.is_file()] if given.is_dir() else [given]
        parts = [path.read_bytes() for path in paths]
    except OSError:
        return None
    certificates = [part.rstrip() for part in parts if _BEGIN in part]
    if any(authority.strip() in part for part in certificates):
        return given
    merged = folder() / f"trust-{number}.pem"
    merged.write_bytes(b"\n".join([*certificates, authority]))
    return merged
