"""New files that only their owner may read, for what a command hands out: a private key, a profile."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from claviger.core.errors import Conflict, Misconfigured


@contextlib.contextmanager
def new_private_file(path: Path) -> Iterator[TextIO]:
    """The file, made before the work begins that it is for, so that nothing is made that cannot be written down.

    It is gone again if the work fails. Raises Conflict("FileExists"), Misconfigured("FileUnwritable").
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise Conflict("FileExists", path=path, fix="name another file, or remove this one first") from None
    except OSError as failure:
        fix = "name a file in a folder that you may write to"
        raise Misconfigured("FileUnwritable", path=path, problem=failure.strerror, fix=fix) from None
    try:
        with os.fdopen(descriptor, "w") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        path.unlink(missing_ok=True)
        raise
