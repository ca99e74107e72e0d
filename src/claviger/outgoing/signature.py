"""Signs webhooks as Standard Webhooks 1.0 has it: HMAC-SHA256 over `id.timestamp.body`, by headers `webhook-*`.

While a secret is being changed there are two signatures, so that a receiver may know either.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Iterable


def headers_of(ident: str, at: int, body: bytes, keys: Iterable[bytes]) -> dict[str, str]:
    """The headers of one attempt. `at` is when it is made, by the receivers' clock: they refuse old ones.

    Without a key there is no signature.
    """
    content = b"%s.%d.%s" % (ident.encode(), at, body)
    signatures = [base64.b64encode(hmac.digest(key, content, "sha256")).decode() for key in keys]
    headers = {"webhook-id": ident, "webhook-timestamp": str(at)}
    if signatures:
        headers["webhook-signature"] = " ".join(f"v1,{signature}" for signature in signatures)
    return headers
