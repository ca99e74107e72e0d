"""TLS contexts: which certificate a client gets to see, by the host it asks for.

`HostContexts` serves the certificates of the local authority: one for the names that are always ours, others minted
when a client first asks, for hosts that are allowed, and renewed long before they end. `OwnContext` serves a
certificate given by setting and picks it up again when its files change; names below `localhost`, which no other
authority vouches for, stay with the local one. Both give the `ssl.SSLContext` to listen with.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import ssl
import tempfile
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path

from claviger.core.clock import Clock
from claviger.core.errors import Misconfigured
from claviger.core.ids import new_token
from claviger.outgoing.hosts import is_local
from claviger.server.authority import Authority, Leaf, names_of
from claviger.server.logs import describe_failure

ALWAYS_OURS = (
    "localhost",
    "login.localhost",
    "management.localhost",
    "*.vault.localhost",
    "*.localhost",
    "127.0.0.1",
    "::1",
)
"""`*.localhost` alone would not do: OpenSSL wants two dots in a pattern, hence the names beside it."""
MAX_HOSTS = 256
_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"  # of TLS 1.2; those of 1.3 are all good
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_HOST = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*")
_VAULT = re.compile(r"[a-z0-9_-]+\.vault\.localhost")

logger = logging.getLogger(__name__)


class HostContexts:
    """Certificates of the local authority, by host. `allowed` is asked with the lower-case name the client says."""

    def __init__(self, authority: Authority, allowed: Callable[[str], bool], clock: Clock) -> None:
        self._authority = authority
        self._allowed = allowed
        self._clock = clock
        self._minted: OrderedDict[str, tuple[ssl.SSLContext, float]] = OrderedDict()
        self.context = new_context()
        self._leaf = authority.mint(ALWAYS_OURS)
        load_leaf(self.context, self._leaf)
        self.context.sni_callback = self._choose

    def refresh(self) -> None:
        """Renews the certificate of our own names when its time has come."""
        if self._clock.now() >= self._leaf.renew_at:
            self._leaf = self._authority.mint(ALWAYS_OURS)
            load_leaf(self.context, self._leaf)

    def context_for(self, host: str) -> ssl.SSLContext:
        """What to go on with in a handshake that asks for this host, in lower case."""
        minted = self._minted_for(host)
        if minted is None:
            self.refresh()
        return minted or self.context

    def _choose(self, tls: ssl.SSLObject | ssl.SSLSocket, host: str | None, _: ssl.SSLContext) -> int | None:
        """OpenSSL's question during the handshake; it may not raise."""
        try:
            other = self._minted_for(host.lower().removesuffix(".")) if host else None
            if other is None and self._clock.now() >= self._leaf.renew_at:
                self.refresh()  # for the handshakes after this one, which has taken the old certificate already
                other = new_context()
                load_leaf(other, self._leaf)
            if other is not None:
                tls.context = other
        except Exception as failure:  # noqa: BLE001 - an exception here would be printed, and the client left hanging
            return _failed(failure)
        return None

    def _minted_for(self, host: str) -> ssl.SSLContext | None:
        known = self._minted.get(host)
        if known is not None and self._clock.now() < known[1]:
            self._minted.move_to_end(host)
            return known[0]
        if host in ALWAYS_OURS or _VAULT.fullmatch(host) or not _HOST.fullmatch(host) or not self._allowed(host):
            return None
        context, leaf = new_context(), self._authority.mint([host])
        load_leaf(context, leaf)
        self._minted[host] = (context, leaf.renew_at)
        self._minted.move_to_end(host)
        while len(self._minted) > MAX_HOSTS:
            self._minted.popitem(last=False)
        return context


def _failed(failure: Exception) -> int:
    logger.error("no certificate could be made: %s", describe_failure(failure))
    return ssl.ALERT_DESCRIPTION_INTERNAL_ERROR


class OwnContext:
    """A certificate given by setting. Raises Misconfigured, naming the setting and the fix, when it cannot be used.

    `localhost` and the names below it are shown what `local` has for them, unless the certificate holds them itself.
    """

    def __init__(
        self, certificate: Path, key: Path, setting_prefix: str = "CLAVIGER_", *, local: HostContexts | None = None
    ) -> None:
        self._certificate, self._key, self._prefix = certificate, key, setting_prefix
        self._local = local
        self._names: frozenset[str] = frozenset()
        self.context = new_context()
        self.context.sni_callback = self._choose
        self._stamp = self._look()
        self._load(self.context)

    def refresh(self) -> None:
        """Takes the files up again when they changed; what cannot be used is logged, and the old certificate stays."""
        if self._local is not None:
            self._local.refresh()
        try:
            stamp = self._look()
            if stamp != self._stamp:
                self._load(new_context())  # a try, so that a bad pair leaves the one in use alone
                self._load(self.context)
                self._stamp = stamp
                logger.info("the TLS certificate was taken up again")
        except Misconfigured as refusal:
            logger.error("the changed TLS certificate is not used: %s", refusal)

    def _look(self) -> tuple[tuple[int, int, int], ...]:
        stamps = []
        for path, setting in ((self._certificate, "TLS_CERTIFICATE"), (self._key, "TLS_KEY")):
            try:
                found = path.stat()
                with path.open("rb"):
                    pass
            except OSError as failure:
                reason = os.strerror(failure.errno or 0)
                raise self._wrong(setting, path, f"make the file readable for the server ({reason})") from None
            stamps.append((found.st_mtime_ns, found.st_ino, found.st_size))
        return tuple(stamps)

    def _load(self, context: ssl.SSLContext) -> None:
        if b"-----BEGIN CERTIFICATE" not in self._certificate.read_bytes():
            fix = "give a PEM file with the certificate first and the rest of its chain behind it"
            raise self._wrong("TLS_CERTIFICATE", self._certificate, fix)
        if b"PRIVATE KEY-----" not in (key := self._key.read_bytes()):
            raise self._wrong("TLS_KEY", self._key, "give a PEM file with the certificate's private key")
        if b"ENCRYPTED" in key:
            raise self._wrong("TLS_KEY", self._key, "give the key without a passphrase, readable for the server only")
        try:
            context.load_cert_chain(self._certificate, self._key, password=lambda: "")
        except (ssl.SSLError, ValueError) as failure:
            if getattr(failure, "reason", "") == "KEY_VALUES_MISMATCH":
                raise self._wrong("TLS_KEY", self._key, "give the key that belongs to the certificate") from None
            raise self._wrong("TLS_CERTIFICATE", self._certificate, "check both PEM files with openssl") from None
        if context is self.context:
            self._names = names_of(self._certificate.read_bytes())
            if any(is_local(name) and name != "localhost" for name in self._names):
                logger.warning(
                    "the certificate of %sTLS_CERTIFICATE holds names below localhost; the control plane's connections "
                    "to the embedded clouds, which trust the local authority alone, fail where they use them",
                    self._prefix,
                )

    def _choose(self, tls: ssl.SSLObject | ssl.SSLSocket, host: str | None, _: ssl.SSLContext) -> int | None:
        """OpenSSL's question during the handshake; it may not raise."""
        try:
            name = (host or "").lower().removesuffix(".")
            if self._local is not None and is_local(name) and not self._holds(name):
                tls.context = self._local.context_for(name)
        except Exception as failure:  # noqa: BLE001 - an exception here would be printed, and the client left hanging
            return _failed(failure)
        return None

    def _holds(self, name: str) -> bool:
        above = name.partition(".")[2]
        return name in self._names or ("." in above and f"*.{above}" in self._names)  # see ALWAYS_OURS

    def _wrong(self, setting: str, path: Path, fix: str) -> Misconfigured:
        return Misconfigured("Setting", setting=self._prefix + setting, given=path, fix=fix)


def new_context() -> ssl.SSLContext:
    """A server's context as all of ours are: TLS 1.2 and 1.3, forward secrecy, HTTP/1.1 only."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_CIPHERS)
    context.set_alpn_protocols(["http/1.1"])
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION | ssl.OP_CIPHER_SERVER_PREFERENCE
    return context


def load_leaf(context: ssl.SSLContext, leaf: Leaf) -> None:
    """Gives a certificate to a context, for all handshakes from now on. The key never stands readable in a file."""
    password = new_token()
    with _as_file(leaf.pem(password)) as path:
        context.load_cert_chain(path, password=password)


@contextlib.contextmanager
def _as_file(content: bytes) -> Iterator[str]:
    """A path that reads as `content`: in memory on Linux, elsewhere a private file that is gone afterwards."""
    if hasattr(os, "memfd_create") and os.path.isdir("/proc/self/fd"):
        descriptor = os.memfd_create("claviger", os.MFD_CLOEXEC)
        try:
            os.write(descriptor, content)
            yield f"/proc/self/fd/{descriptor}"
        finally:
            os.close(descriptor)
        return
    descriptor, path = tempfile.mkstemp(prefix="claviger")
    try:
        os.write(descriptor, content)
        os.close(descriptor)
        yield path
    finally:
        os.unlink(path)
