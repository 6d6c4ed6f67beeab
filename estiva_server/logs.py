"""Two logs: what the application has to say (JSON on standard error), and every request (JSON on standard output)."""

import asyncio
import logging
import os
import sys
from datetime import UTC, datetime
from functools import lru_cache
from json.encoder import encode_basestring_ascii as quoted
from time import time
from typing import NamedTuple

import structlog

logger = logging.getLogger("estiva.access")

FLUSH_EVERY = 0.2
FLUSH_BYTES = 64 * 1024
_REPEATED = 512


def configure(level: str) -> None:
    """Send everything that is logged, by us or by a library, to standard error as one JSON object a line."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in ("uvicorn", "uvicorn.error", "alembic"):
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))


class AccessEntry(NamedTuple):
    """One line of the access log: `sent` counts body bytes, `status` 0 means that the client had left."""

    request_id: str
    client: str
    method: str
    target: bytes
    status: int
    sent: int
    seconds: float
    user_agent: bytes


class AccessLog:
    """One line a request, written in batches: a line costs about two microseconds and a batch one system call.

    The last 0.2 seconds may be lost when the process is killed.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lines: list[str] = []
        self._size = 0
        self._timer: asyncio.TimerHandle | None = None
        self._now = _Clock()

    def write(self, entry: AccessEntry) -> None:
        """Log one request. Query strings are left out: they may hold what must not be kept."""
        request_id, client, method, target, status, sent, seconds, user_agent = entry
        line = (
            f'{{"time":"{self._now()}","request_id":{quoted(request_id)},"client":{_text(client)},'
            f'"method":{_text(method)},"path":{_path(target)},"status":{status},"bytes":{sent},'
            f'"seconds":{seconds:.6f},"user_agent":{_latin(user_agent)}}}\n'
        )
        self._lines.append(line)
        self._size += len(line)
        if self._size > FLUSH_BYTES:
            self.flush()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(FLUSH_EVERY, self.flush)

    def flush(self) -> None:
        """Write what has gathered."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        data = memoryview("".join(self._lines).encode())
        self._lines, self._size = [], 0
        while data:
            try:
                data = data[os.write(self._descriptor, data) :]
            except BrokenPipeError:
                return  # nobody reads the log any more
            except OSError as error:  # a full disk: requests go on without their lines
                logger.warning("lines of the access log are lost: %s", error.strerror)
                return


class _Clock:
    """The time as text, made once a millisecond, and all before the milliseconds once a second."""

    def __init__(self) -> None:
        self._second = self._moment = 0
        self._text = self._whole = ""

    def __call__(self) -> str:
        moment = int(time() * 1000)
        if moment != self._moment:
            self._moment = moment
            second, millisecond = divmod(moment, 1000)
            if second != self._second:
                self._second = second
                self._whole = f"{datetime.fromtimestamp(second, UTC):%Y-%m-%dT%H:%M:%S}"
            self._text = f"{self._whole}.{millisecond:03d}Z"
        return self._text


# What comes again and again is looked up: a quarter of the time that quoting it takes.

_text = lru_cache(_REPEATED)(quoted)


@lru_cache(_REPEATED)
def _latin(value: bytes) -> str:
    return quoted(value.decode("latin-1"))


@lru_cache(_REPEATED)
def _path(target: bytes) -> str:
    return quoted(target.partition(b"?")[0].decode("latin-1"))
