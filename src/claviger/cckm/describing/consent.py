"""The words of plans and of requests for approval; a part of the glossary."""

from __future__ import annotations

from collections.abc import Mapping

from claviger.cckm.describing.word import ID, UPDATED, Word

APPROVALS_AND_PLANS: Mapping[str, Word] = {
    "protected": Word("Whether several people must agree before anything in the vault is destroyed for good."),
    "hard_delete_quorum": Word(
        "How many different people must agree to destroy a secret in the vault, who asks included: 2 to 10, or null "
        "where one is enough. A protected vault has 2 unless it says otherwise.",
        2,
    ),
    "quorum": Word("How many different people must agree, who asks included.", 2),
    "agreed": Word("How many do, who asks included.", 1),
    "given": Word("Whether enough do."),
    "approvers": Word("Who else may agree, in words."),
    "approval_id": Word("Id of the request for approval that stands open for this very call, if there is one.", ID),
    "to_approve": Word("Whether it waits for the caller's vote."),
    "lapses_at": Word("Until when the request stands.", UPDATED),
    "votes": Word("What people have said to it; one vote each."),
    "agrees": Word("Whether the person agrees."),
    "voted_at": Word("When that was said."),
    "requested_by": Word("Id of the user who asks."),
    "requested_by_name": Word("Name of the user who asks."),
    "ApprovalObject.kind": Word("What kind of record it is.", "azure-secret"),
    "ApprovalObject.container_id": Word("Id of the vault in which it is to happen.", ID),
    "ApprovalObject.container": Word("Name of the vault in which it is to happen."),
    "ApprovalVote.reason": Word("Why the person refuses."),
    "RefuseApproval.reason": Word("Why it is refused."),
    "ApprovalShown.object": Word("The record that it is about."),
    "ApprovalShown.reason": Word("Why it was refused, or is no longer about what it was about."),
    "ApprovalShown.state": Word(
        "`pending`, `approved` (the call can be repeated), `used`, `refused`, `withdrawn`, `lapsed`, or `void` where "
        "what it is about was changed.",
        "pending",
    ),
    "ApprovalShown.action": Word("What is asked for.", "hard-delete"),
    "ApprovalShown.message": Word("What it would do."),
    "ApprovalShown.method": Word("Method of the call that waits.", "POST"),
    "ApprovalShown.path": Word("Path of the call that waits."),
    "ApprovalShown.ended_at": Word("When it ended; null while it stands."),
    "PlanApproval.action": Word("What needs the approval.", "hard-delete"),
    "PlanApproval.container": Word("Name of the vault in which it is to happen."),
    "PlanCall.method": Word("Method of the call.", "POST"),
    "PlanCall.path": Word("Path of the call.", f"/api/v1/cckm/azure/secrets/{ID}/hard-delete"),
    "PlanCall.query": Word("Query of the call: as it stands in a URL, or an object of names and values.", "wait=30"),
    "PlanCall.body": Word("Body of the call."),
    "Plan.method": Word("Method of the call.", "POST"),
    "Plan.path": Word("Path of the call.", f"/api/v1/cckm/azure/secrets/{ID}/hard-delete"),
    "Plan.summary": Word("What the call is for."),
    "Plan.allowed": Word("Whether the call would be carried out now."),
    "Plan.refusal": Word("How the call would be refused; null where it would not."),
    "Plan.permissions": Word("What the caller has to be or to have."),
    "Plan.approvals": Word("The consent of others that the call needs."),
    "Plan.effects": Word("What the call does."),
    "Plan.irreversible": Word("What cannot be undone, in sentences."),
    "Plan.status": Word("Status with which the call would answer.", 200),
    "PlanRefusal.status": Word("Status with which it would be refused.", 403),
    "PlanPermission.kind": Word("`members` of groups, `container` (its ACL decides), or `signed-in`.", "container"),
    "PlanPermission.groups": Word("Groups that may make the call."),
    "PlanPermission.actions": Word("What the ACL of the container has to give everybody else."),
    "PlanPermission.containers": Word("The containers whose ACL was asked."),
    "PlanPermission.held": Word("Whether the caller may; null where the call was refused before that was asked."),
    "PlanEffect.effect": Word("A word for what is done, for programs.", "azure-secret.hard-delete"),
    "PlanEffect.message": Word("What is done, in a sentence."),
    "PlanEffect.object": Word("What it is done to."),
    "PlanObject.kind": Word("What kind of record it is.", "azure-secret"),
    "PlanObject.container": Word("Name of the vault that it is in."),
    "reversible": Word("Whether it can be undone."),
    "undo": Word("How it is undone; null where nothing undoes it.", "restore"),
    "undo_until": Word("Until when it can be undone; null where there is no such end.", UPDATED),
    "final_in_cloud": Word("Whether the cloud itself can no longer give it back."),
    "facts": Word("What else is known, for programs."),
}
"""As `glossary.FIELDS`."""
