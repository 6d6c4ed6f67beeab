"""Several worker processes on one port: started together, replaced when one dies, ended together."""

import logging
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from types import FrameType
from typing import Any

logger = logging.getLogger("estiva.workers")

LOOK_EVERY = 0.2
SHORTEST_LIFE = 5.0
"""A worker that lives shorter than this, in seconds, is replaced only after a pause."""


def supervise(
    count: int, work: Callable[..., None], arguments: tuple[Any, ...], on_end: Callable[[], None] = lambda: None
) -> None:
    """Keep `count` processes of `work(*arguments)` running until SIGTERM or SIGINT, then end them and return.

    The first signal calls `on_end` and is passed on as SIGTERM, so workers drain; so is every further one, which
    ends them at once. Either within a fraction of a second.
    """
    _Workers(count, work, arguments, on_end).run()


class _Workers:
    def __init__(
        self, count: int, work: Callable[..., None], arguments: tuple[Any, ...], on_end: Callable[[], None]
    ) -> None:
        self._count = count
        self._work = work
        self._arguments = arguments
        self._on_end = on_end
        # Spawned, not forked: a worker inherits no threads, locks or database connections.
        self._context = multiprocessing.get_context("spawn")
        self._processes: dict[BaseProcess, float] = {}
        self._asked_to_end = 0
        self._passed_on = 0

    def run(self) -> None:
        previous = {number: signal.signal(number, self._note) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            for _ in range(self._count):
                self._start()
            while self._processes:
                time.sleep(LOOK_EVERY)
                self._pass_on()
                self._look()
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)

    def _start(self) -> None:
        process = self._context.Process(target=_be_worker, args=(self._work, self._arguments), name="estiva-worker")
        process.start()
        self._processes[process] = time.monotonic()

    def _look(self) -> None:
        for process, started in list(self._processes.items()):
            if process.is_alive():
                continue
            del self._processes[process]
            if self._asked_to_end:
                continue
            logger.error("worker %s ended with status %s; starting another", process.pid, process.exitcode)
            if time.monotonic() - started < SHORTEST_LIFE:
                time.sleep(1)
            self._start()

    def _note(self, number: int, frame: FrameType | None) -> None:
        # Only noted here: in a signal's handler a worker may be half started, and would never hear of the end.
        self._asked_to_end += 1

    def _pass_on(self) -> None:
        if self._passed_on == self._asked_to_end:
            return
        if not self._passed_on:
            self._on_end()
        self._passed_on += 1
        for process in self._processes:
            if process.is_alive():
                process.terminate()


def _be_worker(work: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    # Ctrl-C reaches the whole process group; the supervisor alone answers it, by telling each worker.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_supervisor, name="supervisor-watch", daemon=True).start()
    work(*arguments)


def _end_with_supervisor() -> None:
    """Drain when the supervisor was killed: workers that stayed would keep the port from the next start."""
    supervisor = multiprocessing.parent_process()
    if supervisor is not None:
        supervisor.join()
        os.kill(os.getpid(), signal.SIGTERM)
