"""Ports that are kept for a server of a test, also while it is down."""

from __future__ import annotations

import socket
import sys

import pytest

from bench.ports import kept_ports


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a port cannot be kept")
def test_a_kept_port_is_refused_free_for_its_server_and_for_nobody_else() -> None:
    with kept_ports(2) as ports:
        assert len(set(ports)) == 2
        for _ in range(2):  # a server may come and go
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", ports[0]), 30)
            with socket.create_server(("127.0.0.1", ports[0])):
                socket.create_connection(("127.0.0.1", ports[0]), 30).close()
        with socket.socket() as another, pytest.raises(OSError, match="in use"):
            another.bind(("127.0.0.1", ports[0]))
    with socket.socket() as another:
        another.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        another.bind(("127.0.0.1", ports[1]))
