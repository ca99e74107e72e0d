"""Where webhooks may go, what signs them, and when they are tried again. Pure.

A receiver is named by an admin or by who sets this server up, and is usually inside the same network, so private
addresses are allowed. Never allowed are addresses that only mean something to the machine itself (link-local ones,
where clouds keep the credentials of their machines), whatever name leads there, and the server's own switchboard.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from datetime import UTC
from email.utils import parsedate_to_datetime

import msgspec

from claviger.core.sensitive import Sensitive
from claviger.outgoing.hosts import is_local

MOST_URL = 2048
MOST_ERROR = 300
SECRET_BYTES = (24, 64)
SECRET_PREFIX = "whsec_"  # noqa: S105 - what every secret begins with

BACKOFF_S = (5.0, 30.0, 120.0, 600.0, 1800.0, 3600.0, 7200.0, 14_400.0, 28_800.0, 28_800.0)
"""How long to wait after each failed attempt: eleven attempts in about a day, then a delivery is dead."""
LONGEST_RETRY_AFTER_S = 86_400.0
LONGEST_PAUSE_S = 60.0

SWITCHBOARD = "/claviger/switches"
_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_URL = re.compile(
    rf"(?P<scheme>https?)://(?:(?P<name>{_LABEL}(?:\.{_LABEL})*\.?)|\[(?P<six>[0-9A-Fa-f:.]{{2,45}})\])"
    r"(?::(?P<port>[1-9][0-9]{0,4}))?(?P<path>/[!-~]*)?(?P<query>\?[!-~]*)?",
)
_ESCAPED = re.compile(r"%([0-9A-Fa-f]{2})")
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")

_REFUSED = [
    (ipaddress.ip_network(network), why)
    for network, why in (
        ("169.254.0.0/16", "link-local"),
        ("fe80::/10", "link-local"),
        ("0.0.0.0/8", "no host's address"),
        ("::/128", "no host's address"),
        ("224.0.0.0/4", "a multicast address"),
        ("ff00::/8", "a multicast address"),
        ("240.0.0.0/4", "a reserved address"),
        # Where clouds keep credentials of their machines outside the link-local range: Azure, Alibaba, AWS, Google.
        ("168.63.129.16/32", "a cloud's address for its machines"),
        ("100.100.100.200/32", "a cloud's address for its machines"),
        ("fd00:ec2::254/128", "a cloud's address for its machines"),
        ("fd20:ce::254/128", "a cloud's address for its machines"),
    )
]
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_COMPATIBLE = ipaddress.ip_network("::/96")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Outcome(msgspec.Struct, frozen=True):
    """How an attempt ended. `status` None: there was no answer. `error` is what an admin reads, empty for a success."""

    status: int | None
    error: str
    retry_after: str = ""


def why_refused(address: str) -> str | None:
    """Why nothing is ever sent to an IP address, or None. An address inside another one counts as itself."""
    found = _inner(ipaddress.ip_address(address))
    return next((why for network, why in _REFUSED if found in network), None)


def is_odd_address(host: str) -> bool:
    """Whether a host is all digits but no address as addresses are written (2852039166): it is never asked for."""
    return _literal(host) is None and host.replace(".", "").isdigit()


def url_problem(url: str) -> str | None:
    """What is wrong with the URL of a receiver, or None. What its name resolves to is looked at when it is sent to."""
    found = _URL.fullmatch(url)
    if len(url) > MOST_URL or found is None or int(found["port"] or 443) > 65_535 or _BAD_ESCAPE.search(url):
        return f"must be an https URL of up to {MOST_URL} characters, without a user, a fragment or spaces"
    if "#" in url:
        return "must have no fragment"
    wrong = _host_problem(found["six"] or found["name"], found["scheme"])
    if wrong is not None:
        return wrong
    path = _ESCAPED.sub(lambda escaped: chr(int(escaped[1], 16)), (found["path"] or "/").partition("?")[0])
    if any(part in (".", "..") for part in path.split("/")):
        return "must have no . or .. in its path"
    if path.startswith(SWITCHBOARD):
        return "is the switchboard's"
    return None


def _host_problem(host: str, scheme: str) -> str | None:
    literal = _literal(host)
    if literal is None and (":" in host or is_odd_address(host)):
        return "has an address that is not valid, or in an unusual form"
    why = None if literal is None else why_refused(host)
    if why is not None:
        return f"names {host}, which is {why}"
    if scheme == "http" and not (is_local(host) if literal is None else _inner(literal).is_loopback):
        return "must be https; http is for this machine itself (localhost) alone"
    return None


def key_of(secret: Sensitive) -> bytes | None:
    """The bytes that a webhook's secret stands for (Standard Webhooks); None where it is not of that form."""
    try:
        key = base64.b64decode(secret.reveal_text().removeprefix(SECRET_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        return None
    return key if SECRET_BYTES[0] <= len(key) <= SECRET_BYTES[1] else None


def written(key: bytes) -> Sensitive:
    """A secret as it is shown to receivers."""
    return Sensitive(SECRET_PREFIX + base64.b64encode(key).decode())


def pause_after(attempts: int, retry_after_s: float | None) -> float | None:
    """How long to wait after so many attempts that failed; None where that was the last."""
    if attempts > len(BACKOFF_S):
        return None
    return max(BACKOFF_S[attempts - 1], min(retry_after_s or 0.0, LONGEST_RETRY_AFTER_S))


def retry_after(text: str, now: float) -> float | None:
    """Seconds to wait by a `Retry-After`, which is a number of them or a date; None where it is neither."""
    told = text.strip()
    if told.isascii() and told.isdigit() and len(told) <= 9:
        return float(told)
    try:
        date = parsedate_to_datetime(told)
        return max(0.0, (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - now)
    except (ValueError, TypeError, OverflowError):
        return None


def pause_of_receiver(failures: int) -> float:
    """How long nothing at all is sent to a receiver that could not be reached so many times in a row."""
    return min(LONGEST_PAUSE_S, 2.0 ** min(failures, 10))


def _literal(host: str) -> Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _inner(address: Address) -> Address:
    """The IPv4 address that an IPv6 address only wraps, or the address itself."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    wrapped = address.ipv4_mapped or address.sixtofour
    if wrapped is None and (address in _NAT64 or (address in _COMPATIBLE and int(address) > 1)):
        wrapped = ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return wrapped or address
