"""Requests onto a connection and answers from it: files by sendfile, big bodies through one buffer."""

import os
import selectors
import socket
import struct
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from estiva import __version__
from estiva.failures import ConnectionFailed, ContentInvalid
from estiva.protocol.steps import FileSlice, Request, Response, Sink
from estiva.wire import Answer, Connection, UnsendableHead

USER_AGENT = f"estiva/{__version__}"
TIMEOUT = 60.0
BUFFER = 1 << 18
LARGEST_IN_MEMORY = 32 << 20
_SENDFILE = hasattr(os, "sendfile")
_KERNEL_WAITS = sys.platform == "linux" and sys.maxsize > 1 << 32  # where struct timeval is two longs

Stop = Callable[[], bool]


class Stopped(Exception):
    """The transfer was given up, as another part of the same work failed."""


def send(connection: Connection, request: Request, target: tuple[str, dict[str, str]], stop: Stop) -> None:
    """The request with its body; `target` is what the request line names, and what a proxy wants besides."""
    url, more = target
    small = request.body if isinstance(request.body, bytes) else b""
    try:
        connection.send_head(request.method, url, head_of(request) | more, small)
        _send_body(connection, request, stop)
    except UnsendableHead as error:
        raise ConnectionFailed(str(error)) from None
    except (BrokenPipeError, ConnectionResetError):
        # The registry may have answered before it had all, and hung up: its answer says why.
        if not is_ready(connection.sock, selectors.EVENT_READ, 1):
            raise


def head_of(request: Request) -> dict[str, str]:
    """The request's headers with those that every request has."""
    authority = request.url.partition("://")[2].partition("/")[0]
    headers = {"Host": authority, "User-Agent": USER_AGENT, "Accept-Encoding": "identity"}
    if request.method in ("POST", "PUT", "PATCH"):
        headers["Content-Length"] = str(length_of(request))
    return headers | dict(request.headers)


def length_of(request: Request) -> int:
    """The length of the request's body."""
    return len(request.body) if isinstance(request.body, bytes) else request.body.length


def received(answer: Answer, request: Request, stop: Stop, sock: socket.socket) -> Response:
    """The answer that comes on `sock`, its body in the request's sink where that accepts it."""
    response = Response(answer.status, answer.fields, url=request.url)
    if request.sink is not None and request.sink.accept(response):
        _pour(answer, request.sink, stop, sock)
        return response
    try:
        return Response(answer.status, answer.fields, answer.read(LARGEST_IN_MEMORY), request.url)
    except ValueError as error:
        raise ConnectionFailed(f"{request.url} answers with {error}") from None


def is_ready(sock: socket.socket, event: int, seconds: float) -> bool:
    """Whether the socket can be read or written, within so many seconds."""
    with selectors.DefaultSelector() as selector:
        selector.register(sock, event)
        return bool(selector.select(seconds))


def _send_body(connection: Connection, request: Request, stop: Stop) -> None:
    if isinstance(request.body, bytes):  # it went with the head
        if request.sent and request.body:
            request.sent(len(request.body))
        return
    for count in _send_file(connection.sock, request.body):
        if request.sent:
            request.sent(count)
        if stop():
            raise Stopped


def _send_file(sock: socket.socket, source: FileSlice) -> Iterator[int]:
    try:
        file = source.path.open("rb", buffering=0)
    except OSError as error:
        raise ContentInvalid(f"cannot read {source.path}: {error.strerror}") from None
    with file:
        if _SENDFILE and _is_plain(sock):
            yield from _by_sendfile(sock, file.fileno(), source)
            return
        file.seek(source.offset)
        left = source.length
        while left:
            piece = file.read(min(left, BUFFER))
            if not piece:
                raise _shorter(source)
            sock.sendall(piece)
            left -= len(piece)
            yield len(piece)


def _by_sendfile(sock: socket.socket, file: int, source: FileSlice) -> Iterator[int]:
    offset, end = source.offset, source.offset + source.length
    with _waiting(sock) as kernel_waits:
        while offset < end:
            try:
                count = os.sendfile(sock.fileno(), file, offset, min(end - offset, 4 * BUFFER))
            except BlockingIOError:
                if kernel_waits or not is_ready(sock, selectors.EVENT_WRITE, sock.gettimeout() or TIMEOUT):
                    raise TimeoutError("timed out") from None
                continue
            if count == 0:
                raise _shorter(source)
            offset += count
            yield count


@contextmanager
def _waiting(sock: socket.socket) -> Iterator[bool]:
    """Let the kernel wait for the socket's timeout, not Python: one call moves a whole piece. False where it can't."""
    timeout = sock.gettimeout()
    if not _KERNEL_WAITS or not timeout or not _is_plain(sock):
        yield False
        return
    span = struct.pack("@ll", int(timeout), int(timeout % 1 * 1_000_000))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, span)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, span)
    sock.settimeout(None)
    try:
        yield True
    finally:
        sock.settimeout(timeout)


def _is_plain(sock: socket.socket) -> bool:
    """Whether what goes over it is not encrypted."""
    return type(sock) is socket.socket


def _shorter(source: FileSlice) -> ContentInvalid:
    return ContentInvalid(f"{source.path} became shorter while it was sent")


def _pour(answer: Answer, sink: Sink, stop: Stop, sock: socket.socket) -> None:
    if answer.left:
        _pour_from(sock, answer, sink, stop)
    if answer.left == 0:
        return
    buffer = memoryview(bytearray(BUFFER))
    while count := answer.readinto(buffer):
        sink.write(buffer[:count])
        if stop():
            raise Stopped


def _pour_from(sock: socket.socket, answer: Answer, sink: Sink, stop: Stop) -> None:
    """What the answer's own reader holds, then all that is missing from the socket; nothing where Python waits."""
    with _waiting(sock) as kernel_waits:
        if not kernel_waits:
            return
        buffer = memoryview(bytearray(min(BUFFER, answer.left or 0)))
        held = len(answer.reader.peek(1))
        count = answer.readinto(buffer[:held]) if held else _piece(sock, answer, buffer)
        while count:
            sink.write(buffer[:count])
            if stop():
                raise Stopped
            count = _piece(sock, answer, buffer)


def _piece(sock: socket.socket, answer: Answer, buffer: memoryview) -> int:
    """The next of what is missing, past the answer's own reader; 0 where nothing is, or the connection was closed."""
    if not answer.left:
        return 0
    try:
        count = sock.recv_into(buffer[: answer.left], 0, socket.MSG_WAITALL)
    except BlockingIOError:
        raise TimeoutError("timed out") from None
    answer.left -= count
    return count
