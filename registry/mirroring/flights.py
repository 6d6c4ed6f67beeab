"""Single flight: whoever wants what is being fetched already waits for that, instead of fetching it too."""

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


class Flights(Generic[T]):
    """Tasks by key. One goes on when those who wait for it leave: what it brings is kept for the next."""

    def __init__(self) -> None:
        self._running: dict[Hashable, asyncio.Task[T]] = {}

    def begin(self, key: Hashable, make: Callable[[], Coroutine[object, object, T]]) -> asyncio.Task[T]:
        """The task of that key, begun now unless it runs already. Wait for it with `asyncio.shield`."""
        running = self._running.get(key)
        if running is None:
            running = self._running[key] = asyncio.create_task(make())
            running.add_done_callback(lambda task: self._end(key, task))
        return running

    async def join(self, key: Hashable, make: Callable[[], Coroutine[object, object, T]]) -> T:
        """The result of the task of that key."""
        return await asyncio.shield(self.begin(key, make))

    async def close(self) -> None:
        """End every task."""
        tasks = [*self._running.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _end(self, key: Hashable, task: asyncio.Task[T]) -> None:
        self._running.pop(key, None)
        if not task.cancelled():
            task.exception()  # told to everybody who waits; nobody may
