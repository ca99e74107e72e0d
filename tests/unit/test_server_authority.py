"""The local authority and the certificates it makes: contents, lives, where the key is, the bundle."""

from __future__ import annotations

import asyncio
import datetime
import os
import stat
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from claviger.core.clock import ManualClock
from claviger.core.errors import Damaged
from claviger.core.sensitive import Sensitive
from claviger.server.authority import (
    BACKDATE_S,
    LEAF_DAYS,
    Authority,
    find_trust_store,
    open_authority,
    write_bundle,
)
from tests.wire_server import MemoryBox

NOW = 1_795_000_000.5
DAY = 86400


@pytest.fixture
def clock() -> ManualClock:
    """November 2026, standing still."""
    return ManualClock(NOW)


@pytest.fixture
def box() -> MemoryBox:
    """Empty."""
    return MemoryBox()


@pytest.fixture
async def authority(tmp_path: Path, box: MemoryBox, clock: ManualClock) -> Authority:
    """A fresh one."""
    return await open_authority(tmp_path / "tls", box, clock)


def certificates(pem: bytes) -> list[x509.Certificate]:
    """All of a PEM file."""
    return x509.load_pem_x509_certificates(pem)


def content(path: Path) -> bytes:
    """Of a file."""
    return path.read_bytes()


class TestAuthority:
    async def test_has_everything_that_strict_verifiers_ask_for(self, authority: Authority) -> None:
        (found,) = certificates(authority.certificate_pem)
        constraints = found.extensions.get_extension_for_class(x509.BasicConstraints)
        assert constraints.critical
        assert (constraints.value.ca, constraints.value.path_length) == (True, 0)
        usage = found.extensions.get_extension_for_class(x509.KeyUsage)
        assert usage.critical
        assert usage.value.key_cert_sign
        assert usage.value.crl_sign
        assert not usage.value.digital_signature
        subject_key = found.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        authority_key = found.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
        assert authority_key.key_identifier == subject_key.digest
        assert isinstance(found.public_key(), ec.EllipticCurvePublicKey)
        assert found.issuer == found.subject
        years = (found.not_valid_after_utc - found.not_valid_before_utc).days / 365.25
        assert 9.9 < years < 10.1
        name = found.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value
        assert str(name).startswith("Claviger local authority ")

    async def test_is_the_same_at_the_next_start_and_unique_elsewhere(
        self, authority: Authority, tmp_path: Path, box: MemoryBox, clock: ManualClock
    ) -> None:
        again = await open_authority(tmp_path / "tls", box, clock)
        assert again.certificate_pem == authority.certificate_pem
        other = await open_authority(tmp_path / "other", MemoryBox(), clock)
        assert certificates(other.certificate_pem)[0].subject != certificates(authority.certificate_pem)[0].subject

    async def test_its_file_is_for_all_and_comes_back(
        self, authority: Authority, tmp_path: Path, box: MemoryBox, clock: ManualClock
    ) -> None:
        path = tmp_path / "tls" / "ca.pem"
        assert path.read_bytes() == authority.certificate_pem
        assert stat.S_IMODE(path.stat().st_mode) == 0o644
        for spoil in (path.unlink, lambda: path.write_bytes(b"other")):
            spoil()
            await open_authority(tmp_path / "tls", box, clock)
            assert path.read_bytes() == authority.certificate_pem
        assert os.listdir(tmp_path / "tls") == ["ca.pem"]

    async def test_its_key_is_in_the_box_alone(self, authority: Authority, tmp_path: Path, box: MemoryBox) -> None:
        kept = box.kept["tls-authority"].reveal()
        assert b"PRIVATE KEY" in kept
        written = [content(Path(folder, name)) for folder, _, files in os.walk(tmp_path) for name in files]
        assert len(written) == 1
        assert b"PRIVATE" not in written[0]

    async def test_many_starts_at_once_agree(self, tmp_path: Path, clock: ManualClock) -> None:
        box = MemoryBox()
        made = await asyncio.gather(*(open_authority(tmp_path, box, clock) for _ in range(5)))
        assert len({one.certificate_pem for one in made}) == 1

    @pytest.mark.parametrize("spoiled", ["nothing", "other key", "key only"])
    async def test_a_damaged_key_is_refused(
        self, authority: Authority, tmp_path: Path, box: MemoryBox, clock: ManualClock, spoiled: str
    ) -> None:
        kept = box.kept["tls-authority"].reveal()
        other = MemoryBox()
        await open_authority(tmp_path / "other", other, clock)
        key, separator, certificate = kept.partition(b"-----BEGIN CERTIFICATE")
        other_key = other.kept["tls-authority"].reveal().partition(b"-----BEGIN CERTIFICATE")[0]
        content = {"nothing": b"", "other key": other_key + separator + certificate, "key only": key}[spoiled]
        box.kept["tls-authority"] = Sensitive(content)
        with pytest.raises(Damaged):
            await open_authority(tmp_path / "tls", box, clock)
        assert (tmp_path / "tls" / "ca.pem").read_bytes() == authority.certificate_pem


class TestLeaves:
    async def test_have_everything_that_strict_verifiers_ask_for(self, authority: Authority) -> None:
        leaf, issuer = certificates(authority.mint(["a.example", "*.b.example", "127.0.0.1", "::1"]).chain)
        leaf.verify_directly_issued_by(issuer)
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert names.get_values_for_type(x509.DNSName) == ["a.example", "*.b.example"]
        assert list(map(str, names.get_values_for_type(x509.IPAddress))) == ["127.0.0.1", "::1"]
        constraints = leaf.extensions.get_extension_for_class(x509.BasicConstraints)
        assert (constraints.critical, constraints.value.ca) == (True, False)
        usage = leaf.extensions.get_extension_for_class(x509.KeyUsage)
        assert usage.critical
        assert usage.value.digital_signature
        assert not usage.value.key_cert_sign
        extended = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        assert list(extended) == [ExtendedKeyUsageOID.SERVER_AUTH]
        ours = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
        assert leaf.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier == ours
        leaf.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
        assert 0 < leaf.serial_number < 2**159

    async def test_begin_before_now_and_live_shortly(self, authority: Authority) -> None:
        minted = authority.mint(["a.example"])
        leaf = certificates(minted.chain)[0]
        now = datetime.datetime.fromtimestamp(NOW, datetime.UTC)
        assert (now - leaf.not_valid_before_utc).total_seconds() == pytest.approx(BACKDATE_S, abs=2)
        assert (leaf.not_valid_after_utc - now).total_seconds() == pytest.approx(LEAF_DAYS * DAY, abs=2)
        assert (leaf.not_valid_after_utc - leaf.not_valid_before_utc).days < 397
        assert NOW + 30 * DAY < minted.renew_at < leaf.not_valid_after_utc.timestamp() - 7 * DAY

    async def test_never_outlive_the_authority(self, authority: Authority, clock: ManualClock) -> None:
        [own] = certificates(authority.certificate_pem)
        expires_at = own.not_valid_after_utc.timestamp()
        clock.set(expires_at - 10 * DAY)
        minted = authority.mint(["a.example"])
        assert certificates(minted.chain)[0].not_valid_after_utc == own.not_valid_after_utc
        assert clock.now() < minted.renew_at < expires_at

    async def test_keep_their_key_encrypted(self, authority: Authority) -> None:
        pem = authority.mint(["a.example"]).pem("password")
        assert b"ENCRYPTED" in pem
        assert pem.count(b"BEGIN CERTIFICATE") == 2


class TestTrust:
    async def test_the_bundle_has_both(self, authority: Authority, tmp_path: Path) -> None:
        store = tmp_path / "system.pem"
        store.write_bytes(b"# system\nSYSTEM")
        write_bundle(tmp_path / "new" / "bundle.pem", store, authority)
        written = (tmp_path / "new" / "bundle.pem").read_bytes()
        assert written == b"# system\nSYSTEM\n" + authority.certificate_pem
        write_bundle(tmp_path / "new" / "bundle.pem", None, authority)
        assert (tmp_path / "new" / "bundle.pem").read_bytes() == authority.certificate_pem

    def test_the_store_is_what_programs_use(self, tmp_path: Path) -> None:
        ours, mine, system = (tmp_path / name for name in ("bundle.pem", "mine.pem", "system.pem"))
        for path in (ours, mine, system):
            path.write_bytes(b"x")
        stores = (str(tmp_path / "missing.pem"), str(system))
        assert find_trust_store({}, ours, stores) == system
        assert find_trust_store({"SSL_CERT_FILE": str(mine)}, ours, stores) == mine
        assert find_trust_store({"SSL_CERT_FILE": str(ours)}, ours, stores) == system
        assert find_trust_store({"SSL_CERT_FILE": str(tmp_path / "gone")}, ours, stores) == system
        assert find_trust_store({"SSL_CERT_FILE": ""}, ours, ()) is None
