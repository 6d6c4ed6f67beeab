"""A pour whose request is given up: whoever poured may take the upload away as soon as it ends."""

import asyncio
import os
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from estiva_server.http.framing import LengthFraming
from estiva_server.http.pouring import Buffers, Pour, Sink, Source
from estiva_server.http.settings import ConnectionSettings


async def test_a_pour_that_is_cancelled_ends_when_no_thread_writes_any_more() -> None:
    begun, go_on, written = threading.Event(), threading.Event(), []

    def write(piece: memoryview) -> None:
        begun.set()
        assert go_on.wait(90)
        written.append(len(piece))

    here, there = socket.socketpair()
    with here, there, ThreadPoolExecutor(1) as threads:
        here.setblocking(False)
        there.sendall(b"begun")
        source = Source(here.fileno(), LengthFraming(600_000), os.urandom(550_000))
        pour = Pour(source, Sink(write, lambda: None, None), ConnectionSettings(), Buffers(512 * 1024))
        pouring = asyncio.create_task(pour.run(asyncio.get_running_loop(), threads))
        assert await asyncio.to_thread(begun.wait, 90)
        pouring.cancel()
        await asyncio.sleep(0)
        assert not pouring.done()
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(pouring, 90)
        assert sum(written) == 550_000
        source.close()
