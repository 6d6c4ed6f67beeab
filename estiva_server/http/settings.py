"""What a connection allows and for how long, as one value."""

import resource
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .simple import SimpleRequest

KIB = 1024
MIB = 1024 * KIB

_MOST_CONNECTIONS = 4096
_RESERVED_DESCRIPTORS = 128
_DESCRIPTORS_PER_CONNECTION = 3  # while a file is sent: the socket, its duplicate, the file


def affordable_connections() -> int:
    """How many connections the process's descriptor limit leaves room for, next to databases, listeners and logs."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return _MOST_CONNECTIONS
    reserve = min(_RESERVED_DESCRIPTORS, soft // 4)
    return max(1, min(_MOST_CONNECTIONS, (soft - reserve) // _DESCRIPTORS_PER_CONNECTION))


@dataclass(frozen=True, slots=True)
class ConnectionSettings:
    """Limits and sizes of every connection of a process. Times are seconds; sizes are bytes."""

    answer_prefix: bytes = b"/v2/"
    """Only targets that begin so are looked up among, or kept as, remembered answers."""
    inline_file_bytes: int = 256 * KIB
    """A remembered file up to this size is read and written in one go; a larger one goes by sendfile."""

    header_timeout: float = 10.0
    """From the opening of a connection, or the first byte of a later request, to the end of its header section."""
    keep_alive_timeout: float = 75.0
    """How long a connection may stay idle after a response."""
    stall_timeout: float = 30.0
    """How long a client may take nothing of a response that is waiting for it."""
    body_window: float = 30.0
    body_rate: int = KIB
    """A body must bring `body_rate` bytes per second, averaged over `body_window` seconds of waiting for it."""
    source_patience: float = 15.0
    """How long another server may bring nothing of what is passed on from its socket."""
    linger_timeout: float = 5.0
    linger_bytes: int = 16 * MIB
    """How long, and how much of, an unwanted body is discarded so that its sender can still read the response."""
    sweep_interval: float = 1.0
    """How often the timeouts above are looked at: each may be late by this much."""

    header_bytes: int = 32 * KIB
    target_bytes: int = 8 * KIB
    max_connections: int = field(default_factory=affordable_connections)
    max_connections_per_client: int = 1024
    retry_after: int = 1
    admits: Callable[["SimpleRequest"], bool] | None = None
    """Asked before a remembered answer is given, where requests are limited: otherwise the application answers."""
    refusal_headers: tuple[tuple[bytes, bytes], ...] = ()
    """Fields of every refusal that never reaches the application."""

    held_body_bytes: int = 128 * KIB
    """A body at least this long, or of unknown length, waits in the socket until the application asks for it."""
    pour_buffer_bytes: int = 512 * KIB
    sendfile_slice_bytes: int = 4 * MIB
    """What one connection sends of a file before others get their turn: under a millisecond. Smaller costs more CPU."""
    drain_bytes: int = 64 * KIB
    """A body with at most this much missing is read to keep the connection, if the application did not."""
