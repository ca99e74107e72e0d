"""The pure rules of moving vaults that no larger test shows."""

from __future__ import annotations

import pytest

from claviger.core.errors import Invalid
from claviger.keyvault.moving.rules import check_version


def test_a_wrong_version_is_not_quoted():
    assert check_version("0" * 32) == "0" * 32
    with pytest.raises(Invalid) as caught:
        check_version("a value in the wrong place")
    assert caught.value.facts == {"rule": "32 lower-case hex digits"}
