"""Ending a connection so that nothing of it is left, in the process or in the kernel."""

import asyncio
import os
import socket
import struct

_AT_ONCE = struct.pack("ii", 1, 0)


def reset(transport: asyncio.Transport) -> None:
    """Close at once, with a TCP reset, dropping what the kernel still holds for a client that does not take it.

    An ordinary close would leave megabytes of unsent data in the kernel until it gives up on the client.
    """
    connection = transport.get_extra_info("socket")
    if connection is not None:
        descriptor = os.dup(connection.fileno())
        # Any family will do: the option is the socket's. Loops do not let a transport's own socket be set.
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM, 0, fileno=descriptor) as duplicate:
            duplicate.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
    transport.abort()
