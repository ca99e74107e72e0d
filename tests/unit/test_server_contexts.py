"""Which certificate a handshake shows. Both sides of each handshake are in memory."""

from __future__ import annotations

import asyncio
import os
import ssl
import tempfile
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from claviger.core.clock import ManualClock
from claviger.core.errors import Misconfigured
from claviger.server import contexts as contexts_module
from claviger.server.authority import LEAF_DAYS, Authority, open_authority
from claviger.server.contexts import MAX_HOSTS, HostContexts, OwnContext
from tests.wire_server import MemoryBox

NOW = 1_795_000_000.0


@pytest.fixture
def clock() -> ManualClock:
    """Standing still."""
    return ManualClock(NOW)


@pytest.fixture
def authority(tmp_path: Path, clock: ManualClock) -> Authority:
    """A fresh one."""
    return asyncio.run(open_authority(tmp_path, MemoryBox(), clock))


def shown(server: ssl.SSLContext, host: str | None) -> x509.Certificate:
    """The certificate that a client asking for `host` gets to see."""
    client_context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client_context.check_hostname = False
    client_context.verify_mode = ssl.CERT_NONE
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context.wrap_bio(to_client, to_server, server_hostname=host)
    answering = server.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(5):
        for side in (client, answering):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    found = client.getpeercert(binary_form=True)
    assert found
    return x509.load_der_x509_certificate(found)


def names(certificate: x509.Certificate) -> list[str]:
    """Its host names."""
    return certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(
        x509.DNSName
    )


class TestHostContexts:
    def test_our_names_share_one(self, authority: Authority, clock: ManualClock) -> None:
        asked: list[str] = []

        def allowed(host: str) -> bool:
            asked.append(host)
            return True

        served = HostContexts(authority, allowed, clock)
        serials = {
            shown(served.context, host).serial_number
            for host in (None, "localhost", "login.localhost", "demo.vault.localhost", "Other.Vault.Localhost")
        }
        assert len(serials) == 1
        assert asked == []

    def test_others_are_minted_once_if_allowed(self, authority: Authority, clock: ManualClock) -> None:
        served = HostContexts(authority, lambda host: host.endswith(".azure.net"), clock)
        first = shown(served.context, "demo.vault.azure.net")
        assert names(first) == ["demo.vault.azure.net"]
        assert shown(served.context, "DEMO.vault.azure.net").serial_number == first.serial_number
        assert "localhost" in names(shown(served.context, "example.org"))

    def test_no_more_than_some_are_kept(self, authority: Authority, clock: ManualClock) -> None:
        served = HostContexts(authority, lambda _: True, clock)
        first = shown(served.context, "h0.example").serial_number
        for number in range(MAX_HOSTS):
            served._minted_for(f"h{number}.example")
        assert shown(served.context, "h0.example").serial_number == first  # used last, so kept
        served._minted_for("one-more.example")
        assert len(served._minted) == MAX_HOSTS
        assert "h0.example" in served._minted
        assert "h1.example" not in served._minted

    @pytest.mark.parametrize("host", ["-a.example", "a..example", "a" * 64 + ".example", "a b", "*.example", "a/b"])
    def test_what_is_no_host_name_is_not_minted(self, authority: Authority, clock: ManualClock, host: str) -> None:
        served = HostContexts(authority, lambda _: True, clock)
        assert served._minted_for(host) is None
        assert not served._minted

    def test_are_renewed_in_time(self, authority: Authority, clock: ManualClock) -> None:
        served = HostContexts(authority, lambda _: True, clock)
        for host in (None, "login.localhost", "a.example"):
            clock.set(NOW)
            served = HostContexts(authority, lambda _: True, clock)
            first = shown(served.context, host)
            clock.advance(59 * 86400)
            assert shown(served.context, host).serial_number == first.serial_number
            clock.advance(2 * 86400)
            renewed = shown(served.context, host)  # in the very handshake that finds it old
            assert renewed.serial_number != first.serial_number
            assert renewed.not_valid_after_utc > first.not_valid_after_utc
            assert shown(served.context, host).serial_number == renewed.serial_number

    def test_are_renewed_without_a_handshake_too(self, authority: Authority, clock: ManualClock) -> None:
        served = HostContexts(authority, lambda _: True, clock)
        first = shown(served.context, None).serial_number
        clock.advance(61 * 86400)
        served.refresh()
        assert shown(served.context, None).serial_number != first

    def test_a_failing_question_ends_the_handshake(
        self, authority: Authority, clock: ManualClock, caplog: pytest.LogCaptureFixture
    ) -> None:
        def allowed(_: str) -> bool:
            raise KeyError("s3cr3t")

        served = HostContexts(authority, allowed, clock)
        with pytest.raises(ssl.SSLError):
            shown(served.context, "a.example")
        assert "KeyError at allowed" in caplog.text
        assert "s3cr3t" not in caplog.text

    def test_without_memory_files_nothing_is_left_behind(
        self, authority: Authority, clock: ManualClock, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.delattr(os, "memfd_create", raising=False)
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
        seen: list[tuple[int, bytes]] = []
        real = contexts_module._as_file

        def spied(content: bytes):
            seen.append((0, content))
            return real(content)

        monkeypatch.setattr(contexts_module, "_as_file", spied)
        served = HostContexts(authority, lambda _: True, clock)
        assert "localhost" in names(shown(served.context, None))
        assert b"ENCRYPTED" in seen[0][1]
        assert [path.name for path in tmp_path.iterdir()] == ["ca.pem"]


def test_nothing_older_than_tls_1_2() -> None:
    context = contexts_module.new_context()
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    old = {cipher["name"] for cipher in context.get_ciphers() if cipher["protocol"] != "TLSv1.3"}
    assert old
    assert all(name.startswith("ECDHE-") and ("GCM" in name or "CHACHA20" in name) for name in old)


class TestOwnContext:
    @pytest.fixture
    def pair(self, authority: Authority, tmp_path: Path) -> tuple[Path, Path]:
        """A certificate and its key as files."""
        return self.write(authority, tmp_path, "own.example")

    def write(self, authority: Authority, folder: Path, host: str) -> tuple[Path, Path]:
        """Puts a new pair in the place of the old one."""
        leaf = authority.mint([host])
        certificate, key = folder / "own.crt", folder / "own.key"
        certificate.write_bytes(leaf.chain)
        key.write_bytes(
            leaf.key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return certificate, key

    def test_is_shown_to_all(self, pair: tuple[Path, Path]) -> None:
        served = OwnContext(*pair)
        for host in (None, "own.example", "other.example"):
            assert names(shown(served.context, host)) == ["own.example"]

    def test_names_below_localhost_stay_with_the_local_authority(
        self, pair: tuple[Path, Path], authority: Authority, clock: ManualClock, tmp_path: Path
    ) -> None:
        local = HostContexts(authority, lambda host: host.startswith("kms."), clock)
        served = OwnContext(*pair, local=local)
        for host in (None, "own.example", "other.example", "login.localhost.example"):
            assert names(shown(served.context, host)) == ["own.example"]
        for host in ("login.localhost", "demo.vault.localhost", "Localhost", "management.localhost."):
            assert "*.vault.localhost" in names(shown(served.context, host))
        assert names(shown(served.context, "kms.us.localhost")) == ["kms.us.localhost"]
        clock.advance(LEAF_DAYS * 86_400)
        renewed = shown(served.context, "login.localhost")
        assert renewed.not_valid_after_utc.timestamp() > clock.now()

    @pytest.mark.parametrize(
        ("held", "own", "others"),
        [
            ("localhost", "localhost", "login.localhost"),
            ("Login.Localhost", "login.localhost", "localhost"),
            ("*.vault.localhost", "demo.vault.localhost", "login.localhost"),
            ("*.localhost", None, "login.localhost"),  # OpenSSL does not take that for any name
        ],
    )
    def test_a_name_that_it_holds_itself_is_its_own(
        self, authority: Authority, clock: ManualClock, tmp_path: Path, held: str, own: str | None, others: str
    ) -> None:
        local = HostContexts(authority, lambda _: False, clock)
        served = OwnContext(*self.write(authority, tmp_path, held), local=local)
        if own is not None:
            assert names(shown(served.context, own)) == [held]
        assert len(names(shown(served.context, others))) > 1
        self.write(authority, tmp_path, "new.example")
        served.refresh()
        assert len(names(shown(served.context, own or "login.localhost"))) > 1

    def test_is_taken_up_again_when_it_changes(
        self, pair: tuple[Path, Path], authority: Authority, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        served = OwnContext(*pair)
        served.refresh()
        self.write(authority, tmp_path, "new.example")
        served.refresh()
        assert names(shown(served.context, None)) == ["new.example"]
        pair[1].write_bytes(b"broken")
        served.refresh()
        assert names(shown(served.context, None)) == ["new.example"]
        assert "CLAVIGER_TLS_KEY" in caplog.text
        certificate = pair[0].read_bytes()
        self.write(authority, tmp_path, "half.example")
        pair[0].write_bytes(certificate)  # the key is new, the certificate still old
        served.refresh()
        assert names(shown(served.context, None)) == ["new.example"]
        self.write(authority, tmp_path, "newer.example")
        served.refresh()
        assert names(shown(served.context, None)) == ["newer.example"]

    @pytest.mark.parametrize(
        ("spoil", "setting", "fix"),
        [
            ("no certificate", "CLAVIGER_TLS_CERTIFICATE", "readable"),
            ("no key", "CLAVIGER_TLS_KEY", "readable"),
            ("not PEM", "CLAVIGER_TLS_CERTIFICATE", "PEM"),
            ("key not PEM", "CLAVIGER_TLS_KEY", "private key"),
            ("broken PEM", "CLAVIGER_TLS_CERTIFICATE", "openssl"),
            ("other key", "CLAVIGER_TLS_KEY", "belongs to the certificate"),
            ("encrypted key", "CLAVIGER_TLS_KEY", "without a passphrase"),
            ("directory", "CLAVIGER_TLS_KEY", "readable"),
        ],
    )
    def test_what_is_wrong_is_named_with_the_fix(
        self, pair: tuple[Path, Path], authority: Authority, tmp_path: Path, spoil: str, setting: str, fix: str
    ) -> None:
        certificate, key = pair
        if spoil == "no certificate":
            certificate.unlink()
        elif spoil == "no key":
            key.unlink()
        elif spoil == "not PEM":
            certificate.write_bytes(b"\x30\x82")
        elif spoil == "key not PEM":
            key.write_bytes(b"x")
        elif spoil == "broken PEM":
            certificate.write_bytes(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
        elif spoil == "other key":
            kept = certificate.read_bytes()
            self.write(authority, tmp_path, "x.example")
            certificate.write_bytes(kept)
        elif spoil == "encrypted key":
            key.write_bytes(authority.mint(["a"]).pem("password"))
        else:
            key.unlink()
            key.mkdir()
        with pytest.raises(Misconfigured) as caught:
            OwnContext(certificate, key)
        assert caught.value.facts["setting"] == setting
        assert fix in str(caught.value.facts["fix"])
