"""Work in threads: its result or its error comes back, and giving up waiting for it harms nobody."""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from registry.threads import Steadfast, in_thread


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as pool:
        yield pool


async def test_the_result_comes_from_another_thread(threads: ThreadPoolExecutor) -> None:
    assert await in_thread(threads, threading.get_ident) != threading.get_ident()


async def test_an_error_comes_out(threads: ThreadPoolExecutor) -> None:
    with pytest.raises(ZeroDivisionError):
        await in_thread(threads, lambda: 1 // 0)


async def test_what_nobody_waits_for_any_more_runs_all_the_same(threads: ThreadPoolExecutor) -> None:
    begun, go_on, done = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        assert go_on.wait(90)
        done.set()

    waiting = asyncio.ensure_future(in_thread(threads, work))
    assert await asyncio.to_thread(begun.wait, 90)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    go_on.set()
    assert await asyncio.to_thread(done.wait, 90)
    assert await in_thread(threads, lambda: "next") == "next"


@pytest.mark.parametrize("fails", [False, True], ids=["and it succeeds", "and it fails"])
async def test_who_may_not_leave_is_cancelled_when_the_thread_has_ended(
    threads: ThreadPoolExecutor, fails: bool
) -> None:
    begun, go_on, left = threading.Event(), threading.Event(), []

    def work() -> None:
        begun.set()
        assert go_on.wait(90)
        if fails:
            raise LookupError

    async def wait() -> None:
        await in_thread(threads, work, Steadfast(lambda: left.append("leaving")))

    waiting = asyncio.create_task(wait())
    assert await asyncio.to_thread(begun.wait, 90)
    for _ in range(2):
        waiting.cancel()
        await asyncio.sleep(0)
    assert left == ["leaving"] * 2
    assert not waiting.done()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(waiting, 90)


async def test_who_may_not_leave_gets_what_comes_of_it(threads: ThreadPoolExecutor) -> None:
    assert await in_thread(threads, lambda: "done", Steadfast(lambda: None)) == "done"
    with pytest.raises(ZeroDivisionError):
        await in_thread(threads, lambda: 1 // 0, Steadfast(lambda: None))


def test_the_end_of_the_loop_harms_no_thread(threads: ThreadPoolExecutor) -> None:
    go_on = threading.Event()

    async def leave() -> None:
        in_thread(threads, lambda: go_on.wait(90))

    asyncio.run(leave())
    go_on.set()
    assert threads.submit(lambda: "next").result(90) == "next"
