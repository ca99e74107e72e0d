"""Who may approve: admins of the domain's clouds, and whoever the container lets destroy what is in it and may sign in.

It is asked of the rows within a change, both where a vote is given and where it is counted: who has lost the right in
between, was locked out or removed, does not count. The groups are the person's own: those of a program that acts for
him do not make him an approver.
"""

from __future__ import annotations

from claviger.cckm.access.acls import records as acls
from claviger.cckm.access.acls.rules import group_grantee, user_grantee
from claviger.cckm.access.groups import records as groups
from claviger.cckm.access.users import records as users
from claviger.cckm.approvals.records import Approval
from claviger.cckm.approvals.rules import RIGHTS, cloud_of
from claviger.cckm.calls import ADMINS, CCKM_ADMINS
from claviger.store.contract import Tx


def words_of(kind: str) -> str:
    """Who may approve what is about something of a kind."""
    return f"a member of {CCKM_ADMINS} or {ADMINS}, or whoever has {RIGHTS[cloud_of(kind)].action} in it"


def may_approve(tx: Tx, user_id: str, approval: Approval, now: float) -> bool:
    """Whether a user may approve what a request is about. `now` is the time that lock-outs go by."""
    domain_id, container_id = approval.domain_id, approval.container_id
    user = users.get(tx, user_id)
    if user is None or user.password_change_required or user.locked_until > now:
        return False
    own = groups.of_user(tx, domain_id, user_id)
    if user.domain_id != domain_id and not own:
        return False
    if own & {ADMINS, CCKM_ADMINS}:
        return True
    permitted: set[str] = set()
    for grantee in (user_grantee(user_id), *map(group_grantee, own)):
        permitted |= acls.actions_of(tx, container_id, grantee)
    return permitted.issuperset(RIGHTS[cloud_of(approval.subject_kind)])


def agreeing(tx: Tx, approval: Approval, now: float) -> list[str]:
    """The people whose approval counts now, by id; never who has asked himself."""
    return [
        vote.user_id
        for vote in approval.votes
        if vote.agrees and vote.user_id != approval.requester and may_approve(tx, vote.user_id, approval, now)
    ]
