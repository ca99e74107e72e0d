"""Builds the object graph. The only module that knows every concrete class; it decides nothing else.

`house.opened` is what a command needs: the database, the keys, the log. `built` adds what a server needs: the embedded
Key Vault, its login host, the embedded OCI, the control plane, and the front that routes between them.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from claviger import __version__
from claviger.audit.entry import Origin
from claviger.cckm.assembly import Choices, Ground, Plane
from claviger.cckm.azure.connections.operations import EmbeddedAzure
from claviger.cckm.errors import failure as control_plane_failure
from claviger.cckm.oci.connections.operations import EmbeddedOci
from claviger.core.asgi import Application
from claviger.core.attempts import FailedAttempts
from claviger.core.clock import Clock
from claviger.core.errors import Refusal
from claviger.core.ids import new_token, new_uuid
from claviger.core.sensitive import Sensitive
from claviger.furnishing import Ways, furnish
from claviger.house import House, audited, opened, root_keys_of
from claviger.keyvault.app import KeyVaultApp
from claviger.keyvault.challenge import LOGIN_HOST, Challenger, TokenVerifier
from claviger.keyvault.directory.issuer import Issuer
from claviger.keyvault.directory.routes import LoginHost
from claviger.keyvault.directory.signing import SigningKeys
from claviger.keyvault.directory.tokens import TokenMaker
from claviger.keyvault.errors import encode_error
from claviger.keyvault.estate import Estates
from claviger.keyvault.hosts import LOGIN_HOSTS, VaultHosts, is_login_host, is_management_host
from claviger.keyvault.journal import CloudJournal
from claviger.keyvault.management.app import ManagementApp
from claviger.keyvault.management.operations import Management
from claviger.keyvault.management.routes import ManagementRoutes
from claviger.keyvault.secrets.backup import Backups
from claviger.keyvault.secrets.operations import Secrets
from claviger.keyvault.secrets.routes import SecretRoutes
from claviger.keyvault.sweeper import Sweeper
from claviger.keyvault.vaults.deletion import Purges
from claviger.ocikms import assembly as ocikms
from claviger.ocikms.assembly import Ocikms
from claviger.ocikms.errors import failure as oci_failure
from claviger.ocikms.hosts import is_oci_path
from claviger.ocikms.replies import failure_headers as oci_failure_headers
from claviger.server.asgi import Failures
from claviger.server.front import Front
from claviger.server.metrics import Metrics
from claviger.settings import Settings
from claviger.switches.board import Switches
from claviger.switches.clock import MovableClock
from claviger.switches.faulty import Faulty
from claviger.switches.routes import PATH as SWITCHBOARD_PATH
from claviger.switches.routes import Switchboard

__all__ = ["SWITCHBOARD_NOTE", "House", "Services", "built", "opened", "own_login_hosts", "root_keys_of"]

log = logging.getLogger(__name__)

SWITCHBOARD_NOTE = "switchboard-token"


@dataclass(frozen=True)
class Services:
    """A whole server but for its sockets. `front` is the application to serve."""

    house: House
    front: Front
    estates: Estates
    secrets: Secrets
    backups: Backups
    sweeper: Sweeper
    hosts: VaultHosts
    switches: Switches | None
    management: Management
    plane: Plane
    ocikms: Ocikms


def own_login_hosts(settings: Settings) -> tuple[str, ...]:
    """The names of the login host that no cloud has: ours, and the one of the setting `login_url`."""
    given = urlsplit(settings.login_url or "").hostname
    return (LOGIN_HOST,) if given is None else (LOGIN_HOST, given)


@contextlib.asynccontextmanager
async def built(settings: Settings, clock: Clock) -> AsyncIterator[Services]:
    """A server's services, their background work running between the front's start and stop.

    Tokens and sign-in go by `clock` as it is even where the switches can move the product's time: clients keep tokens
    by a clock of their own.
    """
    switches = Switches(MovableClock(clock)) if settings.switches else None
    async with opened(settings, switches.clock if switches else clock) as house, audited(house):
        board_token = Sensitive(new_token())
        if switches is not None:
            await house.notes.put(SWITCHBOARD_NOTE, board_token)
        ways = Ways()
        services = _services(house, clock, switches, board_token, ways)
        await furnish(house, ways, services.plane.prepare)
        yield services


def _services(
    house: House,
    machine: Clock,
    switches: Switches | None,
    board_token: Sensitive,
    embedded: Ways,
) -> Services:
    settings, clock, store, keyring = house.settings, house.clock, house.store, house.keyring
    metrics = Metrics()
    if house.log is not None:
        told = "Witnesses that have not taken the last checkpoint of the audit log that they were shown."
        metrics.show("audit_witnesses_failing", told, house.checkpoints.failing_witnesses)
    keys = SigningKeys(house.plain, keyring, machine)
    hosts = VaultHosts(settings.vault_suffixes, settings.vault_hosts)
    estates = Estates(store, hosts, keys)
    challenger = Challenger(settings.login_url)
    verifier = TokenVerifier(keys, challenger, machine)
    secrets = Secrets(store, keyring, clock, switches)
    backups = Backups(store, keyring, clock)
    purges = Purges(store, keyring, clock)
    management = Management(store, clock, purges)
    sweeper = Sweeper(secrets, purges, clock, settings.sweep_s)
    plane = _plane(house, machine, switches, metrics)
    oci = _ocikms(house, machine, switches, metrics)
    background = _Background(house, sweeper, purges, plane, oci, embedded)
    places = _Places(
        hosts=hosts,
        own_logins=own_login_hosts(settings),
        vaults=KeyVaultApp(
            estates,
            verifier,
            challenger,
            SecretRoutes(secrets, backups),
            clock,
            metrics.counter("keyvault"),
            switches,
            _journal(house, machine, "keyvault"),
        ),
        login=_login_host(house, machine, estates, keys, switches),
        management=ManagementApp(
            estates,
            verifier,
            ManagementRoutes(management, store, clock),
            clock,
            metrics.counter("management"),
            login_url=settings.login_url,
            switches=switches,
            journal=_journal(house, machine, "management"),
        ),
        board=Switchboard(switches, board_token, background.wake) if switches else None,
        plane=plane.app,
        ocikms=oci,
    )
    front = _front(house, places, metrics, background)
    return Services(house, front, estates, secrets, backups, sweeper, hosts, switches, management, plane, oci)


def _journal(house: House, machine: Clock, origin: Origin) -> CloudJournal | None:
    """What follows the calls of one of the embedded cloud's hosts."""
    if house.log is None:
        return None
    return CloudJournal(house.log, house.clock, machine, origin, is_strict=house.settings.audit_reads == "strict")


def _plane(house: House, machine: Clock, switches: Switches | None, metrics: Metrics) -> Plane:
    settings = house.settings
    return Plane(
        Ground(
            house.store,
            house.keyring,
            house.notes,
            house.clock,
            machine,
            switches,
            plain=house.plain,
            log=house.log,
            checkpoints=house.checkpoints,
        ),
        Choices(
            __version__,
            settings.admin_password,
            settings.echo_values,
            settings.sync_brake_percent,
            settings.approval_lapse_s,
            settings.notices_source,
        ),
        metrics.counter("cckm"),
    )


def _ocikms(house: House, machine: Clock, switches: Switches | None, metrics: Metrics) -> Ocikms:
    settings = house.settings
    return Ocikms(
        ocikms.Ground(house.store, house.keyring, house.clock, machine, switches, house.log),
        ocikms.Choices(settings.oci_settle_s, settings.sweep_s, settings.vault_ports, settings.audit_reads == "strict"),
        metrics.counter("ocikms"),
    )


def _front(house: House, places: _Places, metrics: Metrics, background: _Background) -> Front:
    front = Front(
        places.pick,
        metrics=metrics,
        clock=house.clock,
        version=__version__,
        services={"keyvault": __version__, "ocikms": __version__, "cckm": __version__},
        metrics_public=house.settings.metrics_public,
        failures_at=_failures_at,
        start=lambda: background.start(front.port),
        stop=background.stop,
    )
    return front


def _login_host(
    house: House, machine: Clock, estates: Estates, keys: SigningKeys, switches: Switches | None
) -> Application:
    settings, store = house.settings, house.store
    tokens = TokenMaker(keys, machine, settings.token_lifetime_s)
    issuer = Issuer(store, tokens, machine, FailedAttempts(machine), imds=settings.imds)
    served = (*own_login_hosts(settings), *LOGIN_HOSTS)
    journal = _journal(house, machine, "login")
    app = LoginHost(estates, keys, issuer, machine, served=served, login_url=settings.login_url, journal=journal)
    return Faulty(app, switches, "login") if switches else app


@dataclass(frozen=True)
class _Places:
    """Which application answers at which host."""

    hosts: VaultHosts
    own_logins: tuple[str, ...]
    vaults: Application
    login: Application
    management: Application
    board: Application | None
    plane: Application
    ocikms: Ocikms

    def pick(self, host: str, path: str) -> Application | None:
        """See `server.front.Pick`."""
        if self.board is not None and path.startswith(SWITCHBOARD_PATH):
            return self.board
        if host in self.own_logins:  # also where it would be a vault's name under a suffix of one's own
            return self.login
        if self.hosts.vault_name(host) is not None:
            return self.vaults
        if is_login_host(host):
            return self.login
        if is_management_host(host):
            return self.management
        if self.ocikms.hosts.owns(host, path):
            return self.ocikms.app
        return self.plane if _is_of_the_plane(path) else None


class _Background:
    """The work that runs beside requests: finishing a rotation that a crash cut short, the retention sweep, and what
    the control plane has to do.
    """

    def __init__(
        self,
        house: House,
        sweeper: Sweeper,
        purges: Purges,
        plane: Plane,
        oci: Ocikms,
        embedded: Ways,
    ) -> None:
        self._house = house
        self._sweeper = sweeper
        self._purges = purges
        self._plane = plane
        self._ocikms = oci
        self._embedded = embedded
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self, port: int | None) -> None:
        """`port` is where this server listens; None where it has no sockets, so that nobody can reach it over HTTPS."""
        authority = self._house.settings.data / "tls" / "ca.pem"
        azure, oci = self._embedded.azure, self._embedded.oci
        if port is None or not authority.exists():
            await self._plane.start(None, None)
        else:
            pem = authority.read_text()
            await self._plane.start(
                None
                if azure is None
                else EmbeddedAzure(azure.tenant_id, azure.client_id, azure.client_secret, port, pem),
                None
                if oci is None
                else EmbeddedOci(oci.tenancy_id, oci.user_id, oci.fingerprint, oci.private_key, oci.region, port, pem),
            )
        await self._ocikms.start()
        work = [self._finish_rotation(), self._sweeper.run()]
        if self._house.log is not None:
            work.append(self._house.checkpoints.run())
        self._tasks = [asyncio.create_task(each) for each in work]

    def wake(self) -> None:
        """The clock was moved."""
        self._sweeper.wake()
        self._plane.wake()
        self._ocikms.wake()

    async def _finish_rotation(self) -> None:
        """What cannot be finished is said and left: every value stays readable, and the next start tries again."""
        try:
            await self._house.rotation.finish()
        except Refusal as refusal:
            log.error("a rotation of keys could not be finished: %s", refusal)

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._plane.stop()
        await self._ocikms.stop()
        await self._purges.stop()


def _is_of_the_plane(path: str) -> bool:
    return path.lstrip("/").partition("/")[0] == "api"


def _failures_at(path: str) -> Failures:
    """What the front answers by itself, in the shape that the clients of that path read."""
    if _is_of_the_plane(path):
        return Failures(lambda status, message: control_plane_failure(status, message, new_uuid()))
    if is_oci_path(path):
        return Failures(oci_failure, oci_failure_headers)
    return Failures(_failure_body)


_CODES = {401: "Unauthorized", 403: "Forbidden", 404: "NotFound", 408: "RequestTimeout", 429: "Throttled"}


def _failure_body(status: int, message: str) -> bytes:
    """The shape that the vaults' clients read."""
    code = _CODES.get(status, "BadParameter" if status < 500 else "InternalServerError")
    return encode_error(code, message)
