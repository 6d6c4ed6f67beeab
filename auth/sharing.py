"""One question for everybody who wants its answer at the same time."""

import asyncio
from collections.abc import Awaitable, Callable

PATIENCE = 0.2
"""Seconds that the next asking waits for the one before, lest one that hangs holds up all that follow."""


class Shared:
    """Asks once for all who came before the asking began; who comes later waits for the next."""

    def __init__(self, ask: Callable[[], Awaitable[None]]) -> None:
        self._ask = ask
        self._asking: asyncio.Task[None] | None = None
        self._next: asyncio.Task[None] | None = None

    async def __call__(self) -> None:
        """Return when it has been asked, wholly after this call. Whatever asking raises, all who waited for it get."""
        if self._next is None:
            self._next = asyncio.create_task(self._after(self._asking))
            self._next.add_done_callback(_looked_at)
        await asyncio.shield(self._next)

    async def _after(self, previous: "asyncio.Task[None] | None") -> None:
        if previous is not None:
            await asyncio.wait([previous], timeout=PATIENCE)
        self._asking, self._next = self._next, None
        await self._ask()


def _looked_at(task: asyncio.Task[None]) -> None:
    if not task.cancelled():
        task.exception()  # everybody who waited may have left
