"""From the event loop to a thread and back, in as few steps as that takes."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from typing import TypeVar

T = TypeVar("T")


def in_thread(threads: Executor, function: Callable[[], T]) -> "asyncio.Future[T]":
    """Have a thread run `function`: the future holds what comes of it.

    As `loop.run_in_executor`, which passes each result through a second future and its callbacks and takes a third more
    processor time. Whoever gives up waiting does not keep it from being run.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()
    threads.submit(_run, function, loop, future)
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
