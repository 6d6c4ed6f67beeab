"""A registry started for the benchmark: its own process, port and empty directory."""

from __future__ import annotations

import http.client
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep

from benchmarks.access import Access
from benchmarks.peers import Peer
from benchmarks.scenario import ScenarioFailed

_READY = 120.0
_STOP = 15.0


@dataclass(frozen=True)
class Server:
    """A running registry."""

    peer: Peer
    port: int
    pid: int
    access: Access


def free_port() -> int:
    """A TCP port of 127.0.0.1 on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def started(peer: Peer, directory: Path) -> Iterator[Server]:
    """The peer on an empty ``directory``, which is removed in the end together with the process."""
    directory.mkdir(parents=True)
    try:
        port = free_port()
        with serving(peer, directory, port) as pid:
            yield Server(peer, port, pid, peer.access(port))
    finally:
        shutil.rmtree(directory)
        # Freed blocks are written back now, not in the middle of the next timed part.
        os.sync()


@contextmanager
def serving(peer: Peer, directory: Path, port: int) -> Iterator[int]:
    """The id of the peer's process, which answers; what is in ``directory`` stays there."""
    with _process(peer.command(directory, port), peer.environment()) as process:
        _wait_until_ready(process, port, peer.greeting)
        yield process.pid


@contextmanager
def _process(command: list[str], environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_STOP)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(_STOP)


def _wait_until_ready(process: subprocess.Popen[bytes], port: int, greeting: int) -> None:
    limit = monotonic() + _READY
    while monotonic() < limit:
        if process.poll() is not None:
            raise ScenarioFailed(f"{process.args!r} ended with {process.returncode} before it answered")
        status = _status(port)
        if status == greeting:
            return
        if status is not None and status < 500:
            raise ScenarioFailed(f"{process.args!r} answers GET /v2/ with {status} instead of {greeting}")
        sleep(0.05)
    raise ScenarioFailed(f"{process.args!r} did not answer GET /v2/ within {_READY:g} seconds")


def _status(port: int) -> int | None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/v2/")
        return connection.getresponse().status
    except OSError:
        return None
    finally:
        connection.close()
