"""Signs notices as Standard Webhooks 1.0 has it: HMAC-SHA256 over `id.timestamp.body`, by headers `webhook-*`.

While a secret is being changed there are two signatures, so that a receiver may know either.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Iterable


def headers_of(notice_id: str, at: int, body: bytes, keys: Iterable[bytes]) -> dict[str, str]:
    """The headers of one attempt. `at` is when it is made, by the receivers' clock: they refuse old ones."""
    content = b"%s.%d.%s" % (notice_id.encode(), at, body)
    signatures = [base64.b64encode(hmac.digest(key, content, "sha256")).decode() for key in keys]
    return {
        "webhook-id": notice_id,
        "webhook-timestamp": str(at),
        "webhook-signature": " ".join(f"v1,{signature}" for signature in signatures),
    }
