"""A blob's bytes on a plain socket: what a store elsewhere may offer to who has the kernel pass them on."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Wanted:
    """A part of a blob."""

    offset: int
    length: int
    """At least one byte."""
    size: int
    """Of the whole blob."""

    @property
    def is_all(self) -> bool:
        """Whether it is the whole blob."""
        return self.length == self.size

    @property
    def last(self) -> int:
        """Where the last byte is."""
        return self.offset + self.length - 1


class DirectBody(Protocol):
    """`begun`, and behind that `left` bytes that nobody has read from the socket `fileno` yet."""

    begun: bytes
    left: int

    def fileno(self) -> int:
        """The socket's descriptor; it does not block."""
        ...

    def close(self, *, was_taken: bool = False) -> None:
        """Let go of the connection; it is used again if all of the body was taken from it. Idempotent."""
        ...
