"""Which TCP ports the stack uses: those that addresses already handed out carry, if they are still free."""

from __future__ import annotations

import socket

LOOPBACK = "127.0.0.1"


def free_port(*preferred: int | None) -> int:
    """The first of the preferred ports that nobody listens on, else any free one."""
    for port in preferred:
        if port is not None and _is_free(port):
            return port
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def _is_free(port: int) -> bool:
    """Nobody listens on it, not on all addresses either; connections that are still closing don't count."""
    for address in (LOOPBACK, "0.0.0.0"):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((address, port))
            except OSError:
                return False
    return True
