"""Requests to the embedded OCI, signed as its official SDKs sign them, as bytes for whoever sends them.

A signature is good for five minutes around its date and says nothing about how often the request may come, so a pool of
requests that was signed just before can be replayed by a load generator. Nothing here is the product's own code.
"""

from __future__ import annotations

import base64
import configparser
from collections.abc import Mapping, Sequence
from email.utils import formatdate
from hashlib import sha256
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

Header = tuple[str, str]
Headers = list[Header]

GET_NAMES = ("date", "(request-target)", "host")
POST_NAMES = (*GET_NAMES, "content-length", "content-type", "x-content-sha256")
WITH_BODY = ("POST", "PUT", "PATCH")


class Signer:
    """One user's API key (OCI contract §13.1). `private_pem` is an RSA key."""

    def __init__(self, tenancy_id: str, user_id: str, fingerprint: str, private_pem: bytes) -> None:
        self.tenancy_id = tenancy_id
        self.user_id = user_id
        self.key_id = f"{tenancy_id}/{user_id}/{fingerprint}"
        key = load_pem_private_key(private_pem, None)
        assert isinstance(key, RSAPrivateKey)
        self._key = key

    @classmethod
    def from_profile(cls, path: Path) -> Signer:
        """The user of an `oci` configuration file, as `claviger env` writes one."""
        profile = configparser.ConfigParser()
        profile.read_string(path.read_text())
        told = profile["DEFAULT"]
        pem = Path(told["key_file"]).read_bytes()
        return cls(told["tenancy"], told["user"], told["fingerprint"], pem)

    @property
    def public_pem(self) -> str:
        """The public half."""
        return self._key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()

    def signature(self, names: tuple[str, ...], values: Mapping[str, str]) -> str:
        """The signature over these lines, in base64."""
        text = "\n".join(f"{name}: {values[name]}" for name in names)
        return base64.b64encode(self._key.sign(text.encode("latin-1"), PKCS1v15(), SHA256())).decode()

    def authorization(self, names: tuple[str, ...], values: Mapping[str, str]) -> str:
        """The Authorization header for these lines; `(request-target)` is one of the values."""
        return (
            f'Signature algorithm="rsa-sha256",headers="{" ".join(names)}",keyId="{self.key_id}",'
            f'signature="{self.signature(names, values)}",version="1"'
        )

    def headers(self, method: str, host: str, target: str, body: bytes | None, at: float) -> Headers:
        """All headers that a request dated `at` (epoch seconds) needs; `host` with its port."""
        given = {"host": host, "date": formatdate(at, usegmt=True), "content-type": "application/json"}
        names: tuple[str, ...] = GET_NAMES
        if method in WITH_BODY:
            content = body or b""
            given["content-length"] = str(len(content))
            given["x-content-sha256"] = base64.b64encode(sha256(content).digest()).decode()
            names = POST_NAMES
        values = {**given, "(request-target)": f"{method.lower()} {target}"}
        return [*given.items(), ("authorization", self.authorization(names, values))]

    def request(
        self, method: str, host: str, target: str, body: bytes | None, at: float, more: Sequence[Header] = ()
    ) -> bytes:
        """The whole request; `more` are headers that are not signed."""
        return written(method, target, [*self.headers(method, host, target, body, at), *more], body)


def written(method: str, target: str, headers: Sequence[Header], body: bytes | None) -> bytes:
    """A request as it stands on the wire."""
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers)]
    return "\r\n".join([*lines, "", ""]).encode("latin-1", "replace") + (body or b"")
