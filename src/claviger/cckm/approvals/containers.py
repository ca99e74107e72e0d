"""What is the same about protected vaults of every cloud: reading what is to be set, saying what is weaker, asking."""

from __future__ import annotations

from typing import Protocol

import msgspec

from claviger.cckm.approvals.guarding import Guard, Wanted, Wish
from claviger.cckm.approvals.rules import Protection, check_quorum
from claviger.store.contract import Tx


class Container(Protocol):
    """What a vault's record has in every cloud."""

    @property
    def id(self) -> str: ...
    @property
    def name(self) -> str: ...


def after(
    before: Protection, protected: bool | msgspec.UnsetType, quorum: int | msgspec.UnsetType | None
) -> Protection:
    """What is set after a change. Raises Invalid("Validation") for a quorum of less than two people."""
    kept = before.quorum if quorum is msgspec.UNSET else check_quorum(quorum, "hard_delete_quorum")
    return Protection(before.protected if protected is msgspec.UNSET else protected, kept)


def weakened(known: Protection, kept: Protection, thing: str) -> list[str]:
    """In words, what asks for less than before; `thing` is what lies in the vault, such as `a secret`."""
    words = []
    if known.protected and not kept.protected:
        words.append("is no longer protected")
    if kept.is_weaker_than(known) and known.in_force != kept.in_force:
        said = "one person" if kept.in_force is None else f"{kept.in_force} people"
        words.append(f"needs {said} instead of {known.in_force} to destroy {thing} in it")
    return words


def require(tx: Tx, guard: Guard | None, wish: Wish) -> None:
    """Raises Wanted unless enough people agree to the wish."""
    if guard is None:
        raise Wanted(wish)
    guard.require(tx, wish)


def require_for(
    tx: Tx, guard: Guard | None, action: str, kind: str, vault: Container, words: str, version: str, quorum: int
) -> None:
    """The same for what is done to a vault's own record; `version` is of all that the approval is bound to."""
    wish = Wish(
        action=action,
        words=words,
        kind=kind,
        ident=vault.id,
        name=vault.name,
        container_id=vault.id,
        container_name=vault.name,
        version=version,
        quorum=quorum,
    )
    require(tx, guard, wish)
