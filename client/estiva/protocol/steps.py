"""What a generator of the protocol may ask for, as plain data."""

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeAlias, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class FileSlice:
    """`length` bytes of a file, beginning at `offset`."""

    path: Path
    offset: int
    length: int

    def after(self, count: int) -> "FileSlice":
        """The same without its first `count` bytes."""
        return FileSlice(self.path, self.offset + count, self.length - count)


class Sink(Protocol):
    """Where the body of an answer goes instead of into memory."""

    def accept(self, response: "Response") -> bool:
        """Whether this answer's body is the one that is waited for; it comes in `write` then."""

    def write(self, piece: memoryview) -> None:
        """Take the next piece of the body; the memory is used again afterwards."""


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request: everything that goes on the wire, and where the answer's body goes."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | FileSlice = b""
    sink: Sink | None = None
    sent: Callable[[int], None] | None = None
    """Told how many bytes of the body were sent, as they are."""


@dataclass(frozen=True, slots=True)
class Response:
    """One answer; `headers` have lower-case names, `body` is empty where a sink took it."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""
    url: str = ""
    """The URL that was asked."""

    def header(self, name: str) -> str:
        """The value of a header, empty where there is none."""
        return self.headers.get(name.lower(), "")


@dataclass(frozen=True, slots=True)
class Pause:
    """Nothing for so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Call:
    """Work that may block for a while (files, other programs): the answer is what it returns."""

    work: Callable[[], Any]


@dataclass(frozen=True, slots=True)
class Parallel:
    """Several such generators at the same time; the answer is the list of what they return.

    Where one fails the others are stopped, and its error is the answer.
    """

    steps: Sequence["Steps[Any]"]


Step: TypeAlias = Request | Pause | Call | Parallel
Steps: TypeAlias = Generator[Step, Any, T]
