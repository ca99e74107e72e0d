"""The words of notices; a part of the glossary."""

from __future__ import annotations

from collections.abc import Mapping

from claviger.cckm.describing.word import ID, Word

NOTICES: Mapping[str, Word] = {
    "url": Word("Where notices are sent to.", "https://hooks.example.com/claviger"),
    "types": Word("The types of notices that are wanted; empty for all.", ["near-expiry", "drift"]),
    "secret": Word("What notices are signed with: `whsec_` and 24 to 64 random bytes in base64."),
    "new_secret": Word("Whether to make another secret, which the answer shows."),
    "ca_certificate": Word("Authority of the receiver's certificate, PEM; empty for what the server's machine trusts."),
    "expiry_days": Word(
        "How many days ahead expiries are told; 1 to 10 numbers from 1 to 365. Left out at first: 30, 7 and 1.", [60, 7]
    ),
    "final_days": Word(
        "How many days ahead ends of retention are told; 1 to 10 numbers from 1 to 90. Left out at first: 7 and 1.",
        [7, 1],
    ),
    "NoticeSubscription.disabled": Word("Whether nothing is sent."),
    "NewNoticeSubscription.disabled": Word("Whether nothing is sent."),
    "NoticeSubscriptionChange.disabled": Word("Whether nothing is sent."),
    "disabled_reason": Word("`gone` where the receiver itself ended it; empty otherwise."),
    "waiting": Word("How many notices wait for it."),
    "dropped": Word("How many notices found no room, since too many waited."),
    "resumes_at": Word("Until when the receiver is left alone."),
    "last_delivered_at": Word("When the receiver last took a notice."),
    "last_failed_at": Word("When the receiver last did not take a notice."),
    "last_error": Word("Why the last attempt that failed did."),
    "NoticeDelivery.subscription_id": Word("Id of the subscription to notices.", ID),
    "notice_id": Word("Id of the event, the same for all attempts and receivers.", ID),
    "NoticeDelivery.type": Word("Type of the notice.", "near-expiry"),
    "subject": Word("What it is about; mostly the uri of a record."),
    "object_key": Word("What is kept in order: notices of one key reach a receiver one after the other."),
    "NoticeDelivery.data": Word("What the notice says."),
    "NoticeDelivery.state": Word("`waiting`, `delivered` or `dead`.", "delivered"),
    "attempts": Word("How often it was tried."),
    "next_attempt_at": Word("When it is tried again."),
    "last_status": Word("Status of the receiver's last answer.", 204),
    "ended_at": Word("When it was delivered or given up."),
}
"""By the name on the wire, as in `glossary.FIELDS`."""

NOTICES_SEGMENTS: Mapping[str, str] = {"deliveries": "Id of the delivery."}

NOTICES_TAGS: Mapping[str, str] = {
    "notices": "Webhooks that tell other systems what happened, and what is about to: CloudEvents, signed.",
}
