"""The checks of `claviger doctor`, each a sentence about what was found and, where it is wrong, the fix."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import ssl
import stat
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path

import msgspec

from claviger import bootstrap
from claviger.cli.demo import Demos, load_demos
from claviger.cli.output import moment
from claviger.cli.running import Running, find_running, health
from claviger.core.clock import SystemClock
from claviger.core.errors import Refusal
from claviger.keyvault.challenge import LOGIN_HOST
from claviger.keyvault.directory.demo import DemoAccess
from claviger.keyvault.hosts import LOCAL_SUFFIX
from claviger.keyvault.moving.records import unfinished_imports
from claviger.ocikms.hosts import LOCAL_DOMAIN
from claviger.ocikms.identity.regions import DEFAULT
from claviger.settings import Settings

_TIMEOUT_S = 20.0


class Check(msgspec.Struct, frozen=True):
    """One finding. `ok` is None where there was nothing to check."""

    what: str
    ok: bool | None
    found: str
    fix: str | None = None


def all_checks(settings: Settings) -> list[Check]:
    """Every check, in the order in which they build on one another."""
    running = find_running(settings.data)
    opened, demos, unfinished = _database(settings)
    checks = [_private(settings.data), opened, *unfinished, _server(settings, running)]
    if running is None:
        return checks
    demo = demos.azure
    demo_host = f"{demo.vault if demo else 'demo'}.{LOCAL_SUFFIX}"
    checks += [_name(demo_host), _name(LOGIN_HOST)]
    bundle = settings.data / "tls" / "bundle.pem"
    checks += [_certificate(running, host, bundle) for host in (demo_host, LOGIN_HOST)]
    if demo is not None and all(check.ok for check in checks):
        checks.append(_sign_in(running, demo, demo_host, bundle))
    oci_host = f"kms.{demos.oci.region if demos.oci else DEFAULT}.{LOCAL_DOMAIN}"
    return [*checks, _oci_name(f"a-management.{oci_host}"), _certificate(running, oci_host, bundle)]


def _private(data: Path) -> Check:
    mode = stat.S_IMODE(data.stat().st_mode)
    if mode & 0o077:
        return Check("data directory", False, f"{data} is open to others", f"chmod 700 {data}")
    return Check("data directory", True, f"{data.resolve()}, only its owner may enter")


def _database(settings: Settings) -> tuple[Check, Demos, list[Check]]:
    async def look() -> tuple[str, Demos, list[tuple[str, int]]]:
        async with bootstrap.opened(settings, SystemClock()) as house:
            return house.store.kind, await load_demos(house), await unfinished_imports(house.store)

    try:
        kind, demos, imports = asyncio.run(look())
    except Refusal as refusal:
        fix = refusal.facts.get("fix")
        return Check("database and root key", False, str(refusal), str(fix) if fix else None), Demos(), []
    unfinished = [
        Check(f"import into {vault}", False, f"began {moment(began_at)} and has not ended", "run the same import again")
        for vault, began_at in imports
    ]
    return Check("database and root key", True, f"{kind} opens, and the root key belongs to it"), demos, unfinished


def _server(settings: Settings, running: Running | None) -> Check:
    if running is None:
        return Check("server", False, "does not run", f"claviger start --data {settings.data}")
    told = health(running)
    if told is None:
        return Check("server", False, f"{running.url}/health does not answer", f"look into {settings.data}/server.log")
    return Check("server", True, f"{running.url} says {told.get('status')}, version {told.get('version')}")


def _name(host: str) -> Check:
    try:
        found = {entry[4][0] for entry in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)}
    except OSError:
        fix = f"install libnss-myhostname, or add to /etc/hosts: 127.0.0.1 {host}"
        return Check(f"name {host}", False, "does not resolve", fix)
    return Check(f"name {host}", True, f"resolves to {', '.join(sorted(str(each) for each in found))}")


def _oci_name(host: str) -> Check:
    """A name that any vault may have. What does not resolve is no fault: there are two ways without names."""
    check = _name(host)
    if check.ok:
        return check
    fix = "install libnss-myhostname; without it use claviger exec, or give vaults ports (CLAVIGER_OCI_PORTS)"
    return msgspec.structs.replace(check, ok=None, fix=fix)


def _certificate(running: Running, host: str, bundle: Path) -> Check:
    def look() -> str:
        context = ssl.create_default_context(cafile=str(bundle))
        address = urllib.parse.urlsplit(running.url).hostname
        with (
            socket.create_connection((address, running.port), _TIMEOUT_S) as plain,
            context.wrap_socket(plain, server_hostname=host) as secure,
        ):
            return str(secure.version())

    return _attempt(f"certificate of {host}", look, "is trusted, {}", "use the files that claviger env names")


def _sign_in(running: Running, demo: DemoAccess, host: str, bundle: Path) -> Check:
    context = ssl.create_default_context(cafile=str(bundle))
    form = {
        "grant_type": "client_credentials",
        "client_id": demo.client_id,
        "client_secret": demo.client_secret.reveal_text(),
        "scope": f"https://{LOCAL_SUFFIX}:{running.port}/.default",
    }

    def look() -> str:
        token_url = f"https://{LOGIN_HOST}:{running.port}/{demo.tenant_id}/oauth2/v2.0/token"
        token = _fetched(urllib.request.Request(token_url, urllib.parse.urlencode(form).encode()), context)
        listing = urllib.request.Request(f"https://{host}:{running.port}/secrets?api-version=7.4&maxresults=1")
        listing.add_header("Authorization", f"Bearer {token['access_token']}")
        _fetched(listing, context)
        return host

    return _attempt("sign-in", look, "the demo application may list {}", "see what claviger role list --app demo says")


def _fetched(request: urllib.request.Request, context: ssl.SSLContext) -> dict[str, str]:
    with urllib.request.urlopen(request, timeout=_TIMEOUT_S, context=context) as answer:  # noqa: S310 - always https
        told: dict[str, str] = json.load(answer)
        return told


def _attempt(what: str, look: Callable[[], str], sentence: str, fix: str) -> Check:
    with contextlib.suppress(OSError, ValueError, KeyError):
        return Check(what, True, sentence.format(look()))
    try:
        look()
    except (OSError, ValueError, KeyError) as failure:
        return Check(what, False, f"{type(failure).__name__}: {failure}", fix)
    return Check(what, True, "works, at the second try")
