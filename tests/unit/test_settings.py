"""Settings that are about where this server sends something: what is taken, what is refused, and what shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from claviger.core.errors import Misconfigured
from claviger.settings import load_settings

HOOK = "https://witness.example.com/in?token=hush"
SECRET = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="


def test_a_witness_by_webhook_and_nothing_secret_of_it_shows(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(f"{SECRET}\n")
    found = load_settings(
        {"CLAVIGER_AUDIT_WITNESS_URL": HOOK, "CLAVIGER_AUDIT_WITNESS_SECRET_FILE": str(tmp_path / "secret")}
    )
    assert found.audit_witness_url is not None
    assert found.audit_witness_secret is not None
    assert (found.audit_witness_url.reveal_text(), found.audit_witness_secret.reveal_text()) == (HOOK, SECRET)
    assert "hush" not in repr(found)
    assert "AAECAw" not in repr(found)


@pytest.mark.parametrize(
    ("name", "text", "beside"),
    [
        ("AUDIT_WITNESS_URL", "http://witness.example.com/hush", {}),
        ("AUDIT_WITNESS_URL", "https://user:hush@witness.example.com/", {}),
        ("AUDIT_WITNESS_URL", "https://169.254.169.254/hush", {}),
        ("AUDIT_WITNESS_URL", "witness.example.com/hush", {}),
        ("AUDIT_WITNESS_SECRET", "hush", {"CLAVIGER_AUDIT_WITNESS_URL": HOOK}),
        ("AUDIT_WITNESS_SECRET", SECRET, {}),
        ("AUDIT_WITNESS_CA", "/etc/hosts", {}),
        ("NOTICES_SOURCE", "https://here/?a=b", {}),
        ("NOTICES_SOURCE", "two words", {}),
        ("NOTICES_SOURCE", "x" * 257, {}),
    ],
)
def test_what_cannot_be_used_is_refused_by_name(name: str, text: str, beside: dict[str, str]) -> None:
    with pytest.raises(Misconfigured) as caught:
        load_settings({f"CLAVIGER_{name}": text, **beside})
    assert caught.value.facts["setting"] == f"CLAVIGER_{name}"
    assert "hush" not in str(caught.value.facts)
