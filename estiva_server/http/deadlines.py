"""The time limits of one connection, looked at by its population's sweep."""

from typing import TYPE_CHECKING

from .phases import AWAITING, Phase
from .refusals import Refusal
from .resetting import reset
from .settings import ConnectionSettings
from .watches import RateWatch, StallWatch

if TYPE_CHECKING:
    from .connection import Connection


class Deadlines:
    """Closes or refuses what takes too long."""

    def __init__(self, connection: "Connection", settings: ConnectionSettings) -> None:
        self._connection = connection
        self._settings = settings
        self._buffer = StallWatch(settings.stall_timeout)
        self.body = RateWatch(settings.body_window, settings.body_rate)
        """The rate of the body that is being received on the event loop."""

    def sweep(self, now: float) -> None:
        """Act on the limits that have passed at `now`."""
        connection = self._connection
        if self._buffer.stalled(connection.transport.get_write_buffer_size(), now):
            reset(connection.transport)
        elif connection.transport.is_closing():
            return
        elif connection.outlet.stalled(now, self._settings.stall_timeout):
            reset(connection.transport)
        elif connection.phase is Phase.BODY:
            self._sweep_body(now)
        elif connection.phase in AWAITING:
            self._sweep_awaiting(now - connection.since)

    def _sweep_awaiting(self, waited: float) -> None:
        connection, settings = self._connection, self._settings
        if connection.phase is Phase.IDLE:
            if waited >= (settings.header_timeout if connection.fresh else settings.keep_alive_timeout):
                connection.transport.close()
        elif connection.phase is Phase.HEAD:
            if waited >= settings.header_timeout:
                connection.refuse(Refusal(408, "the request's header section took too long"))
        elif waited >= settings.linger_timeout:
            connection.transport.abort()

    def _sweep_body(self, now: float) -> None:
        connection = self._connection
        exchange = connection.exchange
        assert exchange is not None
        if exchange.response_complete:
            if now - connection.since >= self._settings.header_timeout:
                connection.transport.close()
        elif exchange.upgraded or connection.flow.read_paused or exchange.waiting_for_100_continue:
            self.body.restart()
        elif self.body.too_slow(now):
            connection.refuse(Refusal(408, "the request body came too slowly"))
