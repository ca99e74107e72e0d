"""Makes `demo.vault.localhost`, `login.localhost` and `management.localhost` lead here where they do not yet.

Browsers and systemd know every `*.localhost`; plain Debian, containers and macOS do not. In this order: nothing, if
the names resolve; the package `libnss-myhostname`, which answers for all of them; one marked line in /etc/hosts; a note
what to do. Never an error: the server runs without the names, only clients need them.

A vault of OCI has names that are known only once it is made, so a file cannot hold them; the package does.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from scripts.machine import apt_install, privilege, run, say

NAMES = ("demo.vault.localhost", "login.localhost", "management.localhost")
OCI_VAULT = "a-management.kms.us-ashburn-1.localhost"
HOSTS = Path("/etc/hosts")
LINE = f"127.0.0.1 {' '.join(NAMES)}  # Claviger: names of the local vault"

_RESOLVE = """
import ipaddress, socket, sys
for name in sys.argv[1:]:
    for answer in socket.getaddrinfo(name, 443):
        assert ipaddress.ip_address(answer[4][0]).is_loopback
"""


def main() -> None:
    """Does what it may, says what it did or what is left to do."""
    if resolve(*NAMES, OCI_VAULT):
        return
    if shutil.which("apt-get") and privilege() is not None:
        apt_install("libnss-myhostname")
        if resolve(*NAMES, OCI_VAULT):
            say("*.localhost now resolves (libnss-myhostname)")
            return
    if not resolve(*NAMES):
        if not _append_to_hosts() or not resolve(*NAMES):
            print(
                f"\nNote: {', '.join(NAMES)} do not resolve on this machine, so clients will not find the server.\n"
                f"Fix: install libnss-myhostname, or: echo '{LINE}' | sudo tee -a {HOSTS}\n",
                flush=True,
            )
            return
        say(f"added to {HOSTS}: {LINE}")
    say("the names of OCI's vaults do not resolve here: use claviger exec, or CLAVIGER_OCI_PORTS (docs/oci.md)")


def resolve(*names: str) -> bool:
    """Whether all names lead to this machine. Asked in a new process: one that runs may have read the old settings."""
    return run([sys.executable, "-c", _RESOLVE, *names], timeout_s=30).returncode == 0


def _append_to_hosts() -> bool:
    before = privilege()
    if before is None:
        return False
    try:
        present = HOSTS.read_text()
        if LINE in present:
            return True
        text = ("" if present.endswith("\n") or not present else "\n") + LINE + "\n"
        command = [*before, "tee", "-a", str(HOSTS)]
        done = subprocess.run(command, input=text, text=True, capture_output=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


if __name__ == "__main__":
    main()
