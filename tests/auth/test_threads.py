import asyncio
import threading

import pytest

from auth.threads import Threads
from estiva.errors import TooManyRequests


async def test_only_so_many_run_and_wait_and_the_rest_is_told_when_to_come_back() -> None:
    threads, go = Threads(2, most_waiting=4), threading.Event()
    try:
        running = [asyncio.ensure_future(threads.run(go.wait, 20)) for _ in range(6)]
        await asyncio.sleep(0.05)
        with pytest.raises(TooManyRequests) as refused:
            await threads.run(go.wait)
        assert refused.value.headers["Retry-After"] == "1"
        go.set()
        assert await asyncio.gather(*running) == [True] * 6
        assert await threads.run(str, 5) == "5"
    finally:
        threads.close()


async def test_whoever_leaves_makes_room() -> None:
    threads, go = Threads(1, most_waiting=0), threading.Event()
    try:
        leaving = asyncio.ensure_future(threads.run(go.wait, 20))
        await asyncio.sleep(0.05)
        leaving.cancel()
        await asyncio.gather(leaving, return_exceptions=True)
        go.set()
        assert await threads.run(str, 5) == "5"
    finally:
        threads.close()
