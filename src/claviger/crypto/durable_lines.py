"""A small text file that survives crashes and concurrent writers: a header, a notice, one line for each entry.

A change happens under a lock file: the whole new content is written beside the old one, brought to disk, and
moved into place. A file that does not exist is made without ever replacing one that appeared meanwhile.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from claviger.core.errors import Busy, Damaged, Misconfigured

_MOST_BYTES = 64 * 1024
_LOCK_WAIT_S = 10.0


class DurableLines:
    """The entries of one file.

    `private` files are refused where anybody but their owner may read or write them.
    """

    def __init__(self, path: Path, *, header: str, notice: str, private: bool) -> None:
        self.path = path
        self._header = header
        self._notice = notice
        self._private = private

    def read(self) -> list[str]:
        """The entries, or none where there is no file.

        Raises Misconfigured("RootKeyFileExposed"), Misconfigured("RootKeyFileUnreadable") or
        Damaged("RootKeyFile").
        """
        try:
            with self.path.open("rb") as file:
                status = os.fstat(file.fileno())
                if self._private and stat.S_IMODE(status.st_mode) & 0o077:
                    raise Misconfigured(
                        "RootKeyFileExposed",
                        path=str(self.path),
                        fix=f"others may touch the root key: chmod 600 {self.path}",
                    )
                content = file.read(_MOST_BYTES + 1)
        except FileNotFoundError:
            return []
        except OSError as error:
            raise self._unusable(error) from None
        return self._entries(content)

    def change(self, edit: Callable[[list[str]], list[str]]) -> list[str]:
        """Makes the entries what `edit` answers for the present ones; the new entries, on disk by then.

        An entry that `edit` leaves out is gone, and it leaves at least one. The file is not touched where nothing
        changes. Raises what `read` and `edit` raise, and Busy("RootKeyFileLocked") when another process holds the file
        for 10 s.
        """
        with self._locked():
            present = self.read()
            wanted = edit(present)
            if wanted != present:
                try:
                    self._replace(wanted)
                except OSError as error:
                    raise self._unusable(error) from None
        return wanted

    def damaged(self) -> Damaged:
        """The error for an entry that does not hold what it should."""
        fix = "the file is not what Claviger wrote: bring it back from a copy"
        return Damaged("RootKeyFile", path=str(self.path), fix=fix)

    def _entries(self, content: bytes) -> list[str]:
        try:
            lines = content.decode("ascii").split("\n")
        except UnicodeDecodeError:
            raise self.damaged() from None
        if len(content) > _MOST_BYTES or lines[0] != self._header or lines.pop() != "":
            raise self.damaged()
        entries = [line for line in lines[1:] if not line.startswith("#")]
        if not entries:  # it is never written without one
            raise self.damaged()
        return entries

    def _replace(self, entries: list[str]) -> None:
        target = Path(os.path.realpath(self.path))
        beside = target.with_name(target.name + ".tmp")  # one name, so that what a crash left is cleared away
        beside.unlink(missing_ok=True)
        content = "\n".join([self._header, f"# {self._notice}", *entries, ""]).encode("ascii")
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), 0o600)
            with contextlib.suppress(FileNotFoundError):  # a superuser's change must leave the server its file
                owner = target.stat()
                if (owner.st_uid, owner.st_gid) != (os.geteuid(), os.getegid()):
                    os.fchown(file.fileno(), owner.st_uid, owner.st_gid)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if target.exists():
            os.replace(beside, target)
        else:
            os.link(beside, target)  # refuses to replace, unlike a rename
            beside.unlink()
        directory = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            lock = os.open(f"{self.path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise self._unusable(error) from None
        try:
            give_up_at = time.monotonic() + _LOCK_WAIT_S
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > give_up_at:
                        raise Busy("RootKeyFileLocked", path=str(self.path)) from None
                    time.sleep(0.02)
            yield
        finally:
            os.close(lock)

    def _unusable(self, error: OSError) -> Misconfigured:
        return Misconfigured(
            "RootKeyFileUnreadable",
            path=str(self.path),
            error=error.strerror or type(error).__name__,
            fix="its directory must exist, and the server's user must be able to read and write there",
        )
