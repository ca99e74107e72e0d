"""The six calls of the crypto plane (OCI contract §9). None of them changes anything, so none takes a retry token."""

from __future__ import annotations

from claviger.ocikms.calls import Handler, Plane, Quick, Route, Verb
from claviger.ocikms.crypto.operations import Crypto


class CryptoRoutes:
    """Where each operation is."""

    def __init__(self, crypto: Crypto) -> None:
        self._crypto = crypto

    def routes(self) -> list[Route]:
        """All of them, recorded as reads: each reveals something, or makes something of a key."""
        return [
            _route("Encrypt", "encrypt", self._crypto.encrypt, self._crypto.encrypt_now),
            _route("Decrypt", "decrypt", self._crypto.decrypt, self._crypto.decrypt_now),
            _route("GenerateDataEncryptionKey", "generateDataEncryptionKey", self._crypto.generate_data_key),
            _route("Sign", "sign", self._crypto.sign, self._crypto.sign_now),
            _route("Verify", "verify", self._crypto.verify, self._crypto.verify_now),
            _route("ExportKey", "exportKey", self._crypto.export),
        ]


def _route(operation: str, name: str, handler: Handler, quick: Quick | None = None) -> Route:
    return Route(
        operation=operation,
        method="POST",
        path=f"/20180608/{name}",
        planes=(Plane.CRYPTO,),
        verb=Verb.USE,
        handler=handler,
        kind="read",
        subject_kind="key",
        body="json",
        quick=quick,
    )
