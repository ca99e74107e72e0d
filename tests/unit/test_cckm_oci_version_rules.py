"""Versions, uploads and rotation of OCI keys without a cloud: tables of states, shapes, wrapping, doubts, periods."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from claviger.cckm.local.keys.operations import LocalMaterial
from claviger.cckm.oci.keys.forms import CloudKey, CloudVersion
from claviger.cckm.oci.keys.reading import versions_of
from claviger.cckm.oci.keys.rules import State
from claviger.cckm.oci.keys.work import Doubt, Outcome, Work
from claviger.cckm.oci.rotation import rules as rotation
from claviger.cckm.oci.rotation.records import Linked
from claviger.cckm.oci.rotation.running import End, Progress, Told
from claviger.cckm.oci.uploads.sources import wrapped_for
from claviger.cckm.oci.versions import asks
from claviger.cckm.oci.versions.rules import (
    ADD,
    CURRENT,
    WORDS,
    Operation,
    check_not_current,
    decide,
    match_problem,
    tier_problem,
    upload_problem,
)
from claviger.cckm.scheduler.rules import LONGEST_PERIOD_DAYS, Params, period_s, rotation_problems
from claviger.core.errors import Conflict, Invalid, NotFound, Unavailable
from claviger.core.sensitive import Sensitive
from claviger.crypto.key_wrapping import BY_AES, DIRECT, unwrapped

BEGUN = 1_800_000_000.0
ALLOWED = {Operation.SCHEDULE_DELETION: {"ENABLED"}, Operation.CANCEL_DELETION: {"PENDING_DELETION"}}


@pytest.mark.parametrize("operation", Operation)
@pytest.mark.parametrize("state", [*State, "NEW_IN_OCI"])
def test_every_state_of_a_version(operation: Operation, state: State | str) -> None:
    word = state.value if isinstance(state, State) else state
    if word in ALLOWED[operation] or word == "NEW_IN_OCI":
        decide(operation, word, "ENABLED")
        return
    with pytest.raises(Conflict) as refused:
        decide(operation, word, "ENABLED")
    told = str(refused.value.facts["message"])
    assert f"the version is {word}, and {WORDS[operation]} needs it to be" in told
    assert ("OCI is still at it" in told) is ("ING" in word.replace("PENDING", "") or "IN_" in word)


@pytest.mark.parametrize("state", State)
def test_every_state_of_its_key(state: State) -> None:
    if state in (State.ENABLED, State.DISABLED):
        decide(Operation.SCHEDULE_DELETION, "ENABLED", state.value)
        return
    with pytest.raises(Conflict, match=f"the key is {state.value}"):
        decide(Operation.SCHEDULE_DELETION, "ENABLED", state.value)


def test_the_current_version_stays() -> None:
    check_not_current("a", "b")
    with pytest.raises(Invalid) as refused:
        check_not_current("a", "a")
    assert refused.value.reason == "StateForbids"
    assert CURRENT in str(refused.value.facts["message"])


def test_where_a_source_key_may_be_and_what_it_may_be() -> None:
    assert tier_problem("") is tier_problem("local") is None
    assert all("must be local" in (tier_problem(each) or "") for each in ("dsm", "hsm-luna", "external-cm", "Local"))
    assert upload_problem("AES") is upload_problem("RSA") is None
    assert "AES and RSA keys alone" in (upload_problem("EC") or "")
    assert match_problem("AES", 32, "AES", 32) is match_problem("RSA", 384, "RSA", 384) is None
    assert "is AES of 128 bits, and the key in OCI is AES of 256 bits" in (match_problem("AES", 16, "AES", 32) or "")
    assert match_problem("AES", 32, "RSA", 32) is not None
    assert "algorithm EC" in (match_problem("EC", 32, "ECDSA", 32) or "")


# ---------------------------------------------------------------------- wrapping


@pytest.fixture(scope="module")
def vault_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=4096)


def pem_of(key: rsa.RSAPrivateKey) -> str:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def der_of(key: rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


def source(algorithm: str, secret: bytes) -> LocalMaterial:
    return LocalMaterial(
        id="i", name="n", algorithm=algorithm, length=1, curve_id="", created_by="u", secret=Sensitive(secret)
    )


@pytest.mark.parametrize("algorithm", ["AES", "RSA"])
async def test_material_is_wrapped_as_oci_takes_it(vault_key: rsa.RSAPrivateKey, algorithm: str) -> None:
    secret = b"k" * 32 if algorithm == "AES" else der_of(rsa.generate_private_key(public_exponent=65537, key_size=2048))
    made = await wrapped_for(pem_of(vault_key), source(algorithm, secret))
    assert made.algorithm == (DIRECT if algorithm == "AES" else BY_AES)
    assert made.wrapped is not None
    wrapped = made.wrapped.reveal()
    assert secret not in wrapped
    assert unwrapped(wrapped, made.algorithm, der_of(vault_key)) == secret
    assert "\\x" not in repr(made)
    assert "kkk" not in repr(made)


async def test_a_wrapping_key_that_is_none_is_the_clouds_mistake() -> None:
    with pytest.raises(Invalid) as refused:
        await wrapped_for("not a key", source("AES", b"k" * 32))
    assert refused.value.reason == "CloudInvalid"


# ---------------------------------------------------------------------- asking


class Keys:
    """Versions of one key, as far as they are asked for."""

    def __init__(self, *versions: CloudVersion, hidden: tuple[str, ...] = ()) -> None:
        self._versions = versions
        self._hidden = hidden

    async def versions(self, _: str) -> list[CloudVersion]:
        return list(self._versions)

    async def version(self, _: str, ocid: str) -> CloudVersion:
        if ocid in self._hidden:
            raise NotFound("CloudNotFound")
        return next(each for each in self._versions if each.ocid == ocid)


def version(ocid: str, state: str = "ENABLED", **more: Any) -> CloudVersion:
    given: dict[str, Any] = {"created_at": BEGUN + 5, "deletes_at": None, "origin": "INTERNAL", **more}
    return CloudVersion(ocid=ocid, key_ocid="k", vault_ocid="v", compartment_ocid="c", state=state, **given)


def work(**more: Any) -> Work:
    known = {"known_ocids": ("old",), "version_ocid": "v", "deletes_at": BEGUN + 9e5, **more}
    return Work(
        operation=ADD, vault_id="", domain_id="", user_id="", name="", key_id="", ocid="k", begun_at=BEGUN, **known
    )


async def added(cloud: Keys, *, by_reading: bool = True, **more: Any) -> Outcome | None:
    return await asks.added(cloud, work(**more), Doubt(BEGUN + 60, by_reading))  # type: ignore[arg-type]


async def test_a_version_that_was_made_is_known_by_what_was_there_before() -> None:
    old, ours, later = version("old"), version("ours"), version("later", created_at=BEGUN + 50)
    found = await added(Keys(later, ours, old))
    assert found is not None
    assert [each.ocid for each in found.versions] == ["ours"]
    assert await added(Keys(later, ours, old), by_reading=False) is None, "the token tells"
    assert await added(Keys(old, version("ancient", created_at=BEGUN - 1000))) is None
    imported = version("imported", origin="EXTERNAL")
    assert await added(Keys(imported, old)) is None
    uploaded = await added(Keys(imported, old), source_key_id="s")
    assert uploaded is not None
    assert await added(Keys(ours, old), source_key_id="s") is not None, "OCI shows some uploads as its own"


@pytest.mark.parametrize(
    ("state", "scheduled", "cancelled"),
    [
        ("ENABLED", "no", "yes"),
        ("SCHEDULING_DELETION", "yes", "differs"),
        ("PENDING_DELETION", "yes", "no"),
        ("CANCELLING_DELETION", "settling", "yes"),
        ("DELETED", "yes", "differs"),
    ],
)
async def test_what_became_of_a_version(state: str, scheduled: str, cancelled: str) -> None:
    async def told(ask: Any) -> str:
        try:
            found = await ask(Keys(version("v", state, deletes_at=BEGUN + 9e5)), work(), Doubt(BEGUN))
        except Unavailable as refusal:
            return {"CloudSettling": "settling"}[refusal.reason]
        return "no" if found is None else "differs" if found.differs else "yes"

    assert (await told(asks.scheduled), await told(asks.cancelled)) == (scheduled, cancelled)


async def test_a_version_with_another_date_was_scheduled_anew() -> None:
    cloud: Any = Keys(version("v", "PENDING_DELETION", deletes_at=BEGUN + 8e5))
    found = await asks.cancelled(cloud, work(), Doubt(BEGUN))
    assert found is not None
    assert found.differs


async def test_a_version_that_oci_does_not_show_by_itself_yet_is_taken_from_the_list() -> None:
    key = CloudKey(
        ocid="k",
        vault_ocid="v",
        compartment_ocid="c",
        name="n",
        algorithm="AES",
        length=32,
        curve_id="",
        protection_mode="HSM",
        state="ENABLED",
        current_version_ocid="new",
        created_at=BEGUN,
        deletes_at=None,
        freeform_tags={},
        defined_tags={},
    )
    cloud: Any = Keys(version("new", "CREATING"), version("old"), hidden=("new",))
    assert [each.ocid for each in await versions_of(cloud, key)] == ["new", "old"]


# ---------------------------------------------------------------------- rotation


def test_sources_of_rotation() -> None:
    assert rotation.source_problem("native", "ECDSA") is rotation.source_problem("ciphertrust", "AES") is None
    assert "must be native" in (rotation.source_problem("ciphertrust", "ECDSA") or "")
    for source_of in ("hsm-luna", "dsm", "external-cm"):
        assert "this server has no connection to" in (rotation.source_problem(source_of, "AES") or "")
    assert rotation.source_problem("Native", "AES") == "must be native or ciphertrust"


def test_when_a_key_is_due() -> None:
    assert rotation.is_due(BEGUN, None, BEGUN)
    assert rotation.is_due(BEGUN, 60.0, BEGUN + 60)
    assert not rotation.is_due(BEGUN, 60.0, BEGUN + 59)


def test_when_a_key_expires_soon_enough() -> None:
    assert rotation.is_expiring(BEGUN, None, None, BEGUN)
    assert rotation.is_expiring(BEGUN, 100.0, None, BEGUN)  # every one, where nobody asks
    assert rotation.is_expiring(BEGUN, 100.0, 10.0, BEGUN + 90)
    assert not rotation.is_expiring(BEGUN, 100.0, 10.0, BEGUN + 89)
    assert not rotation.is_expiring(BEGUN, None, 10.0, BEGUN + 10_000)  # without a life there is no end of it


def test_a_run_gives_a_key_one_version_and_one_local_key() -> None:
    assert rotation.version_id("r", "k") == rotation.version_id("r", "k")
    assert len({rotation.version_id(*each) for each in (("r", "k"), ("r", "l"), ("s", "k"))}) == 3
    name = rotation.local_name("a/b c" + "x" * 300, "3e954908-285b", "run")
    assert name.startswith("a-b-cxx")
    assert name.endswith("-3e954908-run")
    assert len(name) < 256
    assert rotation.local_name("//", "k", "r") == "key-k-r"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1d", 86_400), ("90D", 90 * 86_400), ("12h", 43_200), (f"{LONGEST_PERIOD_DAYS}d", LONGEST_PERIOD_DAYS * 86_400)]
    + [(text, None) for text in ("", "0d", "1", "d", "1.5d", "-1d", "1w", " 1d", "36501d", "9999999d", "١d")],
)
def test_periods(text: str, seconds: float | None) -> None:
    assert period_s(text) == seconds


def test_parameters_of_a_rotation() -> None:
    assert rotation_problems(Params("oci", rotation_after="30d", expiration="1h", expire_in="2d")) == {}
    assert "is required" in rotation_problems(Params(""))["cloud_name"]
    assert "not rotated yet" in rotation_problems(Params("AzureCloud"))["cloud_name"]
    assert set(rotation_problems(Params("oci", rotation_after="x", expire_in="x"))) == {"rotation_after", "expire_in"}


def test_what_a_job_says() -> None:
    keys = [Linked(1, "a", "one", 1), Linked(2, "b", "two", 1), Linked(5, "c", "three", 1)]
    progress = Progress().plus(keys[:2], [Told(End.ROTATED), Told(End.FAILED, "why")])
    progress = progress.plus(keys[2:], [Told(End.NOT_DUE)])
    assert (progress.after, progress.failed) == (5, 1)
    assert progress.message == "keys: 1 rotated, 1 not due yet, 1 failed; two: why"
    many = Progress()
    for _ in range(30):
        many = many.plus(keys[:1], [Told(End.FAILED, "why")])
    assert (many.failed, len(many.problems)) == (30, 20)
