"""The backup that goes before a key's deletion, of an OCI that takes longer than anybody waits."""

from __future__ import annotations

from typing import Any

import pytest

from claviger.cckm.oci.keys import acts
from claviger.cckm.oci.keys.cloud import VaultKeys
from claviger.cckm.oci.keys.work import Material, Work
from claviger.core.errors import Unavailable


class Slow(VaultKeys):
    """OCI that takes a backup, and is not done with it; anything else that it is asked fails."""

    def __init__(self) -> None:
        self.tokens: list[str] = []

    async def backup(self, ocid: str, namespace: str, bucket: str, name: str, token: str) -> Any:
        self.tokens.append(token)
        return await self.get(ocid)

    async def get(self, ocid: str) -> Any:
        return type("Key", (), {"state": "BACKUP_IN_PROGRESS"})()


class Steps:
    """Nothing is reached."""

    def now(self) -> float:
        return 1_790_000_000.0

    async def reached(self, point: str) -> None:
        raise AssertionError(point)

    async def keep_backup(self) -> None:
        raise AssertionError("it is not taken yet")


async def test_one_that_takes_long_stays_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acts, "BACKUP_LIMIT_S", -1.0)
    cloud, work = (
        Slow(),
        Work(
            operation="schedule-deletion",
            vault_id="v",
            domain_id="d",
            user_id="u",
            name="key",
            key_id="k",
            ocid="ocid1.key.oc1.iad.a.b",
            days=7,
            backup="space/bucket/object",
            token="token",
        ),
    )
    for _ in range(2):  # whoever finishes it asks by the same token, so OCI does it once
        with pytest.raises(Unavailable, match="CloudUndecided"):
            await acts.schedule_deletion(cloud, work, Material(), Steps())
    assert cloud.tokens == ["token-backup", "token-backup"]
