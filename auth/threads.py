"""A few threads for what is slow, on purpose or not, so that guessing passwords never takes the whole machine."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from estiva.errors import TooManyRequests

T = TypeVar("T")


class Threads:
    """Runs blocking calls, `count` at a time; beyond `most_waiting` further ones the answer is TooManyRequests."""

    def __init__(self, count: int = 2, most_waiting: int = 64, name: str = "password") -> None:
        self._executor = ThreadPoolExecutor(count, thread_name_prefix=name)
        self._most = count + most_waiting
        self._running = 0

    async def run(self, function: Callable[..., T], *arguments: object) -> T:
        """The function's result."""
        if self._running >= self._most:
            raise TooManyRequests("too many sign-ins at once", headers={"Retry-After": "1"})
        self._running += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._executor, function, *arguments)
        finally:
            self._running -= 1

    def close(self) -> None:
        """End the threads when what they run has ended."""
        self._executor.shutdown()
