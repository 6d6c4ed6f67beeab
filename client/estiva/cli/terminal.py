"""A command in a task that is typed at: `estiva exec --interactive`, with the terminal of whoever types."""

import asyncio
import base64
import contextlib
import json
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

from estiva.cli.failing import CommandError, line
from estiva.cli.server import Upgraded

STDIN, STDOUT, STDERR = 0, 1, 2
PIECE = 32 * 1024
SIGN_OF_LIFE_EVERY = 30.0
"""Seconds; the server takes a client that is silent for two minutes for gone."""


def size() -> list[int]:
    """Columns and rows of the terminal."""
    columns, rows = os.get_terminal_size(STDIN)
    return [max(1, columns), max(1, rows)]


@contextlib.contextmanager
def raw() -> Iterator[None]:
    """Every key goes to the command as it is; afterwards the terminal is as it was, whatever happened."""
    import termios
    import tty

    before = termios.tcgetattr(STDIN)
    try:
        tty.setraw(STDIN, termios.TCSADRAIN)  # what was typed ahead is not lost
        yield
    finally:
        termios.tcsetattr(STDIN, termios.TCSADRAIN, before)


async def converse(connection: Upgraded, *, terminal: bool) -> int:
    """Send what is typed, and show what the command writes: its exit code. CommandError where it is cut off."""
    loop = asyncio.get_running_loop()
    outbox: asyncio.Queue[dict[str, Any]] = asyncio.Queue(maxsize=16)
    resized = asyncio.Event()
    with raw() if terminal else contextlib.nullcontext():
        signals = _signals(loop, resized, terminal=terminal)
        _read_input(loop, outbox)
        sending = [
            asyncio.create_task(_send(connection, outbox)),
            asyncio.create_task(_send_sizes(outbox, resized)),
        ]
        try:
            return await _show(connection)
        finally:
            for one in signals:
                loop.remove_signal_handler(one)
            for task in sending:
                task.cancel()
            await asyncio.gather(*sending, return_exceptions=True)


def _signals(loop: asyncio.AbstractEventLoop, resized: asyncio.Event, *, terminal: bool) -> list[int]:
    """What must not end us before the terminal is as it was; and news of its size."""
    current = asyncio.current_task()
    assert current is not None
    handlers: dict[int, Any] = {signal.SIGTERM: current.cancel, signal.SIGHUP: current.cancel}
    if terminal:
        handlers[signal.SIGWINCH] = resized.set
    for number, handler in handlers.items():
        loop.add_signal_handler(number, handler)
    return list(handlers)


def _read_input(loop: asyncio.AbstractEventLoop, outbox: "asyncio.Queue[dict[str, Any]]") -> None:
    """Read on a thread of its own, which may hang there for ever: a file, a pipe and a terminal are read alike."""

    def put(said: dict[str, Any]) -> None:
        asyncio.run_coroutine_threadsafe(outbox.put(said), loop).result()

    def read() -> None:
        with contextlib.suppress(RuntimeError, asyncio.CancelledError, OSError):  # the command has ended
            while data := os.read(STDIN, PIECE):
                put({"data": base64.b64encode(data).decode()})
            put({"eof": True})

    threading.Thread(target=read, daemon=True).start()


async def _send(connection: Upgraded, outbox: "asyncio.Queue[dict[str, Any]]") -> None:
    while True:
        said: dict[str, Any] = {}
        with contextlib.suppress(TimeoutError):
            said = await asyncio.wait_for(outbox.get(), SIGN_OF_LIFE_EVERY)
        await connection.write(json.dumps(said).encode() + b"\n")


async def _send_sizes(outbox: "asyncio.Queue[dict[str, Any]]", resized: asyncio.Event) -> None:
    while await resized.wait():
        resized.clear()
        await outbox.put({"size": size()})


async def _show(connection: Upgraded) -> int:
    async for text in _lines(connection):
        try:
            said = json.loads(text)
        except ValueError:
            raise CommandError("that is no estiva server: it answers with something else") from None
        if "exit_code" in said:
            return int(said["exit_code"])
        if "error" in said:
            raise CommandError(line(str(said["error"])))
        _write(STDERR if said.get("stream") == "stderr" else STDOUT, base64.b64decode(said.get("data", "")))
    raise CommandError("the connection ended before the command did")


def _write(file: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]


async def _lines(connection: Upgraded) -> AsyncIterator[bytes]:
    rest = b""
    while data := await connection.read():
        *whole, rest = (rest + data).split(b"\n")
        for one in whole:
            yield one


def wants_terminal() -> None:
    """CommandError where standard input is none."""
    if not sys.stdin.isatty():
        raise CommandError("standard input is no terminal; leave --tty away")
