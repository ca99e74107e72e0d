"""Pages drawn from the code are those of the code as it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.document import ROOT, pages


@pytest.mark.parametrize("name", sorted(pages()))
def test_a_drawn_page_is_fresh(name: str) -> None:
    written = (Path(ROOT) / name).read_text()
    assert written == pages()[name], f"write {name} anew: make docs"
