"""A vault with a key and its secrets on a desk (`tests/ocikms.py`)."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from claviger.ocikms.secrets.routes import SecretRoutes
from tests.ocicrypto import Shop, open_shop
from tests.ocikms import Desk, Told


def b64(content: str | bytes) -> str:
    return base64.b64encode(content.encode() if isinstance(content, str) else content).decode()


class Safe:
    """One vault, one AES key, and short words for what one does with secrets there."""

    def __init__(self, shop: Shop, settle_s: float) -> None:
        self.shop = shop
        self.desk: Desk = shop.desk
        self.ask, self.refusal, self.pages = shop.desk.ask, shop.desk.refusal, shop.desk.pages
        self.key_id = ""
        shop.desk.add(SecretRoutes(shop.desk.store, shop.desk.keyring, settle_s=settle_s).routes())

    async def open(self) -> None:
        self.key_id = (await self.shop.key())["id"]

    def body(self, name: str = "login", content: str | None = "hush", **more: Any) -> dict[str, Any]:
        """The body of CreateSecret."""
        body: dict[str, Any] = {
            "compartmentId": self.desk.production,
            "secretName": name,
            "vaultId": self.shop.vault_id,
            "keyId": self.key_id,
        }
        if content is not None:
            body["secretContent"] = self.content(content)
        return {**body, **more}

    @staticmethod
    def content(content: str, **more: Any) -> dict[str, Any]:
        return {"contentType": "BASE64", "content": b64(content), **more}

    async def made(self, name: str = "login", content: str | None = "hush", **more: Any) -> str:
        """The OCID of a new secret."""
        return str((await self.ask("CreateSecret", body=self.body(name, content, **more)))["id"])

    async def uploaded(self, secret_id: str, content: str, **more: Any) -> Told:
        """The secret with one version more."""
        return await self.ask("UpdateSecret", secret_id, body={"secretContent": self.content(content, **more)})

    async def text(self, secret_id: str, **query: Any) -> str:
        """The content that the retrieval plane gives."""
        told = await self.ask("GetSecretBundle", secret_id, query=query)
        return base64.b64decode(told["secretBundleContent"]["content"], validate=True).decode()

    async def stages(self, secret_id: str) -> dict[int, list[str]]:
        """The stages of all versions, the newest first."""
        told = await self.ask("ListSecretVersions", secret_id)
        return {one["versionNumber"]: one["stages"] for one in told.json}


@asynccontextmanager
async def open_safe(url: str, *, settle_s: float = 0.0) -> AsyncIterator[Safe]:
    """A safe on an empty database."""
    async with open_shop(url) as shop:
        safe = Safe(shop, settle_s)
        await safe.open()
        yield safe
