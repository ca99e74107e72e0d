"""Keeps what the drift list says of a key true while its record follows OCI.

A finding holds for as long as its record is as it was left by whatever only reads: synchronisation, or a look at one
key. So a look carries it along, with what is so now; what takes it off the list is that all is as it was before, or
that somebody here changes the key.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from claviger.cckm.drift.records import Finding
from claviger.cckm.drift.rules import DIFFERENT, MISSING
from claviger.cckm.oci.keys.rows import KeyRow
from claviger.cckm.oci.synchronization.comparing import followed
from claviger.cckm.oci.synchronization.records import FINDINGS
from claviger.cckm.oci.versions.rows import VersionRow
from claviger.store.contract import Tx


def finding_of(tx: Tx, row: KeyRow) -> Finding | None:
    """What the drift list says of a key; ask before the record is changed."""
    return FINDINGS.of(tx, row.vault_num, [row.ocid]).get(row.ocid)


def follow(tx: Tx, finding: Finding | None, key: KeyRow, versions: Sequence[VersionRow]) -> None:
    """Brings a finding to what the record and its versions say now, or ends it where all is as it was."""
    if finding is None:
        return
    fields = followed(finding.fields, key, versions)
    kind = DIFFERENT if finding.kind == MISSING and not key.gone else finding.kind
    if kind == DIFFERENT and not fields:
        FINDINGS.remove(tx, key.vault_num, [key.ocid])
        return
    after = msgspec.structs.replace(finding, name=key.name, kind=kind, fields=fields, record_at=key.updated_at)
    if after != finding:
        FINDINGS.put(tx, after)
