"""Does what the protocol's generators ask for, with threads."""

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from threading import Event
from typing import Any, TypeVar

from estiva.bodies import Stopped
from estiva.connections import Connections
from estiva.protocol.steps import Call, Parallel, Pause, Request, Response, Step, Steps

T = TypeVar("T")
Stop = Callable[[], bool]


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
        within = _Run(self._connections, 1, Event())
        with ThreadPoolExecutor(min(self._parallel, len(branches)), "estiva") as threads:
            futures = [threads.submit(within.to_end, branch) for branch in branches]
            try:
                wait(futures, return_when=FIRST_EXCEPTION)
                failed = [future for future in futures if future.done() and future.exception()]
                if failed:
                    raise failed[0].exception() or AssertionError
                return [future.result() for future in futures]
            finally:
                within._stopped.set()
                threads.shutdown(wait=True, cancel_futures=True)
