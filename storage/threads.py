"""Threads that take work in as few steps as that takes: a hop to one is a large part of storing something small."""

import contextlib
import logging
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from queue import Empty, SimpleQueue
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

logger = logging.getLogger("estiva.threads")


class Threads(Executor):
    """At most so many threads, begun when nobody is free; work begins in the order in which it was given.

    An `Executor`, whose `run` does without the future, the condition and the locks that `submit` makes for each piece.
    """

    def __init__(self, most: int, name: str) -> None:
        self._most = most
        self._name = name
        self._lock = threading.Lock()
        """Guards the next three."""
        self._threads: list[threading.Thread] = []
        self._unfinished = 0
        self._closed = False
        self._queue: SimpleQueue[tuple[Callable[..., None], tuple[Any, ...]] | None] = SimpleQueue()

    def run(self, function: Callable[..., None], *arguments: object) -> None:
        """Have a thread call it; what it raises is only logged. RuntimeError after `shutdown`."""
        with self._lock:
            if self._closed:
                raise RuntimeError("the threads take no more work")
            self._unfinished += 1
            if len(self._threads) < min(self._unfinished, self._most):
                self._begin_thread()
            self._queue.put((function, arguments))

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> "Future[T]":
        """See `Executor.submit`."""
        future: Future[T] = Future()
        self.run(_fulfil, future, lambda: fn(*args, **kwargs))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """See `Executor.shutdown`. What `run` was given is not cancelled. Idempotent."""
        with self._lock:
            self._closed = True
            threads = list(self._threads)
        if cancel_futures:
            self._cancel_waiting()
        for _ in threads:
            self._queue.put(None)
        if wait:
            for thread in threads:
                thread.join()

    def _cancel_waiting(self) -> None:
        kept = []
        with contextlib.suppress(Empty):
            while True:
                work = self._queue.get_nowait()
                if work is not None and work[0] is _fulfil:
                    work[1][0].cancel()
                else:
                    kept.append(work)
        for work in kept:
            self._queue.put(work)

    def _begin_thread(self) -> None:
        thread = threading.Thread(target=self._work, name=f"{self._name}_{len(self._threads)}", daemon=True)
        thread.start()
        self._threads.append(thread)

    def _work(self) -> None:
        while (work := self._queue.get()) is not None:
            function, arguments = work
            try:
                function(*arguments)
            except BaseException:
                logger.exception("work in a thread failed")
            # Whoever waits for more work keeps nothing of the last alive: a file, and with it its lock.
            del work, function, arguments
            with self._lock:
                self._unfinished -= 1


def run_in(threads: Executor, function: Callable[..., None], *arguments: object) -> None:
    """Have one of the threads call it, in as few steps as they can do it. It has to see to its own errors."""
    if isinstance(threads, Threads):
        threads.run(function, *arguments)
    else:
        threads.submit(function, *arguments)


def _fulfil(future: "Future[T]", call: Callable[[], T]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = call()
    except BaseException as error:
        future.set_exception(error)
        del future, call  # the error's traceback leads here, and from here it would lead to the error
    else:
        future.set_result(result)
