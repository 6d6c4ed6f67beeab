"""Waiting for something to be so, with a deadline that no machine misses."""

import socket
import time
from contextlib import suppress


def await_port(port: int, patience: float = 60) -> None:
    """Until somebody listens on that port of 127.0.0.1."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.02)
    raise AssertionError(f"nobody listens on port {port}")
