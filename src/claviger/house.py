"""The house that commands and services stand in: the database, its keys, the rotation, the audit log.

`opened` is what a command needs; `audited` keeps the log open for as long as a server runs.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from claviger.audit.checkpoints import Checkpoints
from claviger.audit.log import AuditLog
from claviger.audit.trail import AuditedStore, current_trail
from claviger.audit.webhook import WebhookWitness
from claviger.audit.witness import FileWitness, Witness
from claviger.cckm.sealed import Safe
from claviger.core.clock import Clock, SystemClock
from claviger.core.errors import Misconfigured, Refusal
from claviger.core.sensitive import Sensitive
from claviger.crypto.key_file import KeyFile, PassphraseFile, passphrase_from_file
from claviger.crypto.root_key import EnvironmentKeys, RootKeySource
from claviger.keyvault.directory.signing import SigningKeyResealer
from claviger.keyvault.secrets.operations import SecretResealer
from claviger.ocikms.resealing import OciResealer
from claviger.outgoing.rules import key_of
from claviger.outgoing.trust import trust
from claviger.sealing.keyring import Keyring
from claviger.sealing.notes import SealedNotes
from claviger.sealing.rotation import Rotation
from claviger.settings import Settings
from claviger.store.contract import Store
from claviger.store.opening import open_store

SIGNING_LIMIT_S = 5.0

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class House:
    """What commands and services stand on.

    What goes through `store` while a trail is followed carries its record; `plain` is the same database for what only
    keeps the books. Without a log (`settings.audit`) both are one.
    """

    settings: Settings
    clock: Clock
    store: Store
    plain: Store
    log: AuditLog | None
    checkpoints: Checkpoints
    keyring: Keyring
    notes: SealedNotes
    rotation: Rotation

    async def tell(self) -> None:
        """Records that what the present trail is about is done, or about to be shown. Raises Busy."""
        trail = current_trail()
        if trail is not None and self.log is not None:
            await self.log.record(*trail.entries("granted", {}))


def root_keys_of(settings: Settings) -> RootKeySource:
    """The source of the root key that the settings name. Raises Misconfigured."""
    if settings.root_key is not None:
        return EnvironmentKeys(settings.root_key, settings.root_key_new)
    passphrase = settings.root_passphrase
    if settings.root_passphrase_file is not None:
        passphrase = passphrase_from_file(settings.root_passphrase_file)
    if passphrase is not None:
        return PassphraseFile(settings.data / "root.sealed", passphrase, settings.root_passphrase_new)
    return KeyFile(settings.root_key_file or settings.data / "root.key")


def witnesses_of(settings: Settings) -> list[Witness]:
    """Where the settings have checkpoints shown. Raises Misconfigured."""
    witnesses: list[Witness] = []
    if settings.audit_witness is not None:
        witnesses.append(FileWitness(settings.audit_witness))
    if settings.audit_witness_url is not None:
        key = None if settings.audit_witness_secret is None else key_of(settings.audit_witness_secret)
        # Waits, and what receivers think of the time, go by the machine's own clock.
        witnesses.append(
            WebhookWitness(
                settings.audit_witness_url,
                SystemClock(),
                key=None if key is None else Sensitive(key),
                authority=_authority(settings.audit_witness_ca),
            )
        )
    return witnesses


def _authority(path: Path | None) -> str:
    if path is None:
        return ""
    try:
        pem = path.read_text(encoding="ascii")
        trust(pem)
    except (OSError, ValueError):
        fix = "name a readable file with the certificate, in PEM, of the authority that the receiver's is from"
        raise Misconfigured("Setting", setting="CLAVIGER_AUDIT_WITNESS_CA", given=path, fix=fix) from None
    return pem


@contextlib.asynccontextmanager
async def opened(settings: Settings, clock: Clock) -> AsyncIterator[House]:
    """The database and its keys, closed at the end. Raises Misconfigured or Damaged, each with its fix.

    Safe beside a running server, on the same database and key file.
    """
    settings.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    root_keys = root_keys_of(settings)
    plain = await open_store(settings.store_url, clock)
    try:
        keyring = Keyring(plain, root_keys, clock)
        await keyring.load()
        notes = SealedNotes(plain, keyring, clock)
        resealers = (SecretResealer(), SigningKeyResealer(), OciResealer(), notes, Safe(plain, keyring))
        rotation = Rotation(plain, keyring, root_keys, clock, resealers)
        checkpoints = Checkpoints(plain, notes, clock, witnesses_of(settings))
        audit_log = AuditLog(plain) if settings.is_audited else None
        try:
            yield House(
                settings=settings,
                clock=clock,
                store=plain if audit_log is None else AuditedStore(plain, audit_log),
                plain=plain,
                log=audit_log,
                checkpoints=checkpoints,
                keyring=keyring,
                notes=notes,
                rotation=rotation,
            )
        finally:
            await checkpoints.close()
    finally:
        await plain.close()


@contextlib.asynccontextmanager
async def audited(house: House) -> AsyncIterator[None]:
    """Keeps the audit log open: what is buffered is written meanwhile and at the end, and then all of it is signed."""
    if house.log is None:
        log.warning("this server keeps no audit log (CLAVIGER_AUDIT): that is for benchmarks alone")
        yield
        return
    writing = asyncio.create_task(house.log.run())
    await asyncio.sleep(0)  # it is open from here on
    try:
        yield
    finally:
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
        await house.log.stop()
        try:
            async with asyncio.timeout(SIGNING_LIMIT_S):
                await house.checkpoints.make()
        except (Refusal, TimeoutError) as failure:
            log.error("the audit log could not be signed at the end: %s", failure)
