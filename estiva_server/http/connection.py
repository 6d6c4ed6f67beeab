"""A client's connection: uvicorn's HTTP/1.1 protocol with a door in front and limits around it.

llhttp reads header sections only (heads.py). Where a body ends is decided by framing.py, so that a body can be
left in the socket until the application asks for it, and be read there by a worker thread.
"""

import asyncio
import os
from collections.abc import Callable
from time import monotonic
from typing import Any, ClassVar

from uvicorn.config import Config
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from registry.api.body import ClientDisconnected

from .deadlines import Deadlines
from .exchange import Exchange
from .framing import EndlessFraming, Framing, FramingError, LengthFraming
from .heads import HeadReader, RequestHead, parse_head
from .outlet import Outlet
from .phases import AWAITING, Phase
from .pouring import Pour, Sink, Source
from .refusals import Refusal, refusal_bytes
from .shared import Shared
from .splicing import AVAILABLE, SourceError

_MOST_KEPT = 1024 * 1024  # of later requests that came while one is being answered
_WRITE_APART_FROM = 16 * 1024  # joining a larger body to its head costs more than it saves


class Connection(HttpToolsProtocol):
    """One connection. `connection_class` makes the subclass that a server uses, bound to what its connections share."""

    shared: ClassVar[Shared]

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        settings = self.shared.settings
        self.phase = Phase.IDLE
        self.since = monotonic()  # when the phase's clock began to run
        self.offers_sendfile = self.offers_splice = False
        self.fresh = True  # no request has been answered yet
        self._heads = HeadReader(settings)
        self.exchange: Exchange | None = None
        self._framing: Framing = LengthFraming(0)
        self.outlet: Outlet = None  # type: ignore[assignment]  # until there is a transport, like uvicorn's own
        self._rest = b""
        self._pour: Pour | None = None
        self._close_after_answer = False
        self.deadlines = Deadlines(self, settings)
        self._discarded = 0
        self._shutting_down = False

    # The connection's life

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """See asyncio.Protocol."""
        super().connection_made(transport)
        self.offers_sendfile = self.scheme == "http" and transport.get_extra_info("socket") is not None
        self.offers_splice = self.offers_sendfile and AVAILABLE
        self.outlet = Outlet(self.loop, transport, self.shared.settings.sendfile_slice_bytes)
        population = self.shared.population
        if not population.admit(self, self.loop):
            if population.see_out(self, self.loop):
                self.refuse(Refusal(503, "too many connections"))
            else:
                transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        self.shared.population.leave(self)
        if self._pour is not None:
            self._pour.abandon()
        self.outlet.cancel(ConnectionResetError("the connection was lost"))
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """Called by the server: close now when idle, else after the response."""
        self._shutting_down = True
        exchange = self.exchange
        if self.outlet.busy:
            self._close_after_answer = True
        if exchange is not None and not exchange.response_complete:
            exchange.close_after = True
        elif not self.outlet.busy:
            self.transport.close()

    def give_way(self) -> None:
        """Close at once, for another connection."""
        self.transport.abort()

    def waiting_since(self) -> float | None:
        """Since when this has been waiting for a whole request, if it is."""
        return self.since if self.phase in AWAITING else None

    # What the client sends

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        if self.phase is Phase.IDLE and not self.flow.write_paused and self.shared.door.answer(self, data):
            return
        self._take(data)

    def _take(self, data: bytes) -> None:
        try:
            while data:
                data = self._take_some(data)
        except Refusal as refusal:
            self.refuse(refusal)

    def _take_some(self, data: bytes) -> bytes:
        """Use up some of `data`; return the rest."""
        if self.phase in (Phase.IDLE, Phase.HEAD):
            return self._take_head(data)
        if self.phase is Phase.BODY:
            return self._take_body(data)
        if self.phase is Phase.LINGER:
            self._discarded += len(data)
            if self._discarded > self.shared.settings.linger_bytes:
                self.transport.abort()
            return b""
        self._rest += data
        self.flow.pause_reading()
        if len(self._rest) > _MOST_KEPT:
            self.transport.abort()
        return b""

    def _take_head(self, data: bytes) -> bytes:
        if self.phase is Phase.IDLE:
            self.phase = Phase.HEAD
            if not self.fresh:
                self.since = monotonic()
        found = self._heads.take(data)
        if found is None:
            return b""
        head, rest = found
        self._begin(parse_head(head))
        return rest

    def _take_body(self, data: bytes) -> bytes:
        view = memoryview(data)
        try:
            spans, taken = self._framing.decode(view)
        except FramingError as error:
            raise Refusal(400, str(error)) from error
        self.deadlines.body.count(taken)
        exchange = self.exchange
        assert exchange is not None
        if not exchange.response_complete:
            for begin, end in spans:
                exchange.body += view[begin:end]
            if len(exchange.body) > HIGH_WATER_LIMIT:
                self.flow.pause_reading()
            exchange.more_body = not self._framing.complete
            # A body whose end is known to be near comes whole: a piece more would only wake whoever waits for all.
            if self._framing.complete or self._framing.length is None or self.flow.read_paused:
                exchange.message_event.set()
        if self._framing.complete:
            self.phase = Phase.BUSY
            if exchange.response_complete:
                self._idle()
        return data[taken:]

    # One request and its response

    def _begin(self, head: RequestHead) -> None:
        framing = self._framing = head.framing
        exchange = self.cycle = self.exchange = Exchange(self, head)
        if framing.complete:
            self.phase = Phase.BUSY
            exchange.more_body = False
            exchange.message_event.set()
        elif framing.length is None or framing.length >= self.shared.settings.held_body_bytes:
            self.phase = Phase.HELD
            self.flow.pause_reading()
        else:
            self.phase = Phase.BODY
            self.deadlines.body.restart()
        exchange.offer_extensions(pours=self.offers_sendfile and self.phase is Phase.HELD)
        self._start_asgi_task(exchange, self.app)

    def may_stay_open(self, exchange: Exchange) -> bool:
        """Whether the connection can take another request after the response that is about to start."""
        if self._framing.complete:
            return True
        missing = self._framing.most_to_read()
        return (
            self.phase is Phase.BODY
            and missing is not None
            and missing <= self.shared.settings.drain_bytes
            and not exchange.waiting_for_100_continue
        )

    def on_response_complete(self) -> None:
        """The response has been written to the transport."""
        self.server_state.total_requests += 1
        exchange = self.exchange
        assert exchange is not None
        if self.transport.is_closing():
            return
        if exchange.close_after:
            self._close()
        elif self._framing.complete:
            self._idle()
            self._resume()
        else:
            self.since = monotonic()  # the little that is missing of the body is drained
            self.flow.resume_reading()

    def _idle(self) -> None:
        self.phase = Phase.IDLE
        self.since = monotonic()
        self.fresh = False

    def _resume(self) -> None:
        """Go on with what came after the request that has been answered."""
        self.flow.resume_reading()
        if self._rest:
            rest, self._rest = self._rest, b""
            self._take(rest)

    def _close(self) -> None:
        """Close, but let a client that is still sending read the response first."""
        if self._framing.complete:
            self.transport.close()
        else:
            self._linger()

    def _linger(self) -> None:
        if self._shutting_down or not self.transport.can_write_eof():
            self.transport.close()
            return
        self.phase = Phase.LINGER
        self.since = monotonic()
        self._rest = b""
        self.transport.write_eof()
        self.flow.resume_reading()

    def refuse(self, refusal: Refusal) -> None:
        """Say why the request cannot be served, and close."""
        exchange = self.exchange
        self.shared.observer.refused(refusal.status, self.client)
        if exchange is not None and not exchange.response_complete:
            exchange.disconnected = True
            exchange.message_event.set()
            if exchange.response_started:
                self.transport.close()
                return
        headers = [*self.server_state.default_headers, *self.shared.settings.refusal_headers]
        if refusal.status == 503:
            headers.append((b"retry-after", b"%d" % self.shared.settings.retry_after))
        self.transport.write(refusal_bytes(refusal, self.shared.error_body, headers))
        self._linger()

    # The body, on the application's demand

    def want_body(self) -> None:
        """The application calls receive(): let a body that was held come."""
        if self.phase is Phase.POURING:
            raise RuntimeError("receive() while the body is being poured")
        if self.phase is Phase.HELD:
            self.phase = Phase.BODY
            self.deadlines.body.restart()
            self._resume()

    def upgrade(self, exchange: Exchange) -> None:
        """The application has switched protocols: whatever comes from now on is for its receive()."""
        if self.phase is not Phase.BUSY:
            raise RuntimeError("a connection is upgraded when the request's body has been received")
        self._framing = EndlessFraming()
        self.phase = Phase.BODY
        exchange.more_body = True
        self._resume()

    async def pour(self, exchange: Exchange, sink: Sink) -> int:
        """Receive the body in a worker thread; the connection is then ready for the response."""
        if self.phase is not Phase.HELD or exchange is not self.exchange:
            raise RuntimeError("the body has been asked for before")
        settings = self.shared.settings
        source = Source(self.transport.get_extra_info("socket").fileno(), self._framing, self._rest)
        self.phase = Phase.POURING
        self._pour = Pour(source, sink, settings, self.shared.buffers)
        try:
            self._pour.check_announced()
            exchange.say_continue()
            total = await self._pour.run(self.loop, self.shared.executor)
        except ClientDisconnected:
            exchange.disconnected = True
            self.transport.abort()
            raise
        finally:
            self._pour = None
            source.close()
            self._rest = source.rest
            self.phase = Phase.BUSY
        exchange.more_body = False
        exchange.message_event.set()
        return total

    # Files

    def write_answer(self, head: bytes, body: bytes, close: bool) -> None:
        """Write a whole remembered response (for the door)."""
        self.since = monotonic()
        self.fresh = False
        self.server_state.total_requests += 1
        if len(body) < _WRITE_APART_FROM:
            self.transport.write(head + body)
        else:
            self.transport.writelines((head, body))
        if close:
            self.transport.close()

    def send_answer(self, head: bytes, file: int, length: int, close: bool, done: Callable[[int], None]) -> None:
        """Send a remembered response whose body is a whole open file (for the door); the file is closed in the end.

        Raises OSError when it cannot begin; the file then stays the caller's.
        """

        def finished(sent: int, error: OSError | None) -> None:
            os.close(file)
            done(sent)
            self._answer_sent(error)

        self.phase = Phase.BUSY
        self._close_after_answer = close
        self.flow.pause_reading()
        try:
            self.outlet.send(head, file, (0, length), finished)
        except OSError:
            self.phase = Phase.IDLE
            self.flow.resume_reading()
            raise

    def _answer_sent(self, error: OSError | None) -> None:
        self.server_state.total_requests += 1
        if error is not None:
            self.transport.abort()
        elif self._close_after_answer:
            self.transport.close()
        else:
            self._idle()
            self._resume()

    async def send_file(self, file: int, offset: int, count: int) -> None:
        """Send `count` bytes of an open file after what has been written. The connection breaks if that fails."""
        self.flow.pause_reading()
        complete = False
        try:
            complete = await self.outlet.send_span(file, (offset, count)) is None
        finally:
            if not complete:
                self.cycle.disconnected = True
                self.transport.abort()

    async def pass_on(self, source: int, count: int) -> tuple[int, SourceError | None]:
        """Send what arrives on a socket after what has been written: how much was sent, and why there was no more.

        The connection breaks if its client takes no more.
        """
        self.flow.pause_reading()
        sent, error = 0, None
        complete = False
        try:
            sent, error = await self.outlet.pass_on(source, count, self.shared.settings.source_patience)
            complete = error is None or isinstance(error, SourceError)
        finally:
            if not complete:
                self.cycle.disconnected = True
                self.transport.abort()
        return sent, error if isinstance(error, SourceError) else None

    def resume_writing(self) -> None:
        """See asyncio.Protocol."""
        super().resume_writing()
        self.outlet.drained()

    def sweep(self, now: float) -> None:
        """Called every so often: act on time limits that have passed."""
        self.deadlines.sweep(now)
