"""What a change of an ACL does, for plans."""

from __future__ import annotations

from collections.abc import Sequence

from claviger.cckm.access.acls.wire import AclEntry
from claviger.cckm.planning.draft import Effect


def acls_changed(kind: str, ident: str, name: str, entries: Sequence[AclEntry]) -> Effect:
    """Users and groups may do more or less in a vault of this kind."""
    told = [
        f"{'group ' + entry.group if entry.group else 'user ' + str(entry.user_id)} "
        f"{'may' if entry.permit else 'may no longer'} {', '.join(entry.actions)}"
        for entry in entries
    ]
    words = f"in the vault {name}: " + ("; ".join(told[:20]) or "nothing changes")
    return Effect(
        what=f"{kind}.update-acls",
        words=words + ("; ..." if len(told) > 20 else ""),
        kind=kind,
        ident=ident,
        name=name,
        undo="update-acls with permit the other way round",
        facts={"entry_count": len(entries)},
    )
