"""The guarantees of SECURITY.md name tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "SECURITY.md").read_text()
NAMED = sorted(set(re.findall(r"`(tests/[a-z_/]+\.py(?:::\w+)?)`", PAGE)))


@pytest.mark.parametrize("named", NAMED)
def test_a_named_test_exists(named: str) -> None:
    path, _, function = named.partition("::")
    assert (ROOT / path).is_file()
    if function:
        assert re.search(rf"def {function}\(", (ROOT / path).read_text())


def test_every_guarantee_names_a_test() -> None:
    guarantees = re.findall(r"\*\*G(\d+)\..*?(?=\n\*\*G|\n## )", PAGE, re.DOTALL)
    assert guarantees == [str(number) for number in range(1, len(guarantees) + 1)]
    for block in re.split(r"\n\*\*G\d+\.", PAGE.split("## Guarantees")[1].split("## What to know")[0])[1:]:
        assert "`tests/" in block, block[:80]
