"""`python -m claviger.testing.child PID COMMAND ...`: a `claviger` command that ends when the process PID does.

A test run that is killed leaves no server behind.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time

_LOOK_EVERY_S = 1.0


def main() -> None:
    """Watches the parent, and becomes the command."""
    parent = int(sys.argv.pop(1))
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    from claviger.cli.main import main as claviger

    claviger()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_LOOK_EVERY_S)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()
