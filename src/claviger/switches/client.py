"""Moving the switches of a running server, from a command or a test. Nothing but the standard library and msgspec."""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.request
from datetime import datetime
from pathlib import Path
from typing import Any

from claviger.core.errors import Invalid, Misconfigured
from claviger.core.sensitive import Sensitive
from claviger.switches.routes import PATH

TIMEOUT_S = 30.0


class Switchboard:
    """A server's switchboard. Each method answers all switches as they stand afterwards.

    Raises Invalid with the server's words for a move that is refused, Misconfigured where it does not answer.
    """

    def __init__(self, base_url: str, token: Sensitive, ca_file: Path) -> None:
        """`base_url` is the server's address, `https://127.0.0.1:PORT`."""
        self._base_url = base_url.rstrip("/") + PATH
        self._token = token
        context = ssl.create_default_context(cafile=str(ca_file))
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
        )

    def show(self) -> dict[str, Any]:
        """All switches."""
        return self._call("GET", "")

    def clock_set(self, at: float | datetime) -> dict[str, Any]:
        """Moves the clock to a time."""
        return self._call("POST", "/clock", at=at.isoformat() if isinstance(at, datetime) else at)

    def clock_advance(self, seconds: float) -> dict[str, Any]:
        """Moves the clock by some seconds, also back."""
        return self._call("POST", "/clock", advance_s=seconds)

    def clock_freeze(self) -> dict[str, Any]:
        """Stops the clock."""
        return self._call("POST", "/clock", frozen=True)

    def clock_run(self) -> dict[str, Any]:
        """Lets the clock go on from where it stands."""
        return self._call("POST", "/clock", frozen=False)

    def clock_reset(self) -> dict[str, Any]:
        """Follows the machine's clock again."""
        return self._call("POST", "/clock", reset=True)

    def fault_add(self, **fields: object) -> int:
        """Arms a fault, by the fields of `switches.faults.Fault`; its id."""
        standing = self._call("POST", "/faults", **fields)["faults"]
        return int(standing[-1]["fault"]["id"])

    def fault_remove(self, fault_id: int) -> dict[str, Any]:
        """Disarms one fault."""
        return self._call("DELETE", f"/faults/{fault_id}")

    def faults_clear(self) -> dict[str, Any]:
        """Disarms all faults."""
        return self._call("DELETE", "/faults")

    def settle(self, delete_s: int = 0, recover_s: int = 0) -> dict[str, Any]:
        """How long a delete and a recover are under way from now on."""
        return self._call("POST", "/delays", delete_s=delete_s, recover_s=recover_s)

    def limits(self, **fields: object) -> dict[str, Any]:
        """Throttles by the fields of `switches.throttle.Limits`; without any by the published limits."""
        return self._call("POST", "/limits", limits=fields)

    def limits_off(self) -> dict[str, Any]:
        """Throttles no more."""
        return self._call("POST", "/limits", limits=None)

    def revoke_tokens(self, issued_before: float | None = None) -> dict[str, Any]:
        """Wants tokens issued from now (or that second) on; 0 takes it back."""
        return self._call("POST", "/revoke", issued_before=issued_before)

    def _call(self, method: str, path: str, **fields: object) -> dict[str, Any]:
        body = json.dumps(fields).encode() if method == "POST" else None
        request = urllib.request.Request(self._base_url + path, body, method=method)  # noqa: S310 - always https
        request.add_header("Authorization", f"Bearer {self._token.reveal_text()}")
        try:
            with self._opener.open(request, timeout=TIMEOUT_S) as answer:
                told: dict[str, Any] = json.load(answer)
                return told
        except urllib.error.HTTPError as failure:
            raise Invalid("SwitchRefused", told=_words(failure)) from None
        except (OSError, ValueError) as failure:
            raise Misconfigured(
                "SwitchboardSilent",
                problem=type(failure).__name__,
                fix="start the server with its switches: claviger serve --switches",
            ) from None


def _words(failure: urllib.error.HTTPError) -> str:
    try:
        return str(json.load(failure)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return str(failure)
