"""Rules of vaults in the control plane: ARM ids that may become paths, what a request to add may name, actions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claviger.cckm.azure.vaults import rules
from claviger.cckm.azure.vaults.rules import ACTIONS, HSM_TYPE, VAULT_TYPE, Asked
from claviger.core.errors import Invalid

SUB = "1cda5d8b-c825-4976-9999-26022adb76b5"
TENANT = "d27d849e-e487-4b0e-a54c-a6e177867d10"
ID = f"/subscriptions/{SUB}/resourceGroups/lab/providers/Microsoft.KeyVault/vaults/secret-vault"


def asked(ident: str = ID, name: str | None = None, kind: str | None = None) -> Asked:
    return Asked(ident, name, kind)


def refusal(*entries: Asked) -> str:
    with pytest.raises(Invalid) as caught:
        rules.check_added(entries, SUB)
    return str(caught.value.facts["message"])


def test_the_parts_of_a_vaults_id() -> None:
    found = rules.arm_id(ID)
    assert found is not None
    assert (found.subscription_id, found.group, found.type, found.name) == (SUB, "lab", VAULT_TYPE, "secret-vault")
    assert not found.is_managed_hsm


def test_an_id_is_read_without_case() -> None:
    found = rules.arm_id(ID.upper().replace("VAULTS/SECRET", "MANAGEDHSMS/SECRET"))
    assert found is not None
    assert (found.subscription_id, found.type, found.name) == (SUB, HSM_TYPE, "SECRET-VAULT")
    assert found.is_managed_hsm


@pytest.mark.parametrize("group", ["lab", "a", "x_y.z-(1)", "größe", "9" * 90])
def test_resource_groups_that_azure_has(group: str) -> None:
    found = rules.arm_id(ID.replace("/lab/", f"/{group}/"))
    assert found is not None
    assert found.group == group


@pytest.mark.parametrize(
    "text",
    [
        "",
        "secret-vault",
        ID + "/",
        ID + "\n",
        "x" + ID,
        ID.replace("/lab/", "/../"),
        ID.replace("/lab/", "/./"),
        ID.replace("/lab/", "/lab./"),
        ID.replace("/lab/", "//"),
        ID.replace("/lab/", "/a/b/"),
        ID.replace("/lab/", "/a%2fb/"),
        ID.replace("/lab/", "/a?b/"),
        ID.replace("/lab/", "/a#b/"),
        ID.replace("/lab/", f"/{'9' * 91}/"),
        ID.replace("secret-vault", ".."),
        ID.replace("secret-vault", "ab"),
        ID.replace("secret-vault", "a" * 25),
        ID.replace("secret-vault", "a--b"),
        ID.replace("secret-vault", "ab-"),
        ID.replace("secret-vault", "9ab"),
        ID.replace("secret-vault", "a?api-version=1"),
        ID.replace("secret-vault", "\u017fecret"),  # a long s, which is an s without case
        ID.replace("/vaults/", "/secrets/"),
        ID.replace("KeyVault", "Storage"),
        ID.replace(SUB, SUB[:-1]),
        ID.replace(SUB, "\u0661" * 8 + SUB[8:]),
        ID.replace("Microsoft.KeyVault", "MicrosoftxKeyVault"),
    ],
)
def test_what_is_no_id_of_a_vault(text: str) -> None:
    assert rules.arm_id(text) is None


@given(st.text(max_size=60))
def test_a_group_never_leaves_its_segment(group: str) -> None:
    found = rules.arm_id(ID.replace("/lab/", f"/{group}/"))
    if found is not None:
        assert found.group == group
        assert not set(group) & set("/?#%\\ \t\r\n")
        assert group not in (".", "..")


def test_two_spellings_name_the_same_vault() -> None:
    assert rules.same_vault(ID, ID.upper())
    assert not rules.same_vault(ID, ID + "x")
    assert not rules.same_vault(ID, ID.replace("/vaults/", "/managedHSMs/"))
    assert not rules.same_vault("nothing", "nothing")


def test_what_may_be_added() -> None:
    hsm = ID.replace("/vaults/secret-vault", "/managedHSMs/pool")
    found = rules.check_added([asked(name="Secret-Vault", kind="microsoft.keyvault/VAULTS"), asked(hsm)], SUB)
    assert [(one.name, one.text) for one in found] == [("secret-vault", ID), ("pool", hsm)]


def test_nothing_to_add() -> None:
    assert "vaults: must name at least one" in refusal()


def test_too_many_to_add() -> None:
    assert "at most 1000" in refusal(*[asked(f"{ID}{number:04}") for number in range(1001)])


def test_each_wrong_entry_has_its_line() -> None:
    told = refusal(
        asked("nonsense"),
        asked(ID),
        asked(ID.upper()),
        asked(ID.replace(SUB, TENANT)),
        asked(ID + "3", name="other"),
        asked(ID + "4", kind=HSM_TYPE),
    )
    assert told.splitlines() == [
        "Validation errors:",
        "vaults[0].azure_vault_id: must be the ARM id of a vault or a managed HSM",
        "vaults[2].azure_vault_id: is named twice in this request",
        "vaults[3].azure_vault_id: belongs to another subscription than subscription_id",
        "vaults[4].name: is not the name in azure_vault_id",
        "vaults[5].type: is not the type in azure_vault_id",
    ]


def test_a_refusal_is_of_bounded_length() -> None:
    assert len(refusal(*[asked("x" * 512) for _ in range(1000)])) < 4000


@pytest.mark.parametrize("text", ["", "x", SUB + "\n", SUB[:-1], f"{{{SUB}}}"])
def test_what_is_no_subscription(text: str) -> None:
    with pytest.raises(Invalid):
        rules.check_subscription(text)


def test_a_subscription_is_kept_in_lower_case() -> None:
    assert rules.check_subscription(SUB.upper()) == SUB


def test_sizes_of_pages() -> None:
    assert [rules.page_size(limit) for limit in (None, 0, 1, 1000)] == [10, 10, 1, 1000]
    for wrong in (-1, 1001, 2**70):
        with pytest.raises(Invalid):
            rules.page_size(wrong)


def test_limits_of_backups() -> None:
    assert [rules.check_backup_limit(limit) for limit in (None, 0, 1, 1_000_000)] == [0, 0, 1, 1_000_000]
    for wrong in (-1, 2**70):
        with pytest.raises(Invalid):
            rules.check_backup_limit(wrong)


def test_the_actions_are_those_of_the_contract() -> None:
    assert len(ACTIONS) == 10 + 9 + 10 + 4 + 6
    assert {"view", "secretview", "secretdeletebackup", "certificatesynchronize", "deletekeytemplate"} <= ACTIONS
