"""SIGTERM: the port closes, what runs ends well, and then the process ends with 0."""

import contextlib
import re
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.estiva_server.process import Served, eventually, serving
from tests.faults.observed import Stopwatch, children
from tests.fixtures.documents import named

pytestmark = [pytest.mark.fault, pytest.mark.timeout(600)]

SMALL, LARGE = b"x" * 2_000, b"y" * 2_000_000


class Unfinished:
    """An upload of which the server has the head and half the body."""

    def __init__(self, served: Served, content: bytes) -> None:
        self._content = content
        self._connection = socket.create_connection(("127.0.0.1", served.port), timeout=20)
        target = f"/v2/drained/blobs/uploads/?digest={named(content)}"
        head = f"POST {target} HTTP/1.1\r\nHost: estiva\r\nContent-Length: {len(content)}\r\n\r\n"
        self._connection.sendall(head.encode() + content[: len(content) // 2])

    def was_taken(self) -> bool:
        """Whether nothing of it waits in the server's socket any more."""
        ends = (f"{port:04X}" for port in (self._connection.getpeername()[1], self._connection.getsockname()[1]))
        line = rf"0100007F:{next(ends)} 0100007F:{next(ends)} 01 [0-9A-F]+:([0-9A-F]+) "
        found = re.search(line, Path("/proc/net/tcp").read_text())
        return found is not None and int(found[1], 16) == 0

    def finish(self) -> None:
        """Send the rest."""
        self._connection.sendall(self._content[len(self._content) // 2 :])

    def answer(self) -> bytes:
        """All that the server says before it closes the connection; nothing where it just hangs up."""
        try:
            with self._connection.makefile("rb") as file:
                return file.read()
        except ConnectionError:
            return b""

    def close(self) -> None:
        """Hang up."""
        self._connection.close()


@contextlib.contextmanager
def uploads(served: Served) -> Iterator[list[Unfinished]]:
    """A small and a large upload under way: they take different ways through the server."""
    with contextlib.ExitStack() as ends:
        begun = [ends.enter_context(contextlib.closing(Unfinished(served, content))) for content in (SMALL, LARGE)]
        # Begun for certain: the server has taken all that was sent. A small upload has no file before it is whole.
        eventually(lambda: all(upload.was_taken() for upload in begun))
        eventually(lambda: len(list((served.data / "uploads").iterdir())) == 1)
        yield begun


def soon(served: Served, holds: Callable[[], bool], seconds: float) -> None:
    """Return as soon as it holds; AssertionError where the server had so many seconds to run, and it does not."""
    watch = Stopwatch(served.process.pid, *children(served.process.pid))
    while not holds():
        assert watch.seconds() < seconds
        time.sleep(0.03)


def has_ended(served: Served) -> Callable[[], bool]:
    """Whether the server is gone."""
    return lambda: served.process.poll() is not None


@pytest.mark.parametrize(("workers", "seconds"), [(1, 3.0), (2, 0.5)])
def test_uploads_in_flight_end_well_and_nobody_new_comes_in(tmp_path: Path, workers: int, seconds: float) -> None:
    with serving(tmp_path, "--workers", str(workers)) as served, served.client() as idle:
        assert idle.ask("GET", "/v2/").status == 200
        with uploads(served) as begun:
            served.terminate()
            soon(served, lambda: not served.accepts(), 5)
            time.sleep(seconds)
            assert served.process.poll() is None
            for upload in begun:
                upload.finish()
                assert upload.answer().startswith(b"HTTP/1.1 201 Created\r\n")
        soon(served, has_ended(served), 10)
        assert served.process.wait() == 0
        for content in (SMALL, LARGE):
            assert content in [path.read_bytes() for path in (served.data / "blobs").rglob("*.*")]


def test_a_second_signal_ends_at_once(tmp_path: Path) -> None:
    with serving(tmp_path, "--workers", "2") as served, uploads(served):
        served.terminate()
        soon(served, lambda: not served.accepts(), 5)
        time.sleep(0.5)
        assert served.process.poll() is None
        served.terminate()
        soon(served, has_ended(served), 5)


def test_what_does_not_end_in_time_is_cut_off(tmp_path: Path) -> None:
    with serving(tmp_path, environment={"ESTIVA_DRAIN_TIMEOUT": "1"}) as served, uploads(served) as begun:
        served.terminate()
        soon(served, has_ended(served), 8)
        assert not [upload for upload in begun if b" 201 " in upload.answer()]
