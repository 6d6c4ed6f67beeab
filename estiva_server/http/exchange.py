"""One request and its response between connection and application: uvicorn's cycle, with extensions."""

import asyncio
import os
import urllib.parse
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, cast

from uvicorn._types import ASGIReceiveEvent, ASGISendEvent, HTTPScope
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from registry.api.body import EXTENSION as BODY_EXTENSION
from registry.api.body import End, Write, nothing
from registry.api.passing import EXTENSION as PASS_EXTENSION

from .answers import EXTENSION as ANSWER_EXTENSION
from .answers import Remembering
from .heads import RequestHead
from .pouring import Sink

if TYPE_CHECKING:
    from .connection import Connection

_ZERO_COPY = "http.response.zerocopysend"
_PATH_SEND = "http.response.pathsend"
_JOINED_UP_TO = 64 * 1024  # joining a larger body to its head costs more than it saves


class Exchange(RequestResponseCycle):
    """Keeps uvicorn's ASGI behaviour; closing the connection after the response is left to the connection.

    uvicorn's `keep_alive` is what makes it write `connection: close` and close the transport at once. Here it
    is only false while the response head is written; `close_after` holds the decision.
    """

    def __init__(self, connection: "Connection", head: RequestHead) -> None:
        super().__init__(
            scope=_scope(connection, head),
            transport=connection.transport,
            flow=connection.flow,
            logger=connection.logger,
            access_logger=connection.access_logger,
            access_log=connection.access_log,
            default_headers=connection.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=head.expects_continue,
            keep_alive=True,
            on_response=connection.on_response_complete,
        )
        self.connection = connection
        self.target = head.target
        self.close_after = not head.keep_alive
        self.upgraded = False
        """After status 101: what `receive` gives and what is sent as body are the bytes of the connection."""
        self._head = b""  # of the response, written but not sent yet

    def offer_extensions(self, *, pours: bool) -> None:
        """Put into the scope what this connection can do for this request."""
        offered: dict[str, Any] = {}
        prefix = self.connection.shared.settings.answer_prefix
        if self.scope["method"] in ("GET", "HEAD") and self.target.startswith(prefix):
            offered[ANSWER_EXTENSION] = Remembering(self.connection.shared.answers, self.target, self.scope["headers"])
        if self.connection.offers_sendfile:
            offered[_ZERO_COPY] = {}
            offered[_PATH_SEND] = {}
        if self.connection.offers_splice:
            offered[PASS_EXTENSION] = {}
        if pours:
            offered[BODY_EXTENSION] = self.pour
        cast(dict[str, Any], self.scope)["extensions"] = offered

    async def pour(self, write: Write, limit: int | None = None, end: End = nothing) -> int:
        """The extension `estiva.body`, see `registry.api.body.PourBody`."""
        return await self.connection.pour(self, Sink(write, end, limit))

    def say_continue(self) -> None:
        """Ask for the body, of a client that waits to be asked."""
        if self.waiting_for_100_continue:
            self.waiting_for_100_continue = False
            if not self.transport.is_closing():
                self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    async def receive(self) -> ASGIReceiveEvent:
        """ASGI receive."""
        self.connection.want_body()
        return await super().receive()

    async def send(self, message: ASGISendEvent) -> None:
        """ASGI send, with the extensions `http.response.zerocopysend` and `http.response.pathsend`."""
        kind: str = message["type"]
        if kind == "http.response.start":
            await self._start(message)
        elif kind == _ZERO_COPY and self.connection.offers_sendfile:
            await self._send_open_file(cast(dict[str, Any], message))
        elif kind == PASS_EXTENSION and self.connection.offers_splice:
            await self._send_source(cast(dict[str, Any], message))
        elif kind == _PATH_SEND and self.connection.offers_sendfile:
            await self._send_path(cast(dict[str, Any], message)["path"])
        else:
            await self._send_body(message)

    async def _start(self, message: ASGISendEvent) -> None:
        """Write the response head, and hold it for the body that mostly follows at once: one packet instead of two."""
        self.upgraded = cast(dict[str, Any], message)["status"] == HTTPStatus.SWITCHING_PROTOCOLS
        if self.upgraded:
            self.chunked_encoding = False
        self.keep_alive = self.upgraded or (not self.close_after and self.connection.may_stay_open(self))
        transport, held = self.transport, _Held()
        self.transport = cast(asyncio.Transport, held)
        try:
            await super().send(message)
        finally:
            self.transport = transport
        self.close_after = self.upgraded or not self.keep_alive
        self.keep_alive = True
        self._head = held.data
        if self.upgraded:
            self._send_head()
            self.connection.upgrade(self)
        self.connection.loop.call_soon(self._send_head)

    async def _send_body(self, message: ASGISendEvent) -> None:
        if self.upgraded:
            self.expected_content_length = len(cast(dict[str, Any], message).get("body", b""))
        if not self._head or self.scope["method"] == "HEAD" or not cast(dict[str, Any], message).get("body"):
            self._send_head()
            await super().send(message)
            return
        head, self._head = self._head, b""
        transport = self.transport
        self.transport = cast(asyncio.Transport, _After(head, transport))
        try:
            await super().send(message)
        finally:
            self.transport = transport

    def _send_head(self) -> None:
        head, self._head = self._head, b""
        if head and not self.disconnected:
            self.transport.write(head)

    async def _send_path(self, path: str) -> None:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            await self._send_span(file, 0, os.fstat(file).st_size, more_body=False)
        finally:
            os.close(file)

    async def _send_open_file(self, message: dict[str, Any]) -> None:
        file = message["file"]
        descriptor: int = file if isinstance(file, int) else file.fileno()
        offset = message.get("offset")
        if offset is None:
            offset = os.lseek(descriptor, 0, os.SEEK_CUR)
        count = message.get("count")
        if count is None:
            count = max(0, os.fstat(descriptor).st_size - offset)
        await self._send_span(descriptor, offset, count, more_body=message.get("more_body", False))

    async def _send_span(self, file: int, offset: int, count: int, *, more_body: bool) -> None:
        """A part of the body that is `count` bytes of `file`, with uvicorn's accounting around it."""
        if not self.response_started or self.response_complete:
            raise RuntimeError("a file can only be sent as the body of a response that has started")
        if count and self.scope["method"] != "HEAD":
            self._account(count)
            await self._send_bytes(file, offset, count)
        if not more_body:
            await super().send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _send_source(self, message: dict[str, Any]) -> None:
        """The end of the body, from a socket (see `registry.api.passing`)."""
        count: int = message["count"]
        if not self.response_started or self.response_complete or self.chunked_encoding:
            raise RuntimeError("a socket's bytes can only be the end of a body of known length that has started")
        self._account(count)
        sent, failure = 0, None
        if not self.disconnected:
            self._send_head()
            sent, failure = await self.connection.pass_on(message["source"], count)
        message["count"], message["failure"] = sent, None if failure is None else str(failure)
        self.expected_content_length += count - sent
        if sent == count:
            await super().send({"type": "http.response.body", "body": b"", "more_body": False})

    def _account(self, count: int) -> None:
        if self.chunked_encoding:
            return
        if count > self.expected_content_length:
            raise RuntimeError("Response content longer than Content-Length")
        self.expected_content_length -= count

    async def _send_bytes(self, file: int, offset: int, count: int) -> None:
        if self.disconnected:
            return
        self._send_head()
        if self.chunked_encoding:
            self.transport.write(b"%x\r\n" % count)
        await self.connection.send_file(file, offset, count)
        if self.chunked_encoding and not self.disconnected:
            self.transport.write(b"\r\n")


class _Held:
    """Stands in for a transport while the response head is made, and keeps it."""

    def __init__(self) -> None:
        self.data = b""

    def write(self, data: bytes) -> None:
        """Keep it."""
        self.data += data


class _After:
    """Stands in for a transport while a body follows a head that was held: the two leave together."""

    def __init__(self, head: bytes, transport: asyncio.Transport) -> None:
        self._head = head
        self._transport = transport

    def write(self, data: bytes) -> None:
        """Write it, the first time behind the head."""
        head, self._head = self._head, b""
        if len(data) > _JOINED_UP_TO:
            self._transport.write(head)
            head = b""
        self._transport.write(head + data if head else data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


def _scope(connection: "Connection", head: RequestHead) -> HTTPScope:
    path = head.path.decode("ascii")
    if "%" in path:
        path = urllib.parse.unquote(path)
    return {
        "type": "http",
        "asgi": {"version": connection.asgi_version, "spec_version": "2.3"},
        "http_version": head.version,
        "server": connection.server,
        "client": connection.client,
        "scheme": connection.scheme or "http",
        "method": head.method,
        "root_path": connection.root_path,
        "path": connection.root_path + path,
        "raw_path": connection.root_path.encode("ascii") + head.path,
        "query_string": head.query,
        "headers": head.headers,
        "state": connection.app_state.copy(),
    }
