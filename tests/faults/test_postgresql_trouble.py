"""A PostgreSQL server that is restarted, killed or stopped in the midst of pushes."""

import contextlib
import http.client
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.faults.pushers import Client, Ledger, Pusher, Refused
from tests.faults.verify import dangling, lost, wrong_files
from tests.postgresql import Server, server_running
from tests.replicas import settings_on
from tests.serving import OPEN, Registry, registry_running

pytestmark = pytest.mark.real

PUSHERS = 4
LONGEST_ANSWER = 10.0
"""Seconds. A request may ask the database several times, and waits four seconds for the one that gets no answer."""
RECOVERY = 5.0


@dataclass
class Seen:
    """What the clients saw of the server's trouble."""

    unavailable: int = 0
    unclean: list[str] = field(default_factory=list)
    longest: float = 0.0


class Witness(Client):
    """A client that notes how it is answered."""

    def __init__(self, port: int, seen: Seen) -> None:
        super().__init__(port)
        self._seen = seen

    def ask(
        self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        """See `Client.ask`."""
        started = time.monotonic()
        status, answered, text = super().ask(method, path, body, headers)
        self._seen.longest = max(self._seen.longest, time.monotonic() - started)
        if status == 503 and answered["Retry-After"] and b"UNAVAILABLE" in text:
            self._seen.unavailable += 1
        elif status >= 500:
            self._seen.unclean.append(f"{method} {path}: {status} {text[:200]!r}")
        return status, answered, text


class PatientPusher(Pusher):
    """Begins another image when one is refused."""

    def __init__(self, name: str, port: int, ledger: Ledger, stop: threading.Event, seen: Seen) -> None:
        super().__init__(name, port, ledger, stop)
        self._seen = seen

    def run(self) -> None:
        """Push until told to stop."""
        number = 0
        with Witness(self._port, self._seen) as client:
            while not self._stop.is_set():
                number += 1
                try:
                    self._push_image(client, number)
                except Refused:
                    time.sleep(0.1)


@contextlib.contextmanager
def pushing_patiently(port: int) -> Iterator[tuple[Ledger, Seen]]:
    ledger, seen, stop = Ledger(), Seen(), threading.Event()
    pushers = [PatientPusher(f"pusher-{number}", port, ledger, stop, seen) for number in range(PUSHERS)]
    threads = [threading.Thread(target=pusher.run) for pusher in pushers]
    for thread in threads:
        thread.start()
    try:
        yield ledger, seen
    finally:
        stop.set()
        for thread in threads:
            thread.join(60)


@pytest.fixture
def server() -> Iterator[Server]:
    """A server of this test's own, that keeps what it acknowledges."""
    with server_running() as server:
        yield server


@pytest.fixture
def registry(server: Server, tmp_path: Path) -> Iterator[Registry]:
    with registry_running(tmp_path, settings=settings_on(server.url(), {}, **OPEN)) as registry:
        yield registry


def recovered(registry: Registry) -> float:
    """Seconds until a push succeeds again."""
    started = time.monotonic()
    while time.monotonic() < started + 60:
        with Client(registry.port) as client:
            if client.ask("POST", "/v2/recovered/blobs/uploads/")[0] == 202:
                break
        time.sleep(0.05)
    return time.monotonic() - started


def wait_for(ledger: Ledger, images: int) -> None:
    """Return when so many more images were acknowledged."""
    enough, deadline = len(ledger.tags) + images, time.monotonic() + 60
    while len(ledger.tags) < enough:
        assert time.monotonic() < deadline, "nothing is pushed"
        time.sleep(0.05)


def assert_nothing_lost(registry: Registry, ledger: Ledger) -> None:
    with Client(registry.port) as client:
        assert lost(client, ledger) == []
        assert dangling(client) == []
    assert wrong_files(registry.data) == []


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL], ids=["restarted", "killed"])
def test_a_server_that_ends_and_comes_back_loses_nothing_acknowledged(
    registry: Registry, server: Server, how: signal.Signals
) -> None:
    with pushing_patiently(registry.port) as (ledger, seen):
        wait_for(ledger, 5)
        for _ in range(2):
            server.stop(how)
            time.sleep(1)
            server.start()
            assert recovered(registry) < RECOVERY
            wait_for(ledger, 5)
    assert seen.unavailable > 0
    assert seen.unclean == []
    assert seen.longest < LONGEST_ANSWER
    assert_nothing_lost(registry, ledger)


# In both forms longer than anybody is let wait.
@pytest.mark.parametrize("seconds", [12, pytest.param(30, marks=pytest.mark.long)])
def test_a_server_that_stands_still_keeps_nobody_waiting(registry: Registry, server: Server, seconds: float) -> None:
    with pushing_patiently(registry.port) as (ledger, seen):
        wait_for(ledger, 5)
        with server.paused():
            began = time.monotonic()
            time.sleep(1)
            with Client(registry.port) as client:
                status, headers, _ = client.ask("GET", "/v2/_catalog")
                assert (status, headers["Retry-After"]) == (503, "2")
            with Client(registry.port) as client:
                assert client.ask("GET", "/healthz")[0] == 200
                assert client.ask("GET", "/readyz")[0] == 503
            time.sleep(max(0, began + seconds - time.monotonic()))
        assert recovered(registry) < RECOVERY
        wait_for(ledger, 5)
    assert seen.unavailable > 0
    assert seen.unclean == []
    assert seen.longest < LONGEST_ANSWER
    assert_nothing_lost(registry, ledger)
