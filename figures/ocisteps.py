"""The steps of the walk: each asks the embedded OCI for one thing, and the model what must come of it.

`Walker.step` carries out a step by its name. What is asked for is drawn by chance: things of any state, dates in and
just outside of the window, wrong etags, retry tokens that come twice, callers without the right.
"""

from __future__ import annotations

import base64
import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol, TypeVar

from figures.answers import Answer
from figures.ocidesk import MANAGER, READER, OciDesk, code_of
from figures.ocimodel import (
    DAY_S,
    FINE,
    GONE,
    LEAST_S,
    MOST_S,
    TOLERANCE_S,
    Expected,
    Key,
    Model,
    Thing,
    Vault,
    Version,
)
from figures.ocioperations import OPERATIONS, prefix_of

STEPS: Mapping[str, int] = {
    "create_vault": 3, "update_vault": 2, "schedule_vault": 3, "cancel_vault": 5, "move_vault": 2, "read_vault": 2,
    "create_key": 8, "update_key": 4, "enable_key": 5, "disable_key": 5, "schedule_key": 6, "cancel_key": 6,
    "move_key": 3, "read_key": 6, "rotate": 7, "schedule_version": 6, "cancel_version": 5, "read_version": 3,
    "encrypt": 6, "decrypt": 8, "sign": 4, "verify": 4, "clock": 14,
}  # fmt: skip
"""Name of a step -> how often, compared with the others."""
SHAPES: Mapping[str, dict[str, Any]] = {
    "AES": {"algorithm": "AES", "length": 32},
    "ECDSA": {"algorithm": "ECDSA", "length": 32, "curveId": "NIST_P256"},
}
NO_SHAPE = {"algorithm": "AES", "length": 33}
SIGNING = "ECDSA_SHA_256"
NOBODYS_ETAG = "0" * 40
OUTSIDE = Expected(412, "NoEtagMatch")
REUSED = Expected(409, "InvalidatedRetryToken")
MOST_KEPT = 400
WITHOUT_ETAG = frozenset({"CreateKeyVersion"})
"""Changes of a thing that take no if-match (§5)."""
T = TypeVar("T", Vault, Key, Version)
CLOCK = ("seconds", "minutes", "edge", "hours", "days", "weeks")


class Counts(Protocol):
    """Where a walk is counted."""

    steps: Any
    accepted: Any
    refused: Any
    findings: list[tuple[str, str]]


@dataclass(frozen=True)
class Kept:
    """What was encrypted or signed, and what with."""

    key: Key
    version: Version
    made: str
    content: str


class Walker:
    """Walks. `desk` is set anew whenever the server has come back."""

    def __init__(self, model: Model, dice: random.Random, report: Counts) -> None:
        self.model = model
        self.etags: dict[str, dict[str, tuple[int, str]]] = {}
        self.desk: OciDesk
        self._dice = dice
        self._report = report
        self._ciphertexts: list[Kept] = []
        self._signatures: list[Kept] = []
        self._told: dict[int, tuple[int, str, str]] = {}
        self._tokens = 0

    async def step(self, name: str) -> None:
        """One step."""
        self._report.steps[name] += 1
        if name == "clock":
            self.move_clock()
        else:
            await getattr(self, f"_{name}")()

    # ------------------------------------------------------------------ chance

    def move_clock(self) -> None:
        """On by seconds up to weeks; to the very edge of a date, or just past a state that passes."""
        dice, now = self._dice, self.model.now
        kind = dice.choices(CLOCK, (8, 8, 6, 4, 2, 1))[0]
        on = {"seconds": 60, "minutes": 3600, "hours": DAY_S, "days": 7 * DAY_S, "weeks": 40 * DAY_S}
        ahead = self.model.dates(lambda date: date > now + 1)
        if kind == "edge" and ahead:
            near = ahead[: 1 + len(ahead) // 2]
            self.model.now = max(now, dice.choice(near) + dice.choice((-1, 0, 1)))
        else:
            self.model.now = now + dice.randrange(1, on.get(kind, 60))
        self.desk.clock.set(float(self.model.now))

    def _one(self, things: list[T], wanted: str) -> T:
        """One of these: more often than not one in the state that is wanted, if any, and seldom a deleted one."""
        now, dice = self.model.now, self._dice
        living = [one for one in things if one.shown(now) != "DELETED"]
        fitting = [one for one in living if one.shown(now) == wanted] if dice.random() < 0.6 else []
        return dice.choice(fitting or (living if dice.random() < 0.97 else []) or things)

    def _vault(self, wanted: str = "") -> Vault:
        return self._one(self.model.vaults, wanted)

    def _key(self, wanted: str = "") -> Key:
        return self._one(list(self.model.all_keys()), wanted)

    def _version(self, wanted: str = "") -> Version:
        keys = [key for key in self.model.all_keys() if key.shown(self.model.now) != "DELETED"]
        return self._one([version for key in keys or self.model.all_keys() for version in key.versions[-5:]], wanted)

    def _compartment(self) -> str:
        return self._dice.choice(list(self.desk.product.compartments.values()))

    def _date(self) -> tuple[int | None, dict[str, Any]]:
        """A date to ask for, and the body that asks for it."""
        dice, now = self._dice, self.model.now
        edges = (LEAST_S - TOLERANCE_S - 1, LEAST_S - TOLERANCE_S, LEAST_S, MOST_S, MOST_S + TOLERANCE_S + 1)
        asked = None
        if dice.random() < 0.75:
            asked = now + (dice.choice(edges) if dice.random() < 0.3 else dice.randrange(LEAST_S, MOST_S))
        return asked, {} if asked is None else {"timeOfDeletion": moment(asked)}

    # ------------------------------------------------------------------ asking

    async def _change(
        self, name: str, thing: Thing, idents: tuple[str, ...], body: Any, vault: str, decide: Any
    ) -> Answer | None:
        """A change of something that is there; `decide` asks the model. None where it was refused before that."""
        dice, operation = self._dice, OPERATIONS[name]
        caller, headers = MANAGER, {}
        if dice.random() < 0.02:
            caller = READER
        elif name not in WITHOUT_ETAG and dice.random() < 0.06:
            headers["if-match"] = NOBODYS_ETAG
        elif name not in WITHOUT_ETAG and dice.random() < 0.12:
            headers["if-match"] = await self._etag_of(thing)
        if operation.method == "POST" and dice.random() < 0.1:
            self._tokens += 1
            headers["opc-retry-token"] = f"token-{self._tokens}"
        given: dict[str, Any] = {"body": body, "vault": vault, "headers": headers, "caller": caller}
        answer = await self.desk.ask(name, *idents, **given)
        if caller == READER or headers.get("if-match") == NOBODYS_ETAG:
            self._compare(name, answer, GONE if caller == READER else OUTSIDE)
            return None
        expected: Expected = decide()
        self._compare(name, answer, expected)
        if expected.status == 200 and name not in WITHOUT_ETAG and "etag" in answer.headers:
            self._told[thing.number] = *self._mark(thing), answer.headers["etag"]
        if "opc-retry-token" in headers and expected.status == 200:
            await self._again(name, idents, given, answer)
        return answer

    async def _again(self, name: str, idents: tuple[str, ...], given: dict[str, Any], first: Answer) -> None:
        """The same token again: for the same request the same answer, for another one none."""
        again = await self.desk.ask(name, *idents, **given)
        if (again.status, again.body, again.headers.get("etag")) != (200, first.body, first.headers.get("etag")):
            self._found("content", f"{name} again with its retry token: {again.status} {again.body[:200]!r}")
        if given["body"] is not None:
            other = {**given, "body": {**given["body"], "freeformTags": {"other": "request"}}}
            self._compare(name, await self.desk.ask(name, *idents, **other), REUSED)

    def _mark(self, thing: Thing) -> tuple[int, str]:
        return thing.revision, thing.shown(self.model.now)

    async def _etag_of(self, thing: Thing) -> str:
        """The etag that the last change of a thing was answered with, if it stands there still; else what is read."""
        told = self._told.get(thing.number)
        if told is not None and told[:2] == self._mark(thing):
            return told[2]
        name, idents, vault = reading(thing)
        return (await self.desk.ask(name, *idents, vault=vault)).headers["etag"]

    def _compare(self, name: str, answer: Answer, expected: Expected) -> None:
        """Status, code, state and date of an answer."""
        (self._report.accepted if expected.status == 200 else self._report.refused)[name] += 1
        told = f"{name} at {self.model.now}: {answer.status} {answer.body[:250]!r} instead of {expected}"
        if answer.status != expected.status:
            self._found("status", told)
            return
        if code_of(answer) != expected.code:
            self._found("code", told)
        if expected.status == 200 and expected.shows is not None:
            shown = answer.json()
            if shown["lifecycleState"] != expected.shows:
                self._found("state", told)
            date = None if expected.deletes_at is None else moment(expected.deletes_at)
            if expected.deletes_at is not None and shown["timeOfDeletion"] != date:
                self._found("date", told)

    def _found(self, kind: str, detail: str) -> None:
        self._report.findings.append((kind, detail))

    # ------------------------------------------------------------------ vaults

    async def _create_vault(self) -> None:
        dice = self._dice
        compartment, kind = self._compartment(), dice.choice(("DEFAULT", "VIRTUAL_PRIVATE"))
        name = f"v{dice.randrange(1000)}"
        body = {"compartmentId": compartment, "displayName": name, "vaultType": kind}
        answer = await self.desk.ask("CreateVault", body=body)
        expected, vault = self.model.create_vault(compartment, name, kind)
        self._compare("CreateVault", answer, expected)
        vault.ident = answer.json()["id"]

    async def _of_vault(self, name: str, vault: Vault, body: Any, decide: Any) -> None:
        await self._change(name, vault, (vault.ident,), body, "", decide)

    async def _update_vault(self) -> None:
        vault, name = self._vault(), f"v{self._dice.randrange(1000)}"
        body = {"displayName": name}
        await self._of_vault("UpdateVault", vault, body, lambda: self.model.update_vault(vault, name))

    async def _schedule_vault(self) -> None:
        vault, (asked, body) = self._vault("ACTIVE"), self._date()
        await self._of_vault("ScheduleVaultDeletion", vault, body, lambda: self.model.schedule_vault(vault, asked))

    async def _cancel_vault(self) -> None:
        vault = self._vault("PENDING_DELETION")
        await self._of_vault("CancelVaultDeletion", vault, None, lambda: self.model.cancel_vault(vault))

    async def _move_vault(self) -> None:
        vault, to = self._vault(), self._compartment()
        body = {"compartmentId": to}
        await self._of_vault("ChangeVaultCompartment", vault, body, lambda: self.model.move_vault(vault, to))

    async def _read_vault(self) -> None:
        vault = self._vault()
        answer = await self.desk.ask("GetVault", vault.ident)
        self._compare("GetVault", answer, Expected(shows=vault.own(self.model.now), deletes_at=vault.deletes_at))

    # ------------------------------------------------------------------ keys

    async def _create_key(self) -> None:
        dice, vault = self._dice, self._vault()
        compartment, name = self._compartment(), f"k{dice.randrange(1000)}"
        algorithm = dice.choice(("AES", "AES", "ECDSA"))
        mode, is_shaped = dice.choice(("HSM", "SOFTWARE")), dice.random() > 0.05
        named = {"compartmentId": compartment, "displayName": name, "protectionMode": mode}
        body = {**named, "keyShape": SHAPES[algorithm] if is_shaped else NO_SHAPE}
        answer = await self.desk.ask("CreateKey", body=body, vault=prefix_of(vault.ident))
        expected, key = self.model.create_key(vault, compartment, name, algorithm, mode, is_shaped=is_shaped)
        self._compare("CreateKey", answer, expected)
        if key is not None and answer.status == 200:
            key.ident, key.current.ident = answer.json()["id"], answer.json()["currentKeyVersion"]

    async def _of_key(self, name: str, key: Key, body: Any, decide: Any) -> Answer | None:
        return await self._change(name, key, (key.ident,), body, prefix_of(key.ident), decide)

    async def _update_key(self) -> None:
        key, name = self._key(), self._dice.choice(("", *(f"k{number}" for number in range(20))))
        await self._of_key("UpdateKey", key, {"displayName": name}, lambda: self.model.update_key(key, name))

    async def _enable_key(self) -> None:
        key = self._key("DISABLED")
        await self._of_key("EnableKey", key, None, lambda: self.model.enable_key(key))

    async def _disable_key(self) -> None:
        key = self._key("ENABLED")
        await self._of_key("DisableKey", key, None, lambda: self.model.disable_key(key))

    async def _schedule_key(self) -> None:
        key, (asked, body) = self._key(self._dice.choice(("ENABLED", "DISABLED"))), self._date()
        await self._of_key("ScheduleKeyDeletion", key, body, lambda: self.model.schedule_key(key, asked))

    async def _cancel_key(self) -> None:
        key = self._key("PENDING_DELETION")
        await self._of_key("CancelKeyDeletion", key, None, lambda: self.model.cancel_key(key))

    async def _move_key(self) -> None:
        key, to = self._key(), self._compartment()
        body = {"compartmentId": to}
        await self._of_key("ChangeKeyCompartment", key, body, lambda: self.model.move_key(key, to))

    async def _read_key(self) -> None:
        key = self._key()
        quickly = self._dice.random() < 0.7
        answer = await self.desk.ask("GetKey", key.ident, vault=prefix_of(key.ident), quickly=quickly)
        self._compare("GetKey", answer, Expected(shows=key.shown(self.model.now), deletes_at=key.deletes_at))

    # ------------------------------------------------------------------ versions

    async def _rotate(self) -> None:
        key = self._key("ENABLED")
        made: list[Version | None] = [None]

        def decide() -> Expected:
            expected, made[0] = self.model.rotate(key)
            return expected

        answer = await self._change("CreateKeyVersion", key, (key.ident,), None, prefix_of(key.ident), decide)
        if made[0] is not None and answer is not None and answer.status == 200:
            made[0].ident = answer.json()["id"]

    async def _of_version(self, name: str, version: Version, body: Any, decide: Any) -> None:
        key = version.key
        await self._change(name, version, (key.ident, version.ident), body, prefix_of(key.ident), decide)

    async def _schedule_version(self) -> None:
        version, (asked, body) = self._version("ENABLED"), self._date()
        await self._of_version(
            "ScheduleKeyVersionDeletion", version, body, lambda: self.model.schedule_version(version, asked)
        )

    async def _cancel_version(self) -> None:
        version = self._version("PENDING_DELETION")
        await self._of_version("CancelKeyVersionDeletion", version, None, lambda: self.model.cancel_version(version))

    async def _read_version(self) -> None:
        version = self._version()
        name, idents, vault = reading(version)
        answer = await self.desk.ask(name, *idents, vault=vault)
        self._compare(name, answer, Expected(shows=version.shown(self.model.now), deletes_at=version.deletes_at))

    # ------------------------------------------------------------------ use

    async def _use(self, name: str, key: Key, body: Mapping[str, Any], expected: Expected) -> Answer:
        answer = await self.desk.ask(name, body={"keyId": key.ident, **body}, vault=prefix_of(key.ident))
        self._compare(name, answer, expected)
        return answer

    async def _encrypt(self) -> None:
        await self._made_by("Encrypt", "AES", "ciphertext", self._ciphertexts)

    async def _sign(self) -> None:
        await self._made_by("Sign", "ECDSA", "signature", self._signatures)

    async def _made_by(self, name: str, algorithm: str, field: str, kept: list[Kept]) -> None:
        key = self._key("ENABLED")
        version = self._dice.choice((None, None, *key.versions[-3:]))
        content = base64.b64encode(self._dice.randbytes(20)).decode()
        told = {"plaintext": content} if algorithm == "AES" else {"message": content, "signingAlgorithm": SIGNING}
        named = {} if version is None else {"keyVersionId": version.ident}
        expected = self.model.use(key, version, algorithm)
        answer = await self._use(name, key, {**told, **named}, expected)
        if answer.status == 200 and expected is FINE:
            used = version or key.current
            if answer.json()["keyVersionId"] != used.ident:
                self._found("content", f"{name} with {answer.json()['keyVersionId']} instead of {used.ident}")
            kept.append(Kept(key, used, answer.json()[field], content))
            del kept[:-MOST_KEPT]

    async def _decrypt(self) -> None:
        if not self._ciphertexts:
            return
        kept, dice = self._dice.choice(self._ciphertexts[-30:]), self._dice
        key = self._key() if dice.random() < 0.1 else kept.key
        is_bound = dice.random() > 0.05
        body: dict[str, Any] = {"ciphertext": kept.made}
        if not is_bound:
            body["associatedData"] = {"other": "data"}
        answer = await self._use("Decrypt", key, body, self.model.use(key, kept.version, "AES", opens=is_bound))
        if answer.status == 200 and answer.json()["plaintext"] != kept.content:
            self._found("content", f"Decrypt gave {answer.json()['plaintext']!r} instead of {kept.content!r}")

    async def _verify(self) -> None:
        if not self._signatures:
            return
        kept, is_right = self._dice.choice(self._signatures[-30:]), self._dice.random() > 0.2
        message = kept.content if is_right else base64.b64encode(b"another message").decode()
        body = {"keyVersionId": kept.version.ident, "signature": kept.made, "message": message}
        expected = self.model.use(kept.key, kept.version, "ECDSA")
        answer = await self._use("Verify", kept.key, {**body, "signingAlgorithm": SIGNING}, expected)
        if answer.status == 200 and answer.json()["isSignatureValid"] != is_right:
            self._found("content", f"Verify said {answer.json()} instead of {is_right}")


def reading(thing: Thing) -> tuple[str, tuple[str, ...], str]:
    """The read that shows a thing: its name, identifiers, the vault's prefix."""
    if isinstance(thing, Version):
        return "GetKeyVersion", (thing.key.ident, thing.ident), prefix_of(thing.key.ident)
    if isinstance(thing, Key):
        return "GetKey", (thing.ident,), prefix_of(thing.ident)
    return "GetVault", (thing.ident,), ""


def moment(at: int) -> str:
    """A time as the wire shows it (§2)."""
    return f"{datetime.fromtimestamp(at, UTC).isoformat()[:19]}.000Z"
