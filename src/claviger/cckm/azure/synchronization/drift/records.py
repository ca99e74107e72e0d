"""Where the drift of Azure's secrets is stored."""

from __future__ import annotations

from claviger.cckm.drift.records import Findings

FINDINGS = Findings("cckm_azure_drift", "name_key", "secret_id", "cckm_azure_secrets")
