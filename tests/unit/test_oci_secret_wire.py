"""Bodies about secrets: read as the SDK sends them, shown with the SDK's fields, and never printed with a content."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from claviger.core.errors import Damaged, Invalid
from claviger.core.sensitive import Sensitive
from claviger.ocikms import errors
from claviger.ocikms.secrets import contents, shown, wire
from claviger.ocikms.secrets.rules import ExpiryRule, ReuseRule, Rules
from claviger.ocikms.texts import read_body

HIDDEN = "aHVzaCBodXNo"
CREATE = {"compartmentId": "c", "keyId": "k", "secretName": "n", "vaultId": "v"}


def read(body: Mapping[str, object]) -> wire.CreateSecretDetails:
    return read_body(msgspec.json.encode(body), wire.CreateSecretDetails)


def test_a_body_does_not_print_its_content() -> None:
    body = read({**CREATE, "secretContent": {"contentType": "BASE64", "content": HIDDEN, "stage": "CURRENT"}})
    assert body.secret_content is not None
    assert body.secret_content.content == HIDDEN
    for shown_as in (repr(body), str(body), f"{body.secret_content}", repr([body.secret_content.__rich_repr__()])):
        assert HIDDEN not in shown_as
    bundle = wire.SecretBundleContent(HIDDEN)
    assert HIDDEN not in f"{bundle} {bundle!r} {bundle.__rich_repr__()}"
    assert msgspec.json.decode(msgspec.json.encode(bundle)) == {"content": HIDDEN, "contentType": "BASE64"}


@pytest.mark.parametrize(
    "content",
    [
        {"contentType": "BASE64", "content": [HIDDEN]},
        {"contentType": [HIDDEN], "content": HIDDEN},
        {"content": HIDDEN},
        HIDDEN,
        {"contentType": "BASE64", "content": HIDDEN, "name": {"a": HIDDEN}},
    ],
)
def test_a_refusal_does_not_quote_the_content(content: object) -> None:
    with pytest.raises(Invalid) as told:
        read({**CREATE, "secretContent": content})
    assert HIDDEN not in f"{errors.told(told.value)} {told.value!s} {told.value.facts}"


@pytest.mark.parametrize("name", list(CREATE))
def test_required_fields(name: str) -> None:
    for absent in ({key: value for key, value in CREATE.items() if key != name}, {**CREATE, name: None}):
        with pytest.raises(Invalid) as told:
            read(absent)
        assert errors.told(told.value) == (400, "InvalidParameter", f"{name} may not be null")


def test_rules_are_read_and_shown() -> None:
    sent: list[dict[str, Any]] = [
        {
            "ruleType": "SECRET_EXPIRY_RULE",
            "secretVersionExpiryInterval": "P30D",
            "timeOfAbsoluteExpiry": "2027-02-01T10:00:00.000000Z",
            "isSecretContentRetrievalBlockedOnExpiry": True,
        },
        {"ruleType": "SECRET_REUSE_RULE", "isEnforcedOnDeletedSecretVersions": None},
    ]
    body = read({**CREATE, "secretRules": sent})
    assert body.secret_rules is not None
    kept = shown.read_rules(body.secret_rules)
    assert kept == Rules(ExpiryRule(30, 1_801_476_000.0, True), ReuseRule(False))
    again = msgspec.json.decode(shown.text_of(kept), type=Rules)
    assert again == kept
    told = msgspec.json.decode(msgspec.json.encode(shown.shown_rules(again)))
    assert told == [
        {**sent[0], "timeOfAbsoluteExpiry": "2027-02-01T10:00:00.000Z"},
        {**sent[1], "isEnforcedOnDeletedSecretVersions": False},
    ]


@pytest.mark.parametrize(
    "sent",
    [
        [{"ruleType": "SECRET_REUSE_RULE"}, {"ruleType": "SECRET_REUSE_RULE"}],
        [{"ruleType": "SECRET_EXPIRY_RULE", "secretVersionExpiryInterval": "P1Y"}],
        [{"ruleType": "SECRET_EXPIRY_RULE", "timeOfAbsoluteExpiry": "tomorrow"}],
        [{"ruleType": "OTHER"}],
        [{}],
        ["SECRET_REUSE_RULE"],
    ],
)
def test_rules_that_are_refused(sent: list[object]) -> None:
    with pytest.raises(Invalid) as told:
        shown.read_rules(read({**CREATE, "secretRules": sent}).secret_rules or [])
    assert errors.told(told.value)[:2] == (400, "InvalidParameter")


def test_fields_of_the_replies() -> None:
    """Against the names that the SDK's models have; what is only in one of two views is told apart."""
    models = pytest.importorskip("oci.vault.models")
    bundles = pytest.importorskip("oci.secrets.models")
    for kind, model in (
        (wire.Secret, models.Secret),
        (wire.ListedSecret, models.SecretSummary),
        (wire.SecretVersion, models.SecretVersion),
        (wire.SecretVersionSummary, models.SecretVersionSummary),
        (wire.SecretBundle, bundles.SecretBundle),
        (wire.SecretBundleVersionSummary, bundles.SecretBundleVersionSummary),
        (wire.CreateSecretDetails, models.CreateSecretDetails),
        (wire.UpdateSecretDetails, models.UpdateSecretDetails),
    ):
        assert set(kind.__struct_encode_fields__) == set(model().attribute_map.values()), kind


def test_what_is_sealed_is_the_marking_key_and_the_content() -> None:
    key, content = contents.new_marking_key(), Sensitive(b"hush")
    opened = contents.unpacked(contents.packed(key, content))
    assert (opened.marking_key, opened.content) == (key, content)
    assert len(contents.unpacked(contents.packed(key, Sensitive(b"")) + b"").content) == 0
    with pytest.raises(Damaged):
        contents.unpacked(key.reveal()[:-1])


def test_a_mark_tells_contents_apart_and_is_no_plain_hash() -> None:
    key = contents.new_marking_key()
    mark = contents.mark_of(key, Sensitive(b"hush"))
    assert mark == contents.mark_of(key, Sensitive(b"hush"))
    assert mark != contents.mark_of(key, Sensitive(b"hush!"))
    assert mark != contents.mark_of(contents.new_marking_key(), Sensitive(b"hush"))


def test_a_binding_is_of_one_version_of_one_secret() -> None:
    found = {contents.binding(ident, number) for ident in ("a", "b") for number in (1, 2)}
    assert len(found) == 4
