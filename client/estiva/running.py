"""Does what the protocol's generators ask for, with threads."""

from collections import deque
from collections.abc import Callable, Sequence
from threading import Event, Thread
from time import monotonic
from typing import Any, TypeVar

from estiva.bodies import Stopped
from estiva.connections import Connections
from estiva.protocol.steps import Call, Parallel, Pause, Request, Response, Step, Steps

T = TypeVar("T")
Stop = Callable[[], bool]
PATIENCE = 2.0
"""Seconds in which threads end after Ctrl-C; one that still waits for a name or a connection then is left behind."""


def run(steps: Steps[T], connections: Connections, parallel: int, stopped: Event | None = None) -> T:
    """What the generator returns; so many requests are under way at the same time. Its errors are raised."""
    return _Run(connections, parallel, stopped or Event()).to_end(steps)


class _Run:
    def __init__(self, connections: Connections, parallel: int, stopped: Event) -> None:
        self._connections = connections
        self._parallel = parallel
        self._stopped = stopped

    def to_end(self, steps: Steps[T]) -> T:
        try:
            step = next(steps)
            while True:
                try:
                    outcome = self._do(step)
                except Exception as error:
                    step = steps.throw(error)
                else:
                    step = steps.send(outcome)
        except StopIteration as end:
            result: T = end.value
            return result
        finally:
            steps.close()

    def _do(self, step: Step) -> Response | list[Any] | Any:
        match step:
            case Request():
                if self._stopped.is_set():
                    raise Stopped
                return self._connections.ask(step, self._stopped.is_set)
            case Parallel(steps=branches):
                return self._all(branches)
            case Call(work=work):
                return work()
            case Pause(seconds=seconds):
                if self._stopped.wait(seconds):
                    raise Stopped
                return None

    def _all(self, branches: Sequence[Steps[Any]]) -> list[Any]:
        """All of them; where one fails, or somebody presses Ctrl-C, the others end at their next piece."""
        if len(branches) <= 1 or self._parallel == 1:
            return [self.to_end(branch) for branch in branches]
        crew = _Crew(_Run(self._connections, 1, Event()), branches)
        count = min(self._parallel, len(branches))
        threads = [Thread(target=crew.work, name="estiva", daemon=True) for _ in range(count)]
        try:
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        except BaseException:  # Ctrl-C: a registry that says nothing is not waited for
            crew.stop()
            self._connections.cut()
            _await(threads, PATIENCE)
            raise
        return crew.results()


def _await(threads: Sequence[Thread], seconds: float) -> None:
    deadline = monotonic() + seconds
    for thread in threads:
        if thread.is_alive():
            thread.join(max(0, deadline - monotonic()))


class _Crew:
    """What several threads share that take one branch after the other."""

    def __init__(self, within: _Run, branches: Sequence[Steps[Any]]) -> None:
        self._within = within
        self._waiting = deque(enumerate(branches))
        self._results: list[Any] = [None] * len(branches)
        self._failures: deque[BaseException] = deque()

    def work(self) -> None:
        """Branches to their end, until there is none or one has failed."""
        while self._waiting:
            try:
                number, branch = self._waiting.popleft()
            except IndexError:  # another thread took the last one
                return
            try:
                self._results[number] = self._within.to_end(branch)
            except BaseException as error:  # `results` raises it, in the thread that waits for all
                self._failures.append(error)
                self.stop()

    def stop(self) -> None:
        """Begin no further branch, and end those that are under way at their next piece."""
        self._waiting.clear()
        self._within._stopped.set()

    def results(self) -> list[Any]:
        """What the branches return; the first error is raised."""
        if self._failures:
            raise self._failures[0]
        return self._results
