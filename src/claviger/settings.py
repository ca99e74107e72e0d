"""Every setting of Claviger in one frozen struct, read once from the environment; a command's option wins over it.

The variable of a setting is `CLAVIGER_` and its name in capitals. What cannot be used raises Misconfigured, which
names the setting and the fix. Values that are secret are never taken from the command line.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from claviger.core.errors import Misconfigured
from claviger.core.sensitive import Sensitive
from claviger.outgoing.rules import SECRET_BYTES, SECRET_PREFIX, key_of, url_problem

PREFIX = "CLAVIGER_"
MAX_SECONDS = 3600
_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off"})


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """All settings; docs/settings.md explains each. A secret one is a `Sensitive`, and prints as such."""

    data: Path = Path(".claviger")
    listen: str = "localhost:8443"
    database_url: Sensitive | None = None
    database_url_file: Path | None = None
    root_key_file: Path | None = None
    root_key: Sensitive | None = None
    root_key_new: Sensitive | None = None
    root_passphrase: Sensitive | None = None
    root_passphrase_new: Sensitive | None = None
    root_passphrase_file: Path | None = None
    archive_passphrase: Sensitive | None = None
    archive_passphrase_file: Path | None = None
    seed: Path | None = None
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    vault_suffixes: tuple[str, ...] = ()
    vault_hosts: Mapping[str, str] = {}
    login_url: str | None = None
    oci_ports: str = ""
    oci_settle_s: float = 0.0
    token_lifetime_s: int = 3600
    imds: bool = False
    demo: bool = True
    admin_password: Sensitive | None = None
    echo_values: bool = False
    sync_brake_percent: int = 10
    metrics_public: bool = False
    approval_lapse_s: int = 86_400
    sweep_s: int = 60
    audit: str = "on"
    audit_reads: str = "buffered"
    audit_witness: Path | None = None
    audit_witness_url: Sensitive | None = None
    audit_witness_secret: Sensitive | None = None
    audit_witness_secret_file: Path | None = None
    audit_witness_ca: Path | None = None
    notices_source: str = "/claviger"
    switches: bool = False
    log_level: str = "info"

    @property
    def is_audited(self) -> bool:
        """Whether there is an audit log, which is so but for the benchmark that measures what it costs."""
        return self.audit == "on"

    @property
    def store_url(self) -> str:
        """Where the database is: the setting, or a file in the data directory."""
        if self.database_url is not None:
            return self.database_url.reveal_text()
        return f"sqlite://{self.data.resolve() / 'claviger.db'}"

    @property
    def address(self) -> tuple[str, int]:
        """Host and port to listen on. Raises Misconfigured."""
        host, separator, port = self.listen.rpartition(":")
        if not separator or not port.isdigit() or int(port) > 65535 or not host:
            raise _wrong("listen", self.listen, "give HOST:PORT, for example localhost:8443 or 0.0.0.0:443")
        return host.strip("[]"), int(port)

    @property
    def vault_ports(self) -> tuple[int, ...]:
        """The ports of OCI's vaults, in the order of their slots. Raises Misconfigured."""
        ports: list[int] = []
        for part in filter(None, (part.strip() for part in self.oci_ports.split(","))):
            ends = [end.strip() for end in part.split("-")]
            if len(ends) > 2 or not all(end.isascii() and end.isdigit() and len(end) <= 5 for end in ends):
                raise _wrong("oci_ports", part, "give ports or ranges of ports with commas between, such as 8500-8515")
            if int(ends[0]) > int(ends[-1]):
                raise _wrong("oci_ports", part, "give the lower end of a range first")
            ports += range(int(ends[0]), int(ends[-1]) + 1)
        if len(set(ports)) != len(ports) or len(ports) > _MAX_VAULT_PORTS or not all(0 < p < 65536 for p in ports):
            raise _wrong("oci_ports", self.oci_ports, f"give up to {_MAX_VAULT_PORTS} ports of 1 to 65535, each once")
        return tuple(ports)


def load_settings(environment: Mapping[str, str] = os.environ, **given: object) -> Settings:
    """The settings of this process: `given` (what is not None), else the environment, else the defaults.

    Raises Misconfigured for a value that does not fit, and for two sources of the root key at once.
    """
    found: dict[str, Any] = {}
    for field in msgspec.structs.fields(Settings):
        text = environment.get(PREFIX + field.name.upper())
        if text:
            found[field.name] = _read(field.name, field.default, text)
    found.update({name: value for name, value in given.items() if value is not None})
    settings = Settings(**found)
    _check(settings)
    if settings.database_url_file is not None:
        url = _first_line("database_url_file", settings.database_url_file)
        settings = msgspec.structs.replace(settings, database_url=url, database_url_file=None)
    if settings.audit_witness_secret_file is not None:
        secret = _first_line("audit_witness_secret_file", settings.audit_witness_secret_file)
        settings = msgspec.structs.replace(settings, audit_witness_secret=secret, audit_witness_secret_file=None)
    _check_witness(settings)
    return settings


def _read(name: str, default: object, text: str) -> object:
    if name in _SENSITIVE:
        return Sensitive(text)
    if isinstance(default, bool):
        return _boolean(name, text)
    if isinstance(default, int):
        if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 10_000_000):
            raise _wrong(name, text, "give a whole number of at least 1")
        return int(text)
    if isinstance(default, float):
        return _seconds(name, text)
    if isinstance(default, tuple):
        return tuple(part.strip().lower() for part in text.split(",") if part.strip())
    if name == "vault_hosts":
        return _pairs(name, text)
    if isinstance(default, Path) or name in _PATHS:
        return Path(text).expanduser()
    return text


def _boolean(name: str, text: str) -> bool:
    if text.lower() in _TRUE:
        return True
    if text.lower() in _FALSE:
        return False
    raise _wrong(name, text, "give true or false")


def _seconds(name: str, text: str) -> float:
    if not re.fullmatch(r"[0-9]{1,4}(\.[0-9]{1,6})?", text) or float(text) > MAX_SECONDS:
        raise _wrong(name, text, f"give a number of seconds from 0 to {MAX_SECONDS}")
    return float(text)


def _pairs(name: str, text: str) -> Mapping[str, str]:
    pairs = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        host, separator, vault = part.partition("=")
        if not separator or not host.strip() or not vault.strip():
            raise _wrong(name, part, "give HOST=VAULT pairs with commas between them")
        pairs[host.strip().lower()] = vault.strip().lower()
    return pairs


def _first_line(name: str, path: Path) -> Sensitive:
    try:
        with path.open("rb") as file:
            return Sensitive(file.readline(4096).rstrip(b"\r\n"))
    except OSError as failure:
        fix = f"name a readable file whose first line is the value ({failure.strerror or type(failure).__name__})"
        raise _wrong(name, str(path), fix) from None


def _check(settings: Settings) -> None:
    sources = [
        name
        for name, value in (
            ("root_key", settings.root_key),
            ("root_passphrase", settings.root_passphrase),
            ("root_passphrase_file", settings.root_passphrase_file),
            ("root_key_file", settings.root_key_file),
        )
        if value is not None
    ]
    if len(sources) > 1:
        raise _wrong(sources[0], "", f"give one source of the root key; {sources[1]} is set as well")
    if settings.database_url is not None and settings.database_url_file is not None:
        raise _wrong("database_url_file", "", "give the URL or a file with it; database_url is set as well")
    if (settings.tls_certificate is None) != (settings.tls_key is None):
        missing = "tls_key" if settings.tls_key is None else "tls_certificate"
        raise _wrong(missing, "", "set tls_certificate and tls_key together")
    if settings.log_level.lower() not in ("debug", "info", "warning", "error"):
        raise _wrong("log_level", settings.log_level, "give debug, info, warning or error")
    if settings.audit not in ("on", _UNAUDITED):
        raise _wrong("audit", settings.audit, "leave it out: there is always an audit log")
    if settings.audit_reads not in ("strict", "buffered"):
        raise _wrong("audit_reads", settings.audit_reads, "give strict or buffered")
    if settings.audit_witness_secret is not None and settings.audit_witness_secret_file is not None:
        raise _wrong("audit_witness_secret_file", "", "give the secret or a file with it, not both")
    if not _SOURCE.fullmatch(settings.notices_source):
        fix = (
            "give a URI of up to 256 characters without a query, such as https://example.com/claviger or /claviger/prod"
        )
        raise _wrong("notices_source", settings.notices_source, fix)
    _ = settings.address, settings.vault_ports


def _check_witness(settings: Settings) -> None:
    url, secret = settings.audit_witness_url, settings.audit_witness_secret
    if url is None:
        given = {"audit_witness_secret": secret, "audit_witness_ca": settings.audit_witness_ca}
        for name, value in given.items():
            if value is not None:
                raise _wrong(name, "", "set audit_witness_url too, which it is for, or leave it out")
        return
    problem = url_problem(url.reveal_text())
    if problem is not None:
        raise _wrong("audit_witness_url", "", f"the URL {problem}")
    if secret is not None and key_of(secret) is None:
        least, most = SECRET_BYTES
        fix = f"give {SECRET_PREFIX} and {least} to {most} random bytes in base64, from `openssl rand -base64 32`"
        raise _wrong("audit_witness_secret", "", fix)


def _wrong(name: str, text: str, fix: str) -> Misconfigured:
    shown = "" if name in _SENSITIVE else text
    return Misconfigured("Setting", setting=PREFIX + name.upper(), given=shown, fix=fix)


_MAX_VAULT_PORTS = 256
_UNAUDITED = "off-for-benchmarks"
_SOURCE = re.compile(r"[A-Za-z0-9._~:/@!$&'()*+,;=%\[\]-]{1,256}")
_SENSITIVE = frozenset(
    {
        "admin_password",
        "archive_passphrase",
        "audit_witness_secret",
        "audit_witness_url",
        "database_url",
        "root_key",
        "root_key_new",
        "root_passphrase",
        "root_passphrase_new",
    }
)
_PATHS = frozenset(
    {
        "archive_passphrase_file",
        "audit_witness",
        "audit_witness_ca",
        "audit_witness_secret_file",
        "database_url_file",
        "root_key_file",
        "root_passphrase_file",
        "seed",
        "tls_certificate",
        "tls_key",
    }
)
