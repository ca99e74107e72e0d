"""Names, keys and wire of the embedded OCI's identity."""

from __future__ import annotations

from typing import Any

import msgspec
import oci
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from oci.regions_definitions import REGION_REALMS, REGIONS_SHORT_NAMES

from claviger.core.errors import Invalid
from claviger.core.sensitive import Sensitive
from claviger.crypto.api_keys import fingerprint_of, new_api_key, public_half, read_public_key
from claviger.ocikms.identity import rules, wire
from claviger.ocikms.identity.regions import KEYS
from claviger.ocikms.ocids import new_ocid
from tests.oci_requests import EXAMPLE_FINGERPRINT, EXAMPLE_KEY

PRIVATE, PUBLIC = new_api_key()


def pem(key: Any) -> str:
    return str(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode())


def test_the_fingerprint_is_that_of_the_contract() -> None:
    assert fingerprint_of(EXAMPLE_KEY) == EXAMPLE_FINGERPRINT
    assert read_public_key("Comment\n" + EXAMPLE_KEY.replace("\n", "\r\n")) == (EXAMPLE_FINGERPRINT, EXAMPLE_KEY)


def test_a_new_key_is_one_pair() -> None:
    assert public_half(PRIVATE) == PUBLIC
    assert repr(PRIVATE) == "<sensitive>"
    assert "PRIVATE KEY" not in PUBLIC


@pytest.mark.parametrize(
    "given",
    [
        "",
        "nonsense",
        "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
        pem(rsa.generate_private_key(65537, 1024)),
        pem(ec.generate_private_key(ec.SECP256R1())),
        PRIVATE.reveal_text(),
        EXAMPLE_KEY + " " * 20_000,
    ],
    ids=["empty", "words", "short", "rsa-1024", "ec", "private", "long"],
)
def test_keys_that_nobody_signs_with_here(given: str) -> None:
    with pytest.raises(Invalid, match="PublicKey"):
        fingerprint_of(given)


@pytest.mark.parametrize("kind", ["words", "locked", "ec"])
def test_private_keys_that_tell_no_public_half(kind: str) -> None:
    locked = rsa.generate_private_key(65537, 2048).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"passphrase")
    )
    elliptic = ec.generate_private_key(ec.SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    given = {"words": b"words", "locked": locked, "ec": elliptic}[kind]
    with pytest.raises(Invalid, match="PrivateKey"):
        public_half(Sensitive(given))


def test_the_regions_are_those_of_the_commercial_realm() -> None:
    short = {name: key.upper() for key, name in REGIONS_SHORT_NAMES.items()}
    assert {name: short[name] for name, realm in REGION_REALMS.items() if realm == "oc1"} == KEYS


@pytest.mark.parametrize(
    ("struct", "model"),
    [
        (wire.Compartment, oci.identity.models.Compartment),
        (wire.Tenancy, oci.identity.models.Tenancy),
        (wire.Region, oci.identity.models.Region),
        (wire.RegionSubscription, oci.identity.models.RegionSubscription),
        (wire.User, oci.identity.models.User),
        (wire.UserCapabilities, oci.identity.models.UserCapabilities),
        (wire.TagNamespace, oci.identity.models.TagNamespaceSummary),
        (wire.Tag, oci.identity.models.TagSummary),
    ],
)
def test_the_wire_has_the_fields_that_the_sdk_reads(struct: type[msgspec.Struct], model: Any) -> None:
    ours = {field.encode_name for field in msgspec.structs.fields(struct)}
    assert ours == set(model().attribute_map.values())


@pytest.mark.parametrize("name", ["a", "Team-A_1.x", "x" * 100])
def test_names_of_compartments(name: str) -> None:
    assert rules.check_name(name) == name


@pytest.mark.parametrize("name", ["", "a b", "a/b", "x" * 101, "ocid1.compartment", "..", "ä", "a\n", "a\0"])
def test_names_that_no_compartment_has(name: str) -> None:
    with pytest.raises(Invalid, match="Name"):
        rules.check_name(name)


def test_names_of_users_and_tags() -> None:
    assert rules.check_user_name("idcs/ann+x@example.org") == "idcs/ann+x@example.org"
    for name in ("", "ann example", "a\0", "ocid1.user.oc1..a"):
        with pytest.raises(Invalid, match="Name"):
            rules.check_user_name(name)
    assert rules.check_tag_name("Cost-Centre") == "Cost-Centre"
    for name in ("a.b", "a b", "x" * 101):
        with pytest.raises(Invalid, match="Name"):
            rules.check_tag_name(name)


def test_ocids_that_programs_know_already() -> None:
    own = new_ocid("tenancy")
    assert rules.check_ocid("tenancy", own) == own
    for wrong in (
        "ocid1.user.oc1..a",
        "ocid1.tenancy.oc2..a",
        "ocid1.tenancy.oc1..",
        "ocid1.tenancy.oc1..a/b",
        own * 5,
    ):
        with pytest.raises(Invalid, match="Ocid"):
            rules.check_ocid("tenancy", wrong)


def test_regions_by_name_and_key() -> None:
    assert rules.check_region("EU-Frankfurt-1") == rules.check_region("fra") == "eu-frankfurt-1"
    for wrong in ("", "eu", "us-gov-ashburn-1", "x" * 1000):
        with pytest.raises(Invalid, match="Region"):
            rules.check_region(wrong)


def test_verbs_and_descriptions() -> None:
    assert rules.check_verb("Manage") == "manage"
    with pytest.raises(Invalid, match="Verb"):
        rules.check_verb("own")
    assert rules.check_description("ä" * rules.MAX_DESCRIPTION)
    for wrong in ("a\0", "a" * (rules.MAX_DESCRIPTION + 1)):
        with pytest.raises(Invalid, match="Description"):
            rules.check_description(wrong)
