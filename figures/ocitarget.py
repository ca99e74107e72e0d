"""The server that hostile OCI requests are sent to: two vaults with keys and secrets, callers, and what must stay.

`open` is the compartment where the main caller may do everything; in `kept` it may do nothing, so what the keeper is
shown there must be the same after a trial as before it. `Watch` looks at the database behind the server's back: it
tells whether anything of OCI was changed at all.
"""

from __future__ import annotations

import base64
import json
import os
import random
import re
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import apsw
import psycopg
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, OAEP
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from bench import machine
from bench.client import Answer, ask
from bench.oci_signing import Signer
from figures.databases import Database
from figures.ocioperations import OPERATIONS, host, prefix_of
from figures.target import MAX_GROWTH_MIB, SetProduct, complaints

AES: dict[str, Any] = {"algorithm": "AES", "length": 32}
ECDSA: dict[str, Any] = {"algorithm": "ECDSA", "length": 32, "curveId": "NIST_P256"}
BUCKET = "fuzz"
CALLERS = ("officer", "reader", "nobody", "stranger")
"""Who asks: who may do everything in `open`, who may read there, one without a grant, one of another tenancy."""
LIMIT_S = 60.0
_WATCHED = """
SELECT 'vaults', COUNT(*), COALESCE(SUM(revision), 0) FROM oci_vaults
UNION ALL SELECT 'keys', COUNT(*), COALESCE(SUM(revision), 0) FROM oci_keys
UNION ALL SELECT 'versions', COUNT(*), COALESCE(SUM(revision), 0) FROM oci_key_versions
UNION ALL SELECT 'secrets', COUNT(*), COALESCE(SUM(revision), 0) FROM oci_secrets
UNION ALL SELECT 'contents', COUNT(*), COALESCE(SUM(LENGTH(sealed)), 0) FROM oci_secret_versions
UNION ALL SELECT 'buckets', COUNT(*), 0 FROM oci_buckets
UNION ALL SELECT 'objects', COUNT(*), COALESCE(SUM(size + num), 0) FROM oci_objects
UNION ALL SELECT 'addresses', COUNT(*), 0 FROM oci_preauthenticated
UNION ALL SELECT 'tokens', COUNT(*), 0 FROM oci_retry_tokens
UNION ALL SELECT 'compartments', COUNT(*), 0 FROM oci_compartments
UNION ALL SELECT 'people', (SELECT COUNT(*) FROM oci_users), (SELECT COUNT(*) FROM oci_api_keys)
UNION ALL SELECT 'grants', COUNT(*), 0 FROM oci_grants
"""


class Watch:
    """Counts what there is of OCI: every change of anything moves one of the numbers.

    Data keys are left out: one may be made for what is refused in the end, and then waits for the next.
    """

    def __init__(self, database: Database, path: Path) -> None:
        self._sqlite = None if database.url else apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
        self._postgres = psycopg.connect(database.url, autocommit=True) if database.url else None
        if self._sqlite is not None:
            self._sqlite.set_busy_timeout(10_000)
            self._sqlite.execute("PRAGMA query_only = ON")

    def seen(self) -> list[tuple[Any, ...]]:
        """The numbers as they are now."""
        if self._sqlite is not None:
            return list(self._sqlite.execute(_WATCHED))
        assert self._postgres is not None
        return self._postgres.execute(_WATCHED).fetchall()

    def close(self) -> None:
        """Lets go of the database."""
        if self._sqlite is not None:
            self._sqlite.close()
        if self._postgres is not None:
            self._postgres.close()


@dataclass
class Around:
    """What requests are about: OCIDs and names by a word, in the vault of `open`. Replaced now and then."""

    idents: dict[str, str] = field(default_factory=dict)
    prefix: str = ""


class OciTarget:
    """A prepared server."""

    def __init__(self, product: SetProduct) -> None:
        self.product = product
        self.signers: dict[str, Signer] = {}
        self.around = Around()
        self.kept_vault = ""
        self._keeper: Signer | None = None
        self._before: object = None
        self._rss_before_kib = 0
        self._made = 0

    @property
    def port(self) -> int:
        """Where it listens."""
        return self.product.port

    @property
    def tls_name(self) -> str:
        """The name that TLS is asked for."""
        return host("control")

    def without_tokens(self, raw: bytes) -> bytes:
        """A request without the longest part of its signature, to be shown."""
        return re.sub(rb'signature="[^"]{30,}"', b'signature="<signature>"', raw)

    def host(self, plane: str, prefix: str = "") -> str:
        """The name of a plane's host without port; of the vault of `open`, where the plane is a vault's."""
        return host(plane, prefix or self.around.prefix)

    # ------------------------------------------------------------------ asking

    def ask(
        self, name: str, *idents: str, body: Any = None, query: Any = None, caller: str = "officer", vault: str = ""
    ) -> Answer:
        """One operation on a connection of its own; the keeper, who may do everything, is `keeper`."""
        operation = OPERATIONS[name]
        content = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        place = f"{self.host(operation.plane, vault)}:{self.port}"
        signer = self._keeper if caller == "keeper" else self.signers[caller]
        assert signer is not None
        raw = signer.request(operation.method, place, operation.target(*idents, query=query), content, time.time())
        return ask(self.port, self.product.context, raw, place.partition(":")[0], LIMIT_S)

    def must(self, name: str, *idents: str, **given: Any) -> Any:
        """The JSON of an operation that has to succeed. Raises RuntimeError."""
        answer = self.ask(name, *idents, **given)
        if answer.status != 200:
            raise RuntimeError(f"{name} was answered {answer.status} {answer.body[:300]!r}")
        return answer.json() if answer.body else None

    # ------------------------------------------------------------------ making

    def prepare(self) -> None:
        """Makes callers, compartments, two vaults and what is in them."""
        self._keeper = Signer.from_profile(Path(self.product.told()["OCI_CONFIG_FILE"]))
        idents = self.around.idents
        idents["tenancy"] = self._keeper.tenancy_id
        for name in ("open", "second", "kept"):
            made = self.product.command("oci", "compartment", "create", name, "--tenancy", "demo")
            idents[name] = made["id"]
        self.product.command("oci", "tenancy", "create", "elsewhere")
        for caller in CALLERS:
            self.signers[caller] = self._caller(caller, "elsewhere" if caller == "stranger" else "demo")
        for caller, verb, place in (
            ("officer", "manage", "open"),
            ("officer", "manage", "second"),
            ("reader", "read", "open"),
            ("stranger", "manage", "/"),
        ):
            tenancy = "elsewhere" if caller == "stranger" else "demo"
            self.product.command("oci", "grant", "add", caller, verb, place, "--tenancy", tenancy)
        idents["namespace"] = self.must("GetNamespace", caller="keeper")
        self._fill_kept()
        idents["doomed vault"] = self._vault()
        idents["vault"] = self._vault()
        self.around.prefix = prefix_of(idents["vault"])
        self._wrap()
        self.refill()

    def _caller(self, name: str, tenancy: str) -> Signer:
        self.product.command("oci", "user", "create", name, "--tenancy", tenancy)
        key = self.product.data.with_name(f"{self.product.data.name}-{name}.pem")
        made = self.product.command("oci", "api-key", "create", name, "--out", str(key), "--tenancy", tenancy)
        user = self.product.command("oci", "user", "show", name, "--tenancy", tenancy)
        told = self.product.command("oci", "tenancy", "show", tenancy)
        return Signer(told["id"], user["id"], made["fingerprint"], key.read_bytes())

    def _fill_kept(self) -> None:
        """The vault that nobody but the keeper sees: keys in several states, a secret."""
        here, given = self.around.idents["kept"], {"caller": "keeper"}
        asked = {"compartmentId": here, "displayName": "kept", "vaultType": "DEFAULT"}
        self.kept_vault = self.must("CreateVault", body=asked, **given)["id"]
        prefix = prefix_of(self.kept_vault)
        shape = {"compartmentId": here, "keyShape": AES}
        for name, then in (("a", ""), ("b", "DisableKey"), ("c", "ScheduleKeyDeletion"), ("d", "CreateKeyVersion")):
            made = self.must("CreateKey", body={**shape, "displayName": name}, vault=prefix, **given)
            if then:
                self.must(then, made["id"], vault=prefix, **given)
            self.around.idents["kept key"] = made["id"]
        content = {"contentType": "BASE64", "content": base64.b64encode(b"kept").decode()}
        asked = {"compartmentId": here, "vaultId": self.kept_vault, "keyId": made["id"], "secretName": "kept"}
        self.around.idents["kept secret"] = self.must(
            "CreateSecret", body={**asked, "secretContent": content}, **given
        )["id"]

    def _vault(self) -> str:
        asked = {"compartmentId": self.around.idents["open"], "displayName": "open", "vaultType": "VIRTUAL_PRIVATE"}
        return str(self.must("CreateVault", body=asked)["id"])

    def _wrap(self) -> None:
        """Wraps material for the vault of `open`, as a client does that imports a key."""
        pem = self.must("GetWrappingKey", vault=self.around.prefix)["publicKey"]
        public = load_pem_public_key(pem.encode())
        assert isinstance(public, RSAPublicKey)
        wrapped = public.encrypt(os.urandom(32), OAEP(MGF1(SHA256()), SHA256(), None))
        self.around.idents["wrapped"] = base64.b64encode(wrapped).decode()

    def refill(self) -> None:
        """Fresh keys, versions, a secret and an object: what was there may have been changed by all that was asked."""
        idents = self.around.idents
        self._made += 1
        if self.must("GetVault", idents["vault"], caller="keeper")["lifecycleState"] == "PENDING_DELETION":
            self.must("CancelVaultDeletion", idents["vault"], caller="keeper")
        given = {"vault": self.around.prefix, "caller": "keeper"}
        asked = {"compartmentId": idents["open"], "displayName": "k", "keyShape": AES}
        kinds: dict[str, dict[str, Any]] = {
            "key": {"protectionMode": "SOFTWARE"},
            "hsm key": {},
            "ec key": {"keyShape": ECDSA},
            "doomed key": {},
        }
        for word, more in kinds.items():
            made = self.must("CreateKey", body={**asked, **more}, **given)
            idents[word], idents[f"{word} version"] = made["id"], made["currentKeyVersion"]
        idents["old version"] = idents["key version"]
        idents["key version"] = self.must("CreateKeyVersion", idents["key"], **given)["id"]
        encrypted = self.must("Encrypt", body={"keyId": idents["key"], "plaintext": "AAAA"}, **given)
        idents["ciphertext"] = encrypted["ciphertext"]
        signing = {"keyId": idents["ec key"], "message": "AAAA", "signingAlgorithm": "ECDSA_SHA_256"}
        idents["signature"] = self.must("Sign", body=signing, **given)["signature"]
        content = {"contentType": "BASE64", "content": base64.b64encode(b"fuzz").decode()}
        idents["secret name"] = f"fuzz-{self._made}"
        secret = {"compartmentId": idents["open"], "vaultId": idents["vault"], "keyId": idents["key"]}
        for word, name in (("secret", idents["secret name"]), ("doomed secret", f"doomed-{self._made}")):
            asked = {**secret, "secretName": name, "secretContent": content}
            idents[word] = self.must("CreateSecret", body=asked, caller="keeper")["id"]
        bucket = {"name": BUCKET, "compartmentId": idents["open"]}
        self.ask("CreateBucket", idents["namespace"], body=bucket, caller="keeper")  # unless it is there still
        self.must("PutObject", idents["namespace"], BUCKET, "a", body=b"content", caller="keeper")

    # ------------------------------------------------------------------ judging

    def begin(self) -> None:
        """Remembers what is shown before a trial."""
        self._before = self._shown()
        self._rss_before_kib = machine.resident_kib(self.product.pid)

    def growth_mib(self) -> float:
        """How much memory the server has gained since `begin`."""
        return (machine.resident_kib(self.product.pid) - self._rss_before_kib) / 1024

    def findings(self, not_offered: int) -> list[tuple[str, str]]:
        """What is wrong with the server after a trial: gone, not ready, changed, grown, or complaining in its log.

        `not_offered` answers were 501, which the server counts with the failures.
        """
        try:
            after = self._shown()
            metrics = self._plain("/metrics")
            found = [] if b'"ready"' in self._plain("/health") else [("server down", "/health does not say ready")]
        except (OSError, RuntimeError, ValueError, LookupError) as problem:
            return [("server down", f"{type(problem).__name__}: {problem}"), *complaints(self.product)]
        if after != self._before:
            found.append(("state changed", f"before {self._before}, after {after}"))
        grown = self.growth_mib()
        if grown > MAX_GROWTH_MIB:
            found.append(("memory", f"grown by {grown:.0f} MiB"))
        failed = re.findall(r'(claviger_requests_total\{[^}]*status="5xx"\}) ([1-9][0-9]*)', metrics.decode())
        if sum(int(count) for _, count in failed) > not_offered:
            found.append(("5xx", f"counted in /metrics: {failed}, of these {not_offered} were 501"))
        return [*found, *complaints(self.product)]

    def _plain(self, path: str) -> bytes:
        raw = f"GET {path} HTTP/1.1\r\nHost: localhost:{self.port}\r\n\r\n".encode()
        return ask(self.port, self.product.context, raw, "localhost", LIMIT_S).body

    def _shown(self) -> object:
        """Everything that the keeper is shown of what nobody else may touch."""
        idents, prefix, given = self.around.idents, prefix_of(self.kept_vault), {"caller": "keeper"}
        listed = self.must("ListKeys", query={"compartmentId": idents["kept"]}, vault=prefix, **given)
        keys = [self.must("GetKey", one["id"], vault=prefix, **given) for one in listed]
        versions = [self.must("ListKeyVersions", one["id"], vault=prefix, **given) for one in listed]
        secret = self.must("GetSecretBundle", idents["kept secret"], **given)
        vaults = self.must("ListVaults", query={"compartmentId": idents["kept"]}, **given)
        places = self.must("ListCompartments", query={"compartmentId": idents["tenancy"]}, **given)
        return [self.must("GetVault", self.kept_vault, **given), keys, versions, secret, vaults, places]


def dice_for(seed: int, number: int) -> random.Random:
    """Each input has dice of its own, so that one can be made again without the others."""
    return random.Random(f"ocifuzz/{seed}/{number}")
