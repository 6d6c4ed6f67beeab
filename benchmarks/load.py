"""A lean load generator: one thread, many keep-alive connections, one epoll.

A *conversation* is a generator that yields what it waits for: a descriptor, and ``READ`` or ``WRITE``. Bodies are sent
with ``sendfile`` and received without being copied out of the kernel (``MSG_TRUNC``), because the load
generator shares the machine's cores with the server that it measures.
"""

from __future__ import annotations

import os
import select
import socket
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from time import perf_counter
from types import TracebackType
from typing import NamedTuple, TypeVar

from benchmarks.figures import percentile
from benchmarks.scenario import Door, Sample, ScenarioFailed

READ = select.EPOLLIN
WRITE = select.EPOLLOUT
_GRACE = 60.0
"""Seconds that answers under way may still take when the time is over."""
_BLOCK = 1 << 20

T = TypeVar("T")
Waiting = Generator[tuple[int, int], None, T]
"""A conversation that ends with a value of type T."""


class Answer(NamedTuple):
    """The status, the lower-case headers and the body's length of an HTTP response."""

    status: int
    headers: dict[str, str]
    length: int


class Connection:
    """A keep-alive HTTP/1.1 connection whose every blocking point is a ``yield``."""

    def __init__(self, door: Door) -> None:
        self.socket = socket.create_connection(door.address, timeout=10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        self._fields = "".join(f"{line}\r\n" for line in door.fields).encode()
        self._buffer = bytearray(_BLOCK)
        self._reads, self._writes = (self.socket.fileno(), READ), (self.socket.fileno(), WRITE)
        self._others: dict[Door, Connection] = {}

    def other(self, door: Door) -> Connection:
        """A connection to somebody else, kept as long as this one: for where a redirect leads."""
        if door not in self._others:
            self._others[door] = Connection(door)
        return self._others[door]

    def request(self, method: str, path: str, *headers: str) -> bytes:
        """The head of a request."""
        lines = "".join(f"{header}\r\n" for header in headers).encode()
        return b"%b %b HTTP/1.1\r\n%b%b\r\n" % (method.encode(), path.encode(), self._fields, lines)

    def send(self, data: bytes, *, more: bool = False) -> Waiting[None]:
        """Send everything; ``more`` says that a body follows and may share the packet."""
        view = memoryview(data)
        while view:
            try:
                view = view[self.socket.send(view, socket.MSG_MORE if more else 0) :]
            except BlockingIOError:
                yield self._writes

    def send_file(self, descriptor: int, count: int) -> Waiting[None]:
        """Send the first ``count`` bytes of a file without copying them."""
        offset = 0
        while offset < count:
            try:
                offset += os.sendfile(self.socket.fileno(), descriptor, offset, count - offset)
            except BlockingIOError:
                yield self._writes

    def answer(self, *expected: int) -> Waiting[Answer]:
        """Receive a whole answer, drop its body, and fail unless its status is one of those expected."""
        head = b""
        while (end := head.find(b"\r\n\r\n")) < 0:
            yield self._reads
            head += self._received(self.socket.recv(64 << 10))
        status, headers = _parse(head[:end])
        if status not in expected:
            raise ScenarioFailed(f"the registry answered {status} where {expected[0]} belongs: {head[:300]!r}")
        begun = len(head) - end - 4
        if headers.get("transfer-encoding") == "chunked":
            return Answer(status, headers, (yield from self._rest_of_chunks(head[end + 4 :])))
        if status != 204 and "content-length" not in headers:
            raise ScenarioFailed(f"an answer without a Content-Length: {head[:300]!r}")
        length = int(headers.get("content-length", "0"))
        yield from self._drop(length - begun)
        return Answer(status, headers, length)

    def _rest_of_chunks(self, body: bytes) -> Waiting[int]:
        # Good enough for small JSON, the only thing that comes in chunks: no JSON ends like this.
        while not body.endswith(b"0\r\n\r\n"):
            yield self._reads
            body += self._received(self.socket.recv(64 << 10))
        return len(body)

    def _drop(self, missing: int) -> Waiting[None]:
        while missing > 0:
            try:
                count = self.socket.recv_into(self._buffer, min(missing, _BLOCK), socket.MSG_TRUNC)
            except BlockingIOError:
                yield self._reads
                continue
            if not count:
                raise ScenarioFailed(f"the registry hung up {missing} bytes before the end of an answer")
            missing -= count

    @staticmethod
    def _received(data: bytes) -> bytes:
        if not data:
            raise ScenarioFailed("the registry hung up instead of answering")
        return data

    def __enter__(self) -> Connection:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.socket.close()
        for other in self._others.values():
            other.socket.close()


def _parse(head: bytes) -> tuple[int, dict[str, str]]:
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = (line.partition(":") for line in lines)
    return int(first.split(" ", 2)[1]), {name.lower(): value.strip() for name, _, value in headers}


Operation = Callable[[Connection], Waiting[int]]
"""One measured operation on a connection; it returns how many body bytes it moved."""


@dataclass
class Tally:
    """What has been done so far."""

    bytes: int = 0
    latencies: list[float] = field(default_factory=list)

    def sample(self, seconds: float) -> Sample:
        """The figures of a finished run."""
        if not self.latencies:
            raise ScenarioFailed("no operation was finished")
        return Sample(
            operations=len(self.latencies),
            bytes=self.bytes,
            seconds=seconds,
            p50_ms=percentile(self.latencies, 0.5) * 1000,
            p99_ms=percentile(self.latencies, 0.99) * 1000,
        )


def run(door: Door, connections: int, seconds: float, operations: Iterable[Operation]) -> Sample:
    """Take operations one by one over so many connections until they or the time are used up.

    No operation begins after ``seconds``; those under way are finished and count, and so does the
    time they need.
    """
    tally = Tally()
    pending = iter(operations)
    with ExitStack() as opened:
        users = [opened.enter_context(Connection(door)) for _ in range(connections)]
        begun = perf_counter()
        _drive([_take(user, pending, tally, begun + seconds) for user in users], seconds)
        return tally.sample(perf_counter() - begun)


def _take(user: Connection, pending: Iterator[Operation], tally: Tally, deadline: float) -> Waiting[None]:
    for operation in pending:
        begun = perf_counter()
        moved = yield from operation(user)
        ended = perf_counter()
        tally.bytes += moved
        tally.latencies.append(ended - begun)
        if ended >= deadline:
            return


def _drive(conversations: Iterable[Waiting[None]], seconds: float) -> None:
    """Advance each conversation whenever the descriptor that it waits for is ready, until all have ended."""
    limit = perf_counter() + seconds + _GRACE
    with _Waiters() as waiters:
        for conversation in conversations:
            waiters.advance(conversation)
        while waiters.wanted:
            ready = waiters.poll.poll(1.0)
            if perf_counter() > limit:
                raise ScenarioFailed(f"{len(waiters.wanted)} connections still waited for an answer at the end")
            for descriptor, _ in ready:
                waiters.advance(waiters.wanted[descriptor][1])


class _Waiters:
    """The conversations that wait, each registered for what it waits for."""

    def __init__(self) -> None:
        self.wanted: dict[int, tuple[int, Waiting[None]]] = {}
        """By descriptor, what is waited for there and who waits."""
        self.poll = select.epoll()
        self._waits_at: dict[Waiting[None], int] = {}

    def advance(self, conversation: Waiting[None]) -> None:
        descriptor, event = next(conversation, (None, 0))
        before = self._waits_at.get(conversation)
        if before is not None and before != descriptor:
            self.poll.unregister(before)
            del self.wanted[before], self._waits_at[conversation]
        if descriptor is None:
            return
        if descriptor not in self.wanted:
            self.poll.register(descriptor, event)
        elif self.wanted[descriptor][0] != event:
            self.poll.modify(descriptor, event)
        self.wanted[descriptor] = event, conversation
        self._waits_at[conversation] = descriptor

    def __enter__(self) -> _Waiters:
        return self

    def __exit__(self, *_: object) -> None:
        self.poll.close()


def run_heads(door: Door, connections: int, seconds: float, head: bytes) -> Sample:
    """Repeat one request whose answers have no body, as fast as Python can.

    wrk waits for the body that a HEAD's Content-Length announces, so it cannot be used here.
    """
    latencies: list[float] = []
    with ExitStack() as opened:
        poll = opened.enter_context(select.epoll())
        users: dict[int, socket.socket] = {}
        for _ in range(connections):
            user = opened.enter_context(Connection(door)).socket
            users[user.fileno()] = user
            poll.register(user.fileno(), READ)
        begun = now = perf_counter()
        sent = dict.fromkeys(users, begun)
        for user in users.values():
            user.send(head)
        while sent:
            for descriptor, _ in poll.poll(_GRACE) or _nothing_came():
                user = users[descriptor]
                answer = user.recv(4096)
                if answer[9:12] != b"200" or not answer.endswith(b"\r\n\r\n"):
                    raise ScenarioFailed(f"not the whole head of a 200: {answer[:300]!r}")
                now = perf_counter()
                latencies.append(now - sent[descriptor])
                if now - begun < seconds:
                    sent[descriptor] = now
                    user.send(head)
                else:
                    del sent[descriptor]
        return Tally(0, latencies).sample(now - begun)


def _nothing_came() -> list[tuple[int, int]]:
    raise ScenarioFailed(f"no answer came for {_GRACE:g} seconds")
