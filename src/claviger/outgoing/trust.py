"""Which certificates are good: those of one authority, or those that the machine trusts."""

from __future__ import annotations

import ssl


def trust(authority_pem: str | None) -> ssl.SSLContext:
    """What makes a server's certificate good: that authority alone, or what the machine trusts. Takes milliseconds.

    Raises ValueError for a PEM that holds no certificate.
    """
    if authority_pem is None:
        context = ssl.create_default_context()
    else:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        try:
            context.load_verify_locations(cadata=authority_pem)
        except (ssl.SSLError, UnicodeError) as problem:
            raise ValueError("not a certificate in PEM") from problem
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
