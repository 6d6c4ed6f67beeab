"""Several workers on one data directory, and kill -9 of some of them."""

import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.disk import kill
from tests.faults.pushers import Client, Ledger, pushing
from tests.faults.verify import dangling, lost, unfinishable, wrong_files
from tests.serving import ESTIVA, Registry, registry_running

TWO_WORKERS = ("env", "ESTIVA_WORKERS=2", ESTIVA)


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    with registry_running(tmp_path, program=TWO_WORKERS) as running:
        eventually(lambda: len(workers_of(running)) == 2)
        yield running


def workers_of(registry: Registry) -> set[int]:
    """The process ids of the workers."""
    supervisor = registry.process.pid
    children = Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split()
    return {int(child) for child in children if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()}


def eventually(holds: Callable[[], bool], patience: float = 20) -> None:
    """Return as soon as it holds."""
    deadline = time.monotonic() + patience
    while not holds():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.05)


def answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=2).close()
    except ConnectionError:
        return False
    return True


def problems(registry: Registry, ledger: Ledger) -> list[str]:
    """Everything that is lost, dangling, wrong or can't be continued, on whichever worker answers."""
    found = wrong_files(registry.data)
    with Client(registry.port) as client:
        found += lost(client, ledger) + dangling(client)
    for session in ledger.sessions:
        with Client(registry.port) as client:  # an upload may go on at another worker than it began at
            wrong = unfinishable(client, session, session.offset)
            found += [wrong] if wrong else []
    return found


def test_a_worker_that_is_killed_under_load_loses_nothing_and_is_replaced(registry: Registry) -> None:
    before = workers_of(registry)
    with pushing(registry.port, 12, "worker") as ledger:
        ledger.await_images(20)
        os.kill(min(before), signal.SIGKILL)
        time.sleep(1)
    assert ledger.refusals == []
    eventually(lambda: len(workers_of(registry)) == 2 and workers_of(registry) != before)
    assert problems(registry, ledger) == []


def test_workers_whose_supervisor_is_killed_end_and_free_the_port(registry: Registry) -> None:
    workers = workers_of(registry)
    kill(registry.process)
    eventually(lambda: not answers(registry.port))
    eventually(lambda: not any(Path(f"/proc/{worker}").exists() for worker in workers))
