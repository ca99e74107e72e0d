"""Signed requests to the embedded OCI as an ASGI application, without sockets: what the official SDK puts on the wire.

`Signing.headers` signs as the SDK does (OCI contract §13.1), with nothing of the product's own code.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from email.utils import formatdate
from hashlib import sha256
from typing import Any
from urllib.parse import urlsplit

import httpx
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from claviger.core.asgi import Application
from claviger.core.clock import Clock

GET_NAMES = ("date", "(request-target)", "host")
POST_NAMES = (*GET_NAMES, "content-length", "content-type", "x-content-sha256")

EXAMPLE_KEY = """-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEArVby9y+5hBWHKM9Zst1x
9cD4WDFUu/Go8XF1chztxW+N7+E0w7q0Bzvr3EADSkv7+9xaLS7ONqfYKZTUeqn3
Nk0dtxLSICgXPPe+jr/Xfpe7DB/Jf7BNZw4/K0EdeYWxBfhNbRwO4rgWfPRDB95U
Abn9KthUWnJEn3602KLxEi0McO0lsWHyfeGlXvYNTtwlHnDmxS3nhGgPfl1O7EWM
BGCYPL2PKml1PhXYgLPYuG+krR/oPKiw+9NNZj/s2YrSZ/kQ4UAv2f/LznXu1ae5
P/xTvyNfLh2udrDo8Pc2kCr3l6xdc3qByfa6Tkc/oJ7DAhO/DSbRXLqsCa/VgjJr
aQIDAQAB
-----END PUBLIC KEY-----
"""
EXAMPLE_FINGERPRINT = "f5:e3:8c:12:9d:57:3f:2d:c0:cd:58:13:1d:4d:07:33"
"""The key of Oracle's own examples (OCI contract §13.3), and its fingerprint."""


class Signing:
    """One user's API key. `machine` is the clock that dates requests."""

    def __init__(self, tenancy_id: str, user_id: str, fingerprint: str, private_pem: bytes, machine: Clock) -> None:
        self.tenancy_id = tenancy_id
        self.user_id = user_id
        self.key_id = f"{tenancy_id}/{user_id}/{fingerprint}"
        self._machine = machine
        key = load_pem_private_key(private_pem, None)
        assert isinstance(key, RSAPrivateKey)
        self._key = key

    def headers(
        self, method: str, url: str, body: bytes | None = None, more: Mapping[str, str] | None = None
    ) -> dict[str, str]:
        """All headers of a request; `more` are those that are not signed."""
        parts = urlsplit(url)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        given = {
            "date": formatdate(self._machine.now(), usegmt=True),
            "host": parts.netloc,
            "content-type": "application/json",
        }
        names: tuple[str, ...] = GET_NAMES
        if method in ("POST", "PUT", "PATCH"):
            content = body or b""
            given["content-length"] = str(len(content))
            given["x-content-sha256"] = base64.b64encode(sha256(content).digest()).decode()
            names = POST_NAMES
        values = {**given, "(request-target)": f"{method.lower()} {target}"}
        text = "\n".join(f"{name}: {values[name]}" for name in names)
        signature = base64.b64encode(self._key.sign(text.encode(), PKCS1v15(), SHA256())).decode()
        given["authorization"] = (
            f'Signature algorithm="rsa-sha256",headers="{" ".join(names)}",keyId="{self.key_id}",'
            f'signature="{signature}",version="1"'
        )
        return {**given, **(more or {})}


class OciClient:
    """Asks one application on one user's behalf; `hosts` have this port in every URL."""

    def __init__(self, app: Application, signing: Signing | None, port: int = 8443) -> None:
        front: Any = app
        self.signing = signing
        self._port = port
        self._http = httpx.AsyncClient(transport=httpx.ASGITransport(app=front))

    async def ask(
        self, method: str, host: str, target: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        """One request, signed where there is somebody to sign it. `body` is JSON, or bytes as they are."""
        url = f"https://{host}:{self._port}{target}"
        content = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        sent = dict(headers or {})
        if self.signing is not None:
            sent = self.signing.headers(method, url, content, sent)
        return await self._http.request(method, url, content=content, headers=sent)


def code_of(answer: httpx.Response) -> tuple[int, str]:
    """Status and code of a refusal, which must have OCI's shape in every part."""
    told = answer.json()
    assert set(told) == {"code", "message"}
    assert isinstance(told["message"], str)
    assert told["message"]
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["opc-request-id"]
    return answer.status_code, str(told["code"])
