"""The leak trial of OCI: key material and contents of secrets that are made to be found, and then nobody may find them.

AES keys of known bytes are imported, secrets get contents that occur nowhere else, plaintexts are encrypted: by every
way that is right, and by every mistake that a client makes with them. The server logs all it can, is killed, started
and stopped. Then everything that was written and shown to others is searched for every value in every spelling, and for
all material that the server made itself, which is opened with its own keys once it has stopped.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import random
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.padding import MGF1, OAEP
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from bench.client import Answer, ask
from claviger.core.clock import SystemClock
from claviger.crypto.envelope import associated_data
from claviger.house import opened
from claviger.ocikms.materials import binding
from claviger.ocikms.secrets import contents
from claviger.settings import load_settings
from figures.databases import Database, Reports, on_each
from figures.haystack import Haystack
from figures.leaks import POSTGRES_TEMPLATES, LeakReport
from figures.needles import Needle, Search, make_controls, make_needles
from figures.ocioperations import OPERATIONS
from figures.ocitarget import AES, OciTarget
from figures.planeleaks import private_key
from figures.target import SetProduct, complaints

NAME = "ocileaks"
SIZE, QUICK_SIZE = 2_000, 500
OTHERS = ("reader", "nobody", "stranger")
FIRST_RAW = 2_000_000
FIRST_MADE = 3_000_000
"""Numbers of values that are bytes, and of those that the server made itself, begin here."""
MOST_TEXT_BYTES = 4096
PRIVATE = "-----BEGIN PRIVATE KEY-----\n%s\n-----END PRIVATE KEY-----"
Body = Callable[[str], Any]


def run(folder: Path, values: int, seed: int) -> Reports:
    """The trial on each kind of database, so many values each."""
    return on_each(lambda database: run_on(database, folder, values, seed))


def run_on(
    database: Database, folder: Path, values: int, seed: int, environment: Mapping[str, str] | None = None
) -> LeakReport:
    """Brings so many values into a fresh server below `folder`, on an empty database."""
    report = LeakReport(seed, database.kind, values, NAME)
    settings = {"CLAVIGER_LOG_LEVEL": "debug", **database.settings, **(environment or {})}
    product = SetProduct(folder / f"{NAME}-{database.kind.lower()}", settings)
    try:
        product.start()
        _Trial(product, report, database).run()
    finally:
        product.kill()
    return report


def _b64(text: str | bytes) -> str:
    return base64.b64encode(text.encode() if isinstance(text, str) else text).decode()


def _secret(target: OciTarget, number: int, **more: Any) -> dict[str, Any]:
    idents = target.around.idents
    asked = {"compartmentId": idents["open"], "vaultId": idents["vault"], "keyId": idents["key"]}
    return {**asked, "secretName": f"leak-{number}", **more}


def _content(value: str, **more: Any) -> dict[str, Any]:
    return {"secretContent": {"contentType": "BASE64", "content": value, **more}}


def _key(target: OciTarget, **more: Any) -> dict[str, Any]:
    return {"compartmentId": target.around.idents["open"], "displayName": "leak", "keyShape": AES, **more}


def _material(value: str) -> dict[str, Any]:
    return {"wrappedImportKey": {"keyMaterial": value, "wrappingAlgorithm": "RSA_OAEP_SHA256"}}


def _at(value: str, **more: Any) -> dict[str, Any]:
    return {"secretContent": {"contentType": "BASE64", "content": _b64(value), **more}}


MISTAKES: tuple[tuple[str, str, Body], ...] = (
    ("CreateSecret", "not base64", _content),
    ("CreateSecret", "no key", lambda value: {**_at(value), "keyId": None}),
    ("CreateSecret", "as a text", lambda value: {"secretContent": value}),
    ("CreateSecret", "in a list", lambda value: {"secretContent": [value]}),
    ("CreateSecret", "misspelt", lambda value: _content("", contnet=value)),
    ("CreateSecret", "bad type", lambda value: _at(value, contentType=value)),
    ("CreateSecret", "bad stage", lambda value: _at(value, stage="NEXT")),
    ("CreateSecret", "too long", lambda value: _at(value * 600)),
    ("CreateSecret", "bad name", lambda value: {**_at(value), "secretName": "a b"}),
    ("CreateSecret", "no JSON", lambda value: json.dumps(_at(value)).encode()[:-1]),
    ("CreateSecret", "twice", lambda value: b'{"a":%s,"a":%s}' % ((json.dumps(value).encode(),) * 2)),
    ("UpdateSecret", "with a number", lambda value: {**_at(value), "currentVersionNumber": 1}),
    ("UpdateSecret", "not base64", _content),
    ("Encrypt", "not base64", lambda value: {"plaintext": value}),
    ("Encrypt", "too long", lambda value: {"plaintext": _b64(value * 80)}),
    ("Encrypt", "no such key", lambda value: {"keyId": "ocid1.key.oc1.iad.aaaa.bbbb", "plaintext": _b64(value)}),
    ("Encrypt", "no such way", lambda value: {"encryptionAlgorithm": "DES", "plaintext": _b64(value)}),
    ("Encrypt", "as a list", lambda value: {"plaintext": [value]}),
    ("Decrypt", "no ciphertext", lambda value: {"ciphertext": _b64(value)}),
    ("Decrypt", "not base64", lambda value: {"ciphertext": value}),
    ("ImportKey", "not wrapped", lambda value: _material(_b64(value))),
    ("ImportKey", "not base64", _material),
    ("ImportKey", "as a text", lambda value: {"wrappedImportKey": value}),
    ("ImportKey", "bad way", lambda value: {"wrappedImportKey": {"keyMaterial": "", "wrappingAlgorithm": value}}),
    ("ImportKeyVersion", "not wrapped", lambda value: _material(_b64(value))),
    ("RestoreKeyFromFile", "no backup", str.encode),
    ("ExportKey", "a private key", lambda value: {"publicKey": PRIVATE % _b64(value)}),
)
"""Operation, what is wrong, and the fields, or the body: calls that are refused, in which a value stands."""


class _Trial:
    def __init__(self, product: SetProduct, report: LeakReport, database: Database) -> None:
        self._product = product
        self._report = report
        self._database = database
        self._dice = random.Random(f"ocileaks/{report.seed}")
        self._needles = make_needles(report.values, report.seed)
        self._controls = make_controls(3, report.seed)
        self._made: list[Needle] = []
        self._numbers = itertools.count(FIRST_MADE)
        self._haystack = Haystack()
        self._target = OciTarget(product)
        self._target.prepare()

    def run(self) -> None:
        shares = iter(self._needles)
        right = list(itertools.islice(shares, self._report.values // 3))
        self._import_keys(max(4, self._report.values // 60))
        self._store(right)
        self._mistake(list(shares))
        self._plant()
        self._haystack.add_process(self._product.pid)
        self._product.kill()  # with whatever stands in memory and in the write-ahead log
        self._collect("after a kill")
        self._product.start()
        self._look()
        self._product.stop()
        self._collect("after a stop")
        asyncio.run(self._open_all())
        self._judge()

    # ------------------------------------------------------------------ bringing values in

    def _import_keys(self, count: int) -> None:
        """AES keys of known bytes, used, copied and exported; wrapped wrongly, too."""
        target, around = self._target, self._target.around
        told = target.must("GetWrappingKey", vault=around.prefix)
        public = load_pem_public_key(told["publicKey"].encode())
        assert isinstance(public, RSAPublicKey)
        for number in range(count):
            raw = self._dice.randbytes(32)
            self._needles.append(Needle(FIRST_RAW + number, "", "AES", raw))
            wrapped = _b64(public.encrypt(raw, OAEP(MGF1(SHA256()), SHA256(), None)))
            self._ask("ImportKey", body=_key(target, keyShape={"algorithm": "AES", "length": 16}, **_material(wrapped)))
            if number % 3 == 2:
                self._must("ImportKeyVersion", around.idents["hsm key"], body=_material(wrapped))
                continue
            mode = "SOFTWARE" if number % 3 else "HSM"
            made = self._must("ImportKey", body=_key(target, protectionMode=mode, **_material(wrapped)))
            self._must("Encrypt", body={"keyId": made["id"], "plaintext": "AAAA"})
            if mode == "SOFTWARE":
                pem = target.signers["reader"].public_pem
                exported = {"keyId": made["id"], "algorithm": "RSA_OAEP_AES_SHA256", "publicKey": pem}
                self._must("ExportKey", body=exported)
            else:
                self._must("BackupKey", made["id"], body=self._place(f"key-{number}"))
        self._must("BackupVault", around.idents["vault"], body={**self._place("vault"), "isIncludeKeys": True})

    def _place(self, name: str) -> dict[str, Any]:
        at = {"namespace": self._target.around.idents["namespace"], "bucketName": "fuzz", "objectName": name}
        return {"backupLocation": {"destination": "BUCKET", **at}}

    def _store(self, needles: list[Needle]) -> None:
        """Contents and plaintexts where they belong; others ask for them too."""
        target = self._target
        secret = ""
        for needle in needles:
            turn = needle.number % 4
            if turn == 0 or not secret:
                body = _secret(target, needle.number, **_content(_b64(needle.value)))
                token = [("opc-retry-token", f"leak-{needle.number}")]
                secret = self._must("CreateSecret", body=body, more=token)["id"]
                self._must("CreateSecret", body=body, more=token)
                self._others(secret)
            elif turn == 1:
                self._must("UpdateSecret", secret, body=_content(_b64(needle.value)))
                self._others(secret)
            else:
                self._encrypt(needle)
        made = {"keyId": target.around.idents["key"], "keyShape": AES, "includePlaintextKey": True}
        for _ in range(5):
            told = self._must("GenerateDataEncryptionKey", body=made)
            self._learn("data key", base64.b64decode(told["plaintext"]))

    def _encrypt(self, needle: Needle) -> None:
        """There and back; bound to something, and asked for without that."""
        if len(needle.value.encode()) > MOST_TEXT_BYTES:
            return
        key, bound = self._target.around.idents["key"], {"associatedData": {"team": "billing"}}
        told = self._must("Encrypt", body={"keyId": key, "plaintext": _b64(needle.value), **bound})
        asked = {"keyId": key, "ciphertext": told["ciphertext"]}
        self._must("Decrypt", body={**asked, **bound})
        for answer in (
            self._ask("Decrypt", body=asked),
            self._ask("Decrypt", body={**asked, **bound}, caller="reader"),
        ):
            self._haystack.add("answers to others", answer.body)

    def _others(self, secret: str) -> None:
        """Everybody else asks; only who may read is told, and that is not looked through."""
        for caller in OTHERS:
            for name in ("GetSecret", "GetSecretBundle", "ListSecretVersions"):
                answer = self._ask(name, secret, caller=caller)
                if not (caller == "reader" and name == "GetSecretBundle"):
                    self._haystack.add("answers to others", answer.body)

    def _mistake(self, needles: list[Needle]) -> None:
        """Each value by another mistake; unsigned and wrongly signed now and then."""
        target = self._target
        self._report.ways = len(MISTAKES) + 8
        for at, needle in enumerate(needles):
            name, what, fields = MISTAKES[at % len(MISTAKES)]
            things = {"UpdateSecret": ("secret",), "ImportKeyVersion": ("key",)}.get(name, ())
            idents = [target.around.idents[thing] for thing in things]
            told = fields(needle.value)
            if isinstance(told, dict):
                told = {**self._usual(name, needle.number), **told}
            caller = self._dice.choice(("officer", "officer", "officer", "reader", "stranger"))
            spoil = self._dice.choice(("", "", "", "unsigned", "damaged"))
            answer = self._ask(name, *idents, body=told, caller=caller, spoil=spoil)
            if Search([needle]).places_in(answer.body):
                self._report.findings.append(("told to its sender", f"{name} {what}: {answer.body[:300]!r}"))

    def _usual(self, name: str, number: int) -> dict[str, Any]:
        """The fields beside the one that matters, all of them right."""
        key = {"keyId": self._target.around.idents["key"]}
        usual = {"CreateSecret": _secret(self._target, number), "ImportKey": _key(self._target), "Encrypt": key}
        return {**usual, "Decrypt": key, "ExportKey": {**key, "algorithm": "RSA_OAEP_SHA256"}}.get(name, {})

    def _learn(self, what: str, raw: bytes) -> None:
        self._made.append(Needle(next(self._numbers), "", what, raw))

    # ------------------------------------------------------------------ asking

    def _ask(
        self, name: str, *idents: str, body: Any = None, caller: str = "officer", spoil: str = "", more: Any = ()
    ) -> Answer:
        target, operation = self._target, OPERATIONS[name]
        content = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        place = f"{target.host(operation.plane)}:{target.port}"
        raw = target.signers[caller].request(
            operation.method, place, operation.target(*idents), content, time.time(), more
        )
        if spoil == "unsigned":
            raw = raw.replace(b"authorization: Signature", b"authorization: Bearer", 1)
        elif spoil == "damaged":
            raw = raw.replace(b'signature="', b'signature="AAAA', 1)
        answer = ask(target.port, self._product.context, raw, place.partition(":")[0], 60.0)
        self._report.statuses[str(answer.status)] += 1
        if answer.status >= 500:
            self._report.findings.append(("5xx", f"{name}: {answer.status} {answer.body[:200]!r}"))
        return answer

    def _must(self, name: str, *idents: str, **given: Any) -> Any:
        answer = self._ask(name, *idents, **given)
        if answer.status != 200:
            self._report.findings.append(("not stored", f"{name}: {answer.status} {answer.body[:300]!r}"))
            return {"id": "", "ciphertext": "", "plaintext": ""}
        return answer.json() if answer.body else None

    # ------------------------------------------------------------------ looking

    def _plant(self) -> None:
        """Controls, where each kind of place must show one."""
        shown, logged, told = self._controls
        body = _key(self._target, freeformTags={"control": _b64(shown.value)})
        self._must("CreateKey", body=body)
        with self._product.log.open("ab") as log:
            log.write(logged.value.encode("utf-16-le"))
        self._haystack.add("answers to others", told.value)

    def _look(self) -> None:
        """What everybody is shown once all is stored."""
        target, idents = self._target, self._target.around.idents
        for caller in ("officer", *OTHERS):
            for name, query in (
                ("ListKeys", {"compartmentId": idents["open"]}),
                ("ListSecrets", {"compartmentId": idents["open"]}),
                ("ListVaults", {"compartmentId": idents["open"]}),
            ):
                answer = target.ask(name, query=query, caller=caller, vault=target.around.prefix)
                self._haystack.add("answers to others", answer.body)
            for name, key in (("GetKey", "hsm key"), ("ListKeyVersions", "hsm key")):
                answer = target.ask(name, idents[key], caller=caller, vault=target.around.prefix)
                self._haystack.add("answers to others", answer.body)
        self._report.findings += [("server down", f"{kind}: {detail}") for kind, detail in complaints(self._product)]

    def _collect(self, when: str) -> None:
        self._haystack.add_files(f"{when}: data", self._product.data)
        self._haystack.add(f"{when}: log", self._product.log.read_bytes())
        if self._database.url is not None:
            self._haystack.add_tables(self._database.url)
        if self._database.folder is not None:
            self._haystack.add_files(f"{when}: PostgreSQL", self._database.folder, but=POSTGRES_TEMPLATES)

    async def _open_all(self) -> None:
        """All material of keys and vaults, and all contents, opened with the keys of the server, which has stopped."""
        values = {name: value for name, value in self._product.settings.items() if name.startswith("CLAVIGER_")}
        async with opened(load_settings(values, data=self._product.data), SystemClock()) as house:
            for ident, data_key, sealed in await house.store.read(
                "SELECT id, data_key_id, sealed FROM oci_key_versions WHERE sealed IS NOT NULL"
            ):
                self._learn_material("key", await house.keyring.open(data_key, bytes(sealed), binding(ident)))
            for ident, data_key, sealed in await house.store.read(
                "SELECT id, wrapping_data_key_id, wrapping_sealed FROM oci_vaults WHERE wrapping_sealed IS NOT NULL"
            ):
                bound_to = associated_data("oci-wrapping-key", ident)
                self._learn_material("wrapping key", await house.keyring.open(data_key, bytes(sealed), bound_to))
            for ident, number, data_key, sealed in await house.store.read(
                "SELECT s.id, r.number, r.data_key_id, r.sealed FROM oci_secret_versions r"
                " JOIN oci_secrets s ON s.num = r.secret_num WHERE r.sealed IS NOT NULL"
            ):
                packed = await house.keyring.open(data_key, bytes(sealed), contents.binding(ident, number))
                self._learn("marking key", contents.unpacked(packed).marking_key.reveal())

    def _learn_material(self, what: str, material: bytes) -> None:
        """Of a private key the number, for its public half is shown to everybody."""
        self._learn(what, private_key(material) or material)

    def _judge(self) -> None:
        report, haystack = self._report, self._haystack
        report.searched_bytes, report.places = haystack.size, len(haystack.pieces)
        report.made = len(self._made)
        needles = [*self._needles, *self._made]
        found = haystack.places_of([*needles, *self._controls])
        for needle in needles:
            for place in found.get(needle.number, ()):
                kind = "told to others" if place.startswith("answers to others") else "written down"
                report.findings.append((kind, f"value {needle.number} ({needle.kind}) in {place}"))
        rows = "data/" if self._database.url is None else "table "
        for control, place in zip(self._controls, (rows, ": log", "answers to others"), strict=True):
            seen = any(place in each.split(" at ")[0] for each in found.get(control.number, ()))
            report.controls += seen
            if not seen:
                report.findings.append(("search blind", f"a control was not found in {place!r}"))
