"""Where a connection is between a client's requests."""

import enum


class Phase(enum.Enum):
    """What the next bytes from the client are."""

    IDLE = enum.auto()  # the beginning of a request
    HEAD = enum.auto()  # more of a header section
    HELD = enum.auto()  # a body the application has not asked for: left in the socket
    BODY = enum.auto()  # a body, for the application's receive()
    POURING = enum.auto()  # a body, read by a worker thread
    BUSY = enum.auto()  # a later request, while this one's response is not complete: kept
    LINGER = enum.auto()  # unwanted: discarded, until the client has read the response


AWAITING = frozenset({Phase.IDLE, Phase.HEAD, Phase.LINGER})
"""The phases in which the server owes the client nothing."""
