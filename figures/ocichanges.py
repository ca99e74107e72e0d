"""The changes that writers of the crash trial make in OCI: each as a request, and as what it does to a journal."""

from __future__ import annotations

import base64
import random
from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any

from figures.ocijournal import (
    LATER_S,
    MOST_CONTENTS,
    MOST_KEYS,
    MOST_SECRETS,
    MOST_VERSIONS,
    Change,
    Journal,
    Secret,
    moment,
)
from figures.ocimodel import DAY_S, FINE, WRONG_STATE, Expected, Key, Model, Vault
from figures.ocioperations import prefix_of

TRIES = 200
Draw = Callable[[Journal, random.Random, str], Change | None]
SHAPES: Mapping[str, dict[str, Any]] = {
    "AES": {"algorithm": "AES", "length": 32},
    "ECDSA": {"algorithm": "ECDSA", "length": 32, "curveId": "NIST_P256"},
}


def create_vault(journal: Journal, dice: random.Random, mark: str) -> Change:
    """CreateVault, in the first of the journal's compartments."""
    here, kind = journal.compartments[0], dice.choice(("DEFAULT", "VIRTUAL_PRIVATE"))
    body = {"compartmentId": here, "displayName": mark, "vaultType": kind}
    return Change("CreateVault", (), body, "", lambda after: after.model.create_vault(here, mark, kind)[0])


def _of_vault(name: str, body: Any, journal: Journal, act: Callable[[Model, Vault], Expected]) -> Change:
    def apply(after: Journal) -> Expected:
        assert after.vault is not None
        return act(after.model, after.vault)

    assert journal.vault is not None
    return Change(name, (journal.vault.ident,), body, "", apply)


def _update_vault(journal: Journal, dice: random.Random, mark: str) -> Change:
    return _of_vault(
        "UpdateVault", {"displayName": mark}, journal, lambda model, vault: model.update_vault(vault, mark)
    )


def _schedule_vault(journal: Journal, dice: random.Random, mark: str) -> Change:
    at = journal.model.now + LATER_S + dice.randrange(15 * DAY_S)
    body = {"timeOfDeletion": moment(at)}
    return _of_vault("ScheduleVaultDeletion", body, journal, lambda model, vault: model.schedule_vault(vault, at))


def _cancel_vault(journal: Journal, dice: random.Random, mark: str) -> Change:
    return _of_vault("CancelVaultDeletion", None, journal, lambda model, vault: model.cancel_vault(vault))


def _move_vault(journal: Journal, dice: random.Random, mark: str) -> Change:
    to = dice.choice(journal.compartments)
    body = {"compartmentId": to}
    return _of_vault("ChangeVaultCompartment", body, journal, lambda model, vault: model.move_vault(vault, to))


def _create_key(journal: Journal, dice: random.Random, mark: str) -> Change | None:
    vault = journal.vault
    if vault is None or len(vault.keys) >= MOST_KEYS:
        return None
    here, algorithm = dice.choice(journal.compartments), dice.choice(("AES", "AES", "ECDSA"))
    mode = dice.choice(("HSM", "SOFTWARE"))
    body = {"compartmentId": here, "displayName": mark, "keyShape": SHAPES[algorithm], "protectionMode": mode}

    def apply(after: Journal) -> Expected:
        assert after.vault is not None
        return after.model.create_key(after.vault, here, mark, algorithm, mode)[0]

    return Change("CreateKey", (), body, prefix_of(vault.ident), apply)


def _of_key(
    name: str, body: Any, journal: Journal, dice: random.Random, act: Callable[[Model, Key], Expected]
) -> Change | None:
    keys = list(journal.model.all_keys())
    if not keys:
        return None
    key = dice.choice(keys)
    return Change(name, (key.ident,), body, prefix_of(key.ident), lambda after: act(after.model, after.key(key.number)))


def _update_key(journal: Journal, dice: random.Random, mark: str) -> Change | None:
    return _of_key("UpdateKey", {"displayName": mark}, journal, dice, lambda model, key: model.update_key(key, mark))


def _enable_key(journal: Journal, dice: random.Random, mark: str) -> Change | None:
    return _of_key("EnableKey", None, journal, dice, lambda model, key: model.enable_key(key))


def _disable_key(journal: Journal, dice: random.Random, mark: str) -> Change | None:
    return _of_key("DisableKey", None, journal, dice, lambda model, key: model.disable_key(key))


def _schedule_key(journal: Journal, dice: random.Random, mark: str) -> Change | None:
    at = journal.model.now + LATER_S - dice.randrange(2 * DAY_S)  # before any date of the vault
    body = {"timeOfDeletion": moment(at)}
    return _of_key("ScheduleKeyDeletion", body, journal, dice, lambda model, key: model.schedule_key(key, at))


def _cancel_key(journal: Journal, dice: random.Random, mark: str) -> Change | None:
    return _of_key("CancelKeyDeletion", None, journal, dice, lambda model, key: model.cancel_key(key))


def _move_key(journal: Journal, dice: random.Random, mark: str) -> Change | None:
    to = dice.choice(journal.compartments)
    body = {"compartmentId": to}
    return _of_key("ChangeKeyCompartment", body, journal, dice, lambda model, key: model.move_key(key, to))


def _rotate(journal: Journal, dice: random.Random, mark: str) -> Change | None:
    def act(model: Model, key: Key) -> Expected:
        return WRONG_STATE if len(key.versions) >= MOST_VERSIONS else model.rotate(key)[0]

    return _of_key("CreateKeyVersion", None, journal, dice, act)


def _of_version(
    name: str, body: Any, journal: Journal, dice: random.Random, act: Callable[[Journal, int], Expected]
) -> Change | None:
    versions = [one for key in journal.model.all_keys() for one in key.versions]
    if not versions:
        return None
    version = dice.choice(versions)
    idents = version.key.ident, version.ident
    return Change(name, idents, body, prefix_of(idents[0]), lambda after: act(after, version.number))


def _schedule_version(journal: Journal, dice: random.Random, mark: str) -> Change | None:
    at = journal.model.now + LATER_S
    body = {"timeOfDeletion": moment(at)}

    def act(after: Journal, number: int) -> Expected:
        return after.model.schedule_version(after.version(number), at)

    return _of_version("ScheduleKeyVersionDeletion", body, journal, dice, act)


def _cancel_version(journal: Journal, dice: random.Random, mark: str) -> Change | None:
    def act(after: Journal, number: int) -> Expected:
        return after.model.cancel_version(after.version(number))

    return _of_version("CancelKeyVersionDeletion", None, journal, dice, act)


# Secrets. The model of vaults does not know them: what little there is to them is here.


def _is_open(journal: Journal, key_number: int) -> bool:
    """Whether contents can be sealed: vault ACTIVE and key ENABLED."""
    vault, now = journal.vault, journal.model.now
    return vault is not None and vault.own(now) == "ACTIVE" and journal.key(key_number).shown(now) == "ENABLED"


def _content(dice: random.Random, mark: str) -> str:
    return base64.b64encode(f"{mark} {dice.randbytes(dice.randrange(900)).hex()}".encode()).decode()


def _create_secret(journal: Journal, dice: random.Random, mark: str) -> Change | None:
    keys = [key for key in journal.model.all_keys() if key.algorithm == "AES"]
    if not keys or journal.vault is None or len(journal.secrets) >= MOST_SECRETS:
        return None
    key, content = dice.choice(keys), _content(dice, mark)
    body = {
        "compartmentId": journal.compartments[0],
        "secretName": mark,
        "vaultId": journal.vault.ident,
        "keyId": key.ident,
        "secretContent": {"contentType": "BASE64", "content": content},
    }

    def apply(after: Journal) -> Expected:
        if not _is_open(after, key.number):
            return WRONG_STATE
        after.secrets.append(Secret(mark, key.number, [content]))
        return FINE

    return Change("CreateSecret", (), body, "", apply)


def _of_secret(
    name: str, body: Any, journal: Journal, dice: random.Random, act: Callable[[Journal, Secret], Expected]
) -> Change | None:
    if not journal.secrets:
        return None
    at = dice.randrange(len(journal.secrets))
    return Change(name, (journal.secrets[at].ident,), body, "", lambda after: act(after, after.secrets[at]))


def _update_secret(journal: Journal, dice: random.Random, mark: str) -> Change | None:
    content = _content(dice, mark)

    def act(after: Journal, secret: Secret) -> Expected:
        is_full = len(secret.contents) >= MOST_CONTENTS
        if is_full or secret.state != "ACTIVE" or not _is_open(after, secret.key):
            return WRONG_STATE
        secret.contents.append(content)
        return FINE

    body = {"secretContent": {"contentType": "BASE64", "content": content}}
    return _of_secret("UpdateSecret", body, journal, dice, act)


def _schedule_secret(journal: Journal, dice: random.Random, mark: str) -> Change | None:
    at = journal.model.now + LATER_S

    def act(after: Journal, secret: Secret) -> Expected:
        if secret.state != "ACTIVE" or after.vault is None or after.vault.own(after.model.now) != "ACTIVE":
            return WRONG_STATE
        secret.state, secret.deletes_at = "PENDING_DELETION", at
        return FINE

    return _of_secret("ScheduleSecretDeletion", {"timeOfDeletion": moment(at)}, journal, dice, act)


def _cancel_secret(journal: Journal, dice: random.Random, mark: str) -> Change | None:
    def act(after: Journal, secret: Secret) -> Expected:
        if secret.state == "ACTIVE" or after.vault is None or after.vault.own(after.model.now) != "ACTIVE":
            return WRONG_STATE
        secret.state, secret.deletes_at = "ACTIVE", None
        return FINE

    return _of_secret("CancelSecretDeletion", None, journal, dice, act)


CHANGES: Mapping[Draw, int] = {
    _update_vault: 2,
    _schedule_vault: 2,
    _cancel_vault: 6,
    _move_vault: 2,
    _create_key: 8,
    _update_key: 4,
    _enable_key: 6,
    _disable_key: 3,
    _schedule_key: 4,
    _cancel_key: 6,
    _move_key: 3,
    _rotate: 6,
    _schedule_version: 4,
    _cancel_version: 4,
    _create_secret: 5,
    _update_secret: 6,
    _schedule_secret: 3,
    _cancel_secret: 4,
}
"""What can be done -> how often, compared with the others."""


def next_change(journal: Journal, dice: random.Random, mark: str) -> tuple[Change, Journal]:
    """A change that is right for the journal, and the journal after it. `mark` makes its names unlike any other."""
    for _ in range(TRIES):
        change = _drawn(journal, dice, mark)
        after = deepcopy(journal)
        if change is not None and change.apply(after).status == 200:
            return change, after
    raise RuntimeError("nothing can be done any more")


def _drawn(journal: Journal, dice: random.Random, mark: str) -> Change | None:
    """A change of any kind, right or not; None where there is nothing that it could be of."""
    if journal.vault is None:
        return create_vault(journal, dice, mark)
    draw = dice.choices(list(CHANGES), list(CHANGES.values()))[0]
    return draw(journal, dice, mark)
