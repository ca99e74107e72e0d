"""One of the clients of OCI's crash trial: changes a vault of its own as fast as it can, and looks at it afterwards.

The vault is nobody else's, so after a crash exactly one change a writer is in doubt. Every POST carries a retry token;
what was in doubt is now and then asked for once more with the same token, as clients do: then it has happened, once.
"""

from __future__ import annotations

import base64
import json
import random
import time
from typing import Any

from bench.client import Answer, Client, Lost
from bench.oci_signing import Signer
from figures.ocichanges import next_change
from figures.ocijournal import Change, Journal, KeySeen, Known, SecretSeen, Seen, is_full, judge
from figures.ocioperations import OPERATIONS, host, prefix_of

NEW_VAULT_AFTER = 150
WITHOUT_TOKEN = frozenset({"ScheduleSecretDeletion", "CancelSecretDeletion"})
"""The POSTs that take none (§10)."""


def _takes_token(change: Change) -> bool:
    return OPERATIONS[change.name].method == "POST" and change.name not in WITHOUT_TOKEN


class Unexpected(RuntimeError):
    """An answer that a server in good health does not give here."""


class OciWriter:
    """Owns the first of its `compartments` and a vault in it. `findings` are (kind, detail) pairs.

    `doubts_count` changes were cut off by a crash; `happened_count` of them had been carried out, and `again_count`
    were asked for once more with their retry token.
    """

    def __init__(self, number: int, seed: int, client: Client, signer: Signer, compartments: tuple[str, ...]) -> None:
        self.client = client
        self.stopping = False
        self.acknowledged_count = self.doubts_count = self.happened_count = self.again_count = 0
        self.findings: list[tuple[str, str]] = []
        self._dice = random.Random(f"oci/{seed}/{number}")
        self._number = number
        self._signer = signer
        self._compartments = compartments
        self._journal = self._fresh()
        self._doubt: tuple[Change, Journal, str] | None = None
        self._made = 0
        self._in_vault = 0
        self._left: set[str] = set()
        self._kept: dict[str, tuple[str, str]] = {}

    def _fresh(self) -> Journal:
        return Journal(int(time.time()), self._compartments)

    # ------------------------------------------------------------------ changing

    async def work(self) -> None:
        """Makes changes until the connection is lost or `stopping` is set."""
        while not self.stopping:
            if self._in_vault >= NEW_VAULT_AFTER and is_full(self._journal):
                self._leave()
            self._made += 1
            self._in_vault += 1
            mark = f"w{self._number}n{self._made}"
            self._journal.model.now = int(time.time())
            change, after = next_change(self._journal, self._dice, mark)
            self._doubt = change, after, f"token-{mark}"
            try:
                await self._carry_out(change, after, f"token-{mark}")
                self._journal, self._doubt = after, None
                self.acknowledged_count += 1
                await self._use()
            except Lost:
                return
            except Unexpected as problem:
                self.findings.append(("wrong answer", f"{mark}: {problem}"))
                self._leave()
                return

    def _leave(self) -> None:
        """Begins with a new vault; the old one is looked at no more."""
        self._left |= {self._journal.vault.ident} if self._journal.vault else set()
        self._journal, self._doubt, self._in_vault, self._kept = self._fresh(), None, 0, {}

    async def _carry_out(self, change: Change, after: Journal, token: str) -> None:
        answer = await self._ask(change.name, *change.idents, body=change.body, vault=change.vault, token=token)
        if answer.status != 200:
            raise Unexpected(f"{change.name} was answered {answer.status} {answer.body[:300]!r}")
        told = json.loads(answer.body) if answer.body else {}
        assert after.vault is not None
        for key in after.vault.keys:
            key.current.ident = key.current.ident or told["currentKeyVersion" if not key.ident else "id"]
        things: tuple[Known, ...] = (after.vault, *after.vault.keys, *after.secrets)
        for thing in things:
            thing.ident = thing.ident or told["id"]

    async def _use(self) -> None:
        """Now and then encrypts something with a key that can be used; it must open again as long as that is so."""
        if self._dice.random() > 0.15:
            return
        usable = [key for key in self._open_keys() if key.current.ident not in self._kept]
        if usable:
            key = self._dice.choice(usable)
            content = base64.b64encode(self._dice.randbytes(30)).decode()
            body = {"keyId": key.ident, "plaintext": content}
            told = await self._must("Encrypt", body=body, vault=prefix_of(key.ident))
            self._kept[told["keyVersionId"]] = told["ciphertext"], content

    def _open_keys(self) -> list[Any]:
        vault, now = self._journal.vault, self._journal.model.now
        if vault is None or vault.own(now) != "ACTIVE":
            return []
        return [key for key in vault.keys if key.algorithm == "AES" and key.shown(now) == "ENABLED"]

    # ------------------------------------------------------------------ looking

    async def look(self) -> None:
        """Compares the vault with what was acknowledged, and takes over what became of the change in doubt."""
        self._journal.model.now = int(time.time())
        before, after = self._journal, None
        try:
            if self._doubt is not None:
                change, after, token = self._doubt
                self.doubts_count += 1
                if _takes_token(change) and self._dice.random() < 0.4:
                    self.again_count += 1
                    await self._carry_out(change, after, token)
                    before, after = after, None
            verdict = judge(before, after, await self._seen())
            if verdict.finding:
                self.findings.append((verdict.finding, f"writer {self._number}: {verdict.detail}"))
                self._leave()
                return
            self.happened_count += after is not None and verdict.journal.seen() != before.seen()
            self._journal, self._doubt = verdict.journal, None
            await self._open_all()
        except Unexpected as problem:
            self.findings.append(("half-written", f"writer {self._number}: {problem}"))
            self._leave()

    async def _open_all(self) -> None:
        """What was encrypted opens wherever its version can be used."""
        now = self._journal.model.now
        for key in self._open_keys():
            for version in key.versions:
                kept = self._kept.get(version.ident)
                if kept is not None and version.shown(now) == "ENABLED":
                    body = {"keyId": key.ident, "ciphertext": kept[0]}
                    told = await self._must("Decrypt", body=body, vault=prefix_of(key.ident))
                    if told["plaintext"] != kept[1]:
                        raise Unexpected(f"{version.ident} decrypts to {told['plaintext']!r}")

    async def _seen(self) -> Seen:
        vault = await self._vault()
        if vault is None:
            return Seen()
        prefix = prefix_of(vault["id"])
        keys: dict[str, KeySeen] = {}
        for compartment in self._compartments:
            for one in await self._listed("ListKeys", compartmentId=compartment, vault=prefix):
                keys[one["id"]] = await self._key(one["id"], prefix)
        secrets = {}
        for one in await self._listed("ListSecrets", compartmentId=self._compartments[0], vaultId=vault["id"]):
            secrets[one["id"]] = await self._secret(one["id"])
        place = vault["lifecycleState"], vault["compartmentId"], vault["displayName"], vault["timeOfDeletion"]
        return Seen(vault["id"], *place, keys, secrets)

    async def _vault(self) -> Any:
        """The vault; the one that is new in the own compartment, where its OCID was never told."""
        known = self._journal.vault or (self._doubt[1].vault if self._doubt else None)
        if known is not None and known.ident:
            return await self._must("GetVault", known.ident)
        listed = await self._listed("ListVaults", compartmentId=self._compartments[0])
        fresh = [one["id"] for one in listed if one["id"] not in self._left]
        if len(fresh) > 1:
            raise Unexpected(f"{len(fresh)} new vaults")
        return await self._must("GetVault", fresh[0]) if fresh else None

    async def _key(self, ident: str, prefix: str) -> KeySeen:
        told = await self._must("GetKey", ident, vault=prefix)
        versions = await self._listed("ListKeyVersions", ident, vault=prefix)
        return KeySeen(
            told["lifecycleState"],
            told["compartmentId"],
            told["displayName"],
            told["timeOfDeletion"],
            told["currentKeyVersion"],
            tuple((one["id"], one["lifecycleState"], one["timeOfDeletion"]) for one in versions),
        )

    async def _secret(self, ident: str) -> SecretSeen:
        told = await self._must("GetSecret", ident)
        count = len(await self._listed("ListSecretVersions", ident))
        contents: list[str] | None = []
        for number in range(1, count + 1):
            answer = await self._ask("GetSecretBundle", ident, query={"versionNumber": number})
            if answer.status == 404:
                contents = None
                break
            assert contents is not None
            contents.append(json.loads(answer.body)["secretBundleContent"]["content"])
        place = told["secretName"], told["lifecycleState"], told["timeOfDeletion"], count
        return SecretSeen(*place, None if contents is None else tuple(contents))

    # ------------------------------------------------------------------ asking

    async def _listed(self, name: str, *idents: str, vault: str = "", **query: object) -> list[Any]:
        found: list[Any] = await self._must(name, *idents, vault=vault, query={"limit": 1000, **query})
        return found

    async def _must(self, name: str, *idents: str, **given: Any) -> Any:
        answer = await self._ask(name, *idents, **given)
        if answer.status != 200:
            raise Unexpected(f"{name} was answered {answer.status} {answer.body[:300]!r}")
        return json.loads(answer.body)

    async def _ask(
        self, name: str, *idents: str, body: Any = None, query: Any = None, vault: str = "", token: str = ""
    ) -> Answer:
        operation = OPERATIONS[name]
        content = None if body is None else json.dumps(body).encode()
        place = f"{host(operation.plane, vault)}:{self.client.port}"
        more = [("opc-retry-token", token)] if token and operation.method == "POST" else []
        target = operation.target(*idents, query=query)
        raw = self._signer.request(operation.method, place, target, content, time.time(), more)
        return await self.client.exchange(raw)
