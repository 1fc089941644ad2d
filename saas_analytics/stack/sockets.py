"""Which ports of this machine are free."""

from __future__ import annotations

import socket

from saas_analytics.settings import SettingsError


def port_is_free(port: int) -> bool:
    """Whether a server could listen on the port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the servers do
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_port(first: int, taken: frozenset[int] = frozenset()) -> int:
    """The first free port from `first` on that is not in `taken`. SettingsError if there is none.

    It is below 32768: from there on the system takes ports for outgoing connections.
    """
    for port in range(first, 32768):
        if port not in taken and port_is_free(port):
            return port
    raise SettingsError(
        f"No free port from {first} to 32767 on 127.0.0.1. Stop a program that listens there."
    )
