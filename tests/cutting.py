"""A wire between the control plane and a cloud that a test can cut: after the request has arrived, before the answer.

Passes bytes on unread. `cut_answer(skip)` lets so many exchanges of a connection pass, hands the next request on, and
cuts the connection when the first byte of its answer is there. `cut_all` and `restore` are a network that is down.
"""

from __future__ import annotations

import socket
import threading


class Wire:
    """Listens on a free port of the loopback and leads to `target`, another port there."""

    def __init__(self, target: int) -> None:
        self.target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._down = False
        self._skip: int | None = None
        self.cuts = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def cut_answer(self, skip: int = 0) -> None:
        """Cuts the next answer but `skip`, once. Exchanges are counted on connections that are open already."""
        with self._lock:
            self._skip = skip

    def cut_all(self) -> None:
        """Cuts everything there is, and lets nothing new through."""
        with self._lock:
            self._down = True
            self.cuts += len(self._open) // 2
            for each in self._open:
                _shut(each)

    def restore(self) -> None:
        """Lets new connections through again."""
        with self._lock:
            self._down = False

    def close(self) -> None:
        """Ends everything."""
        self._listener.close()
        self.cut_all()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(near,), daemon=True).start()

    def _serve(self, near: socket.socket) -> None:
        try:
            far = socket.create_connection(("127.0.0.1", self.target), timeout=30)
        except OSError:
            near.close()
            return
        far.settimeout(None)
        with self._lock:
            if self._down:
                near.close()
                far.close()
                return
            self._open |= {near, far}
        asked = threading.Event()
        out = threading.Thread(target=self._pass_on, args=(near, far, asked), daemon=True)
        out.start()
        self._bring_back(far, near, asked)
        out.join()
        with self._lock:
            self._open -= {near, far}
        near.close()
        far.close()

    def _pass_on(self, near: socket.socket, far: socket.socket, asked: threading.Event) -> None:
        while data := _read(near):
            asked.set()
            if not _write(far, data):
                break
        _shut(far)

    def _bring_back(self, far: socket.socket, near: socket.socket, asked: threading.Event) -> None:
        while data := _read(far):
            if asked.is_set():
                asked.clear()
                if self._cuts_this():
                    break
            if not _write(near, data):
                break
        _shut(near)
        _shut(far)

    def _cuts_this(self) -> bool:
        with self._lock:
            if self._skip is None:
                return False
            self._skip -= 1
            if self._skip >= 0:
                return False
            self._skip = None
            self.cuts += 1
            return True


def _read(end: socket.socket) -> bytes:
    try:
        return end.recv(65_536)
    except OSError:
        return b""


def _write(end: socket.socket, data: bytes) -> bool:
    try:
        end.sendall(data)
    except OSError:
        return False
    return True


def _shut(end: socket.socket) -> None:
    try:
        end.shutdown(socket.SHUT_RDWR)
    except OSError:
        return
