"""From the event loop to a thread and back, in as few steps as that takes."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from typing import TypeVar

from storage.threads import run_in

T = TypeVar("T")


class Steadfast(asyncio.Future[T]):
    """A future whose waiter cannot leave it: when cancelled, it tells `leaving`, waits on to the end, and is cancelled.

    So a task that waits for a thread learns of a cancellation when that thread has ended its work, and not before.
    """

    def __init__(self, leaving: Callable[[], None]) -> None:
        super().__init__(loop=asyncio.get_running_loop())
        self._leaving = leaving

    def cancel(self, msg: object = None) -> bool:
        """Refuse; the task that waits and was cancelled keeps that in mind until this is done."""
        if not self.done():
            self._leaving()
        return False


def in_thread(
    threads: Executor, function: Callable[[], T], future: "asyncio.Future[T] | None" = None
) -> "asyncio.Future[T]":
    """Have a thread run `function`: the future, a new one or that, holds what comes of it.

    As `loop.run_in_executor`, which passes each result through a second future and its callbacks and takes a third more
    processor time. Whoever gives up waiting does not keep it from being run.
    """
    loop = asyncio.get_running_loop()
    if future is None:
        future = loop.create_future()
    run_in(threads, _run, function, loop, future)
    return future


def _run(function: Callable[[], T], loop: asyncio.AbstractEventLoop, future: "asyncio.Future[T]") -> None:
    try:
        result = function()
    except BaseException as error:
        _tell(loop, _fail, future, error)
    else:
        _tell(loop, _succeed, future, result)


def _tell(loop: asyncio.AbstractEventLoop, tell: Callable[..., None], *what: object) -> None:
    try:
        loop.call_soon_threadsafe(tell, *what)
    except RuntimeError:
        # The loop that asked is closed, and with it everybody who could want to know.
        return


def _succeed(future: "asyncio.Future[T]", result: T) -> None:
    if not future.done():
        future.set_result(result)


def _fail(future: "asyncio.Future[T]", error: BaseException) -> None:
    if not future.done():
        future.set_exception(error)
