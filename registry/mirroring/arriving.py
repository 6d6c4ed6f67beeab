"""A blob on its way in: stored once, and read meanwhile by everybody who asked for it.

What has come waits in a file that has no name (it is gone with the process), so that a slow reader holds up nobody
and memory holds a piece per reader. The last byte is kept back until the whole has the digest that was asked for:
what was not verified never looks complete.
"""

import asyncio
import contextlib
import os
import tempfile
from collections.abc import AsyncGenerator
from concurrent.futures import Executor
from pathlib import Path

from estiva.digest import Digest

PIECE = 256 * 1024


class ArrivingBlob:
    """One blob that is being fetched. Used from the event loop's thread only."""

    def __init__(self, digest: Digest, folder: Path | None, threads: Executor) -> None:
        self.digest = digest
        self._threads = threads
        self._file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115 - closed by the last user
        self._users = 1
        self._size: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()
        self._came = 0
        self._ended = False
        self._failure: Exception | None = None
        self._news = asyncio.Event()

    @property
    def size(self) -> int:
        """Its length, where `known_size` has told it."""
        return self._size.result() or 0

    @property
    def is_coming(self) -> bool:
        """Whether it is still on its way, and how long it will be is known."""
        return not self._ended and self._size.done() and self._size.result() is not None

    async def known_size(self) -> int | None:
        """Its length, once the upstream has said so; None where it doesn't. Whatever ended the fetch before that."""
        return await asyncio.shield(self._size)

    async def stored(self) -> None:
        """Return when it is in the store. Raises whatever ended the fetch before that."""
        while not self._ended:
            news = self._news
            await news.wait()
        if self._failure is not None:
            raise self._failure

    def begins(self, size: int | None) -> None:
        """The upstream has it, and says how long it is."""
        if not self._size.done():
            self._size.set_result(size)

    def write(self, data: memoryview) -> None:
        """Keep one more piece, in a worker thread; `came` then tells the readers."""
        view = data
        while view:
            view = view[os.write(self._file.fileno(), view) :]

    def came(self, count: int) -> None:
        """So many bytes more may be read."""
        self._came += count
        self._wake()

    def end(self, failure: Exception | None = None) -> None:
        """All of it is here, verified and stored; or it is not, and never will be."""
        self._ended, self._failure = True, failure
        if not self._size.done():
            if failure is None:
                self._size.set_result(self._came)
            else:
                self._size.set_exception(failure)
                self._size.exception()  # nobody may be waiting
        self._wake()
        self._leave()

    async def read(self, offset: int, length: int) -> AsyncGenerator[bytes, None]:
        """`length` bytes from `offset` as they come. Raises whatever ended the fetch before that."""
        self._users += 1
        try:
            while length:
                ready = await self._ready(offset)
                piece = await self._pread(min(PIECE, length, ready - offset), offset)
                offset, length = offset + len(piece), length - len(piece)
                yield piece
        finally:
            self._leave()

    async def _ready(self, offset: int) -> int:
        """How many bytes may be read, more than `offset`."""
        while True:
            if self._failure is not None:
                raise self._failure
            held_back = 0 if self._ended else 1
            if self._came - held_back > offset:
                return self._came - held_back
            if self._ended:
                raise EOFError("the blob is shorter than it was said to be")
            news = self._news
            await news.wait()

    async def _pread(self, count: int, offset: int) -> bytes:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, os.pread, self._file.fileno(), count, offset)

    def _wake(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()

    def _leave(self) -> None:
        self._users -= 1
        if self._users == 0:
            with contextlib.suppress(OSError):
                self._file.close()
