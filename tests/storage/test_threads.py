"""The pool of threads that stores: an executor, and a lighter way to have something run."""

import asyncio
import logging
import threading
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Executor, ThreadPoolExecutor
from functools import partial
from queue import SimpleQueue

import pytest

from storage.threads import Threads, run_in

LONG = 90


@pytest.fixture
def threads() -> Iterator[Threads]:
    with Threads(3, "storing") as threads:
        yield threads


class Held:
    """Keeps threads until it is let go."""

    def __init__(self) -> None:
        self._begun: SimpleQueue[str] = SimpleQueue()
        self._go_on = threading.Event()

    def __call__(self) -> None:
        self._begun.put(threading.current_thread().name)
        assert self._go_on.wait(LONG)

    def begun(self, count: int) -> set[str]:
        """The names of that many threads, when they are held."""
        return {self._begun.get(timeout=LONG) for _ in range(count)}

    def nobody_else_began(self) -> bool:
        return self._begun.empty()

    def let_go(self) -> None:
        self._go_on.set()


@pytest.fixture
def held() -> Iterator[Held]:
    held = Held()
    yield held
    held.let_go()


def test_work_runs_beside_other_work_in_as_many_threads_as_there_may_be(threads: Threads, held: Held) -> None:
    for _ in range(3):
        threads.run(held)
    assert held.begun(3) == {"storing_0", "storing_1", "storing_2"}
    threads.run(held)
    assert held.nobody_else_began()
    held.let_go()
    held.begun(1)


def test_no_thread_is_begun_while_one_is_free(threads: Threads) -> None:
    names = set()
    for _ in range(20):
        names.add(threads.submit(lambda: threading.current_thread().name).result(LONG))
        _until(lambda: threads._unfinished == 0)
    assert names == {"storing_0"}


def test_work_that_waits_begins_in_the_order_in_which_it_was_given(held: Held) -> None:
    order: list[int] = []
    with Threads(1, "storing") as threads:
        threads.run(held)
        for number in range(50):
            threads.run(order.append, number)
        held.let_go()
    assert order == list(range(50))


def test_the_future_holds_the_result_or_the_error(threads: Threads) -> None:
    assert threads.submit(divmod, 7, 2).result(LONG) == (3, 1)
    assert threads.submit(int, "ff", base=16).result(LONG) == 255
    with pytest.raises(ZeroDivisionError):
        threads.submit(lambda: 1 // 0).result(LONG)


async def test_the_event_loop_takes_it_for_an_executor(threads: Threads) -> None:
    assert await asyncio.get_running_loop().run_in_executor(threads, divmod, 7, 2) == (3, 1)


def test_a_thread_outlives_what_is_raised_in_it(caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> None:
        raise LookupError("told in the log")

    with caplog.at_level(logging.ERROR, "estiva.threads"), Threads(1, "storing") as threads:
        threads.run(fail)
        assert threads.submit(lambda: "next").result(LONG) == "next"
    assert "told in the log" in caplog.text


def test_a_thread_that_waits_for_work_keeps_nothing_of_the_last_alive(threads: Threads) -> None:
    class Content:
        def fail(self) -> None:
            raise LookupError

        def store(self) -> None:
            pass

    for method in ("store", "fail"):
        content = Content()
        kept = weakref.ref(content)
        future = threads.submit(getattr(content, method))
        future.exception(LONG)
        del content, future
        _until(lambda kept=kept: kept() is None)  # type: ignore[misc]


def test_shutting_down_waits_for_all_that_was_given_and_takes_no_more(held: Held) -> None:
    threads, done = Threads(2, "storing"), SimpleQueue[int]()
    for _ in range(2):
        threads.run(held)
    for number in range(10):
        threads.run(done.put, number)
    held.begun(2)
    threads.shutdown(wait=False)
    with pytest.raises(RuntimeError):
        threads.submit(lambda: None)
    held.let_go()
    threads.shutdown()
    assert done.qsize() == 10
    assert not any(thread.name.startswith("storing") for thread in threading.enumerate())


def test_futures_that_wait_are_cancelled_on_demand(held: Held) -> None:
    threads, done = Threads(1, "storing"), SimpleQueue[str]()
    threads.run(held)
    held.begun(1)
    waiting = threads.submit(lambda: "never")
    threads.run(done.put, "all the same")
    threads.shutdown(wait=False, cancel_futures=True)
    held.let_go()
    threads.shutdown()
    with pytest.raises(CancelledError):
        waiting.result(LONG)
    assert done.get_nowait() == "all the same"


@pytest.mark.parametrize("kind", [partial(Threads, 1, "storing"), partial(ThreadPoolExecutor, 1)], ids=["own", "any"])
def test_any_executor_runs_what_nobody_waits_for(kind: Callable[[], Executor]) -> None:
    done: SimpleQueue[str] = SimpleQueue()
    with kind() as threads:
        run_in(threads, done.put, "done")
        assert done.get(timeout=LONG) == "done"


def _until(condition: Callable[[], bool]) -> None:
    over = threading.Event()
    for _ in range(LONG * 200):
        if condition():
            return
        over.wait(0.005)
    raise AssertionError("it did not come about")
