"""`estiva serve` as its own process, told apart into what it answers, what it logs and how it ends."""

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.serving import NO_ENGINE, OPEN, free_port

ESTIVA = Path(sys.executable).with_name("estiva")
PATIENCE = 60.0


@dataclass(frozen=True)
class Answer:
    """A response, read to its end."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Client:
    """One connection, kept."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
        """One request; underscores in header names stand for dashes."""
        self._connection.request(method, path, body, {name.replace("_", "-"): text for name, text in headers.items()})
        response = self._connection.getresponse()
        return Answer(response.status, {name.lower(): text for name, text in response.getheaders()}, response.read())

    def close(self) -> None:
        """Hang up."""
        self._connection.close()


@dataclass(frozen=True)
class Served:
    """A server that runs."""

    process: subprocess.Popen[bytes]
    port: int
    data: Path
    out: Path
    err: Path

    @contextlib.contextmanager
    def client(self) -> Iterator[Client]:
        """One connection."""
        with contextlib.closing(Client(self.port)) as client:
            yield client

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
        """One request on a connection of its own."""
        with self.client() as client:
            return client.ask(method, path, body, **headers)

    def access_log(self) -> list[dict[str, Any]]:
        """Every line of standard output that is one of the access log; it is written every 0.2 s."""
        return [json.loads(line) for line in self.out.read_text().splitlines() if line.startswith("{")]

    def terminate(self) -> None:
        """Send SIGTERM."""
        self.process.send_signal(signal.SIGTERM)

    def accepts(self) -> bool:
        """Whether a new connection finds somebody who listens."""
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=2).close()
        except ConnectionError:
            return False
        return True


@contextlib.contextmanager
def serving(folder: Path, *arguments: str, environment: Mapping[str, str] | None = None) -> Iterator[Served]:
    """`estiva serve` on a free port with its data under `folder`; killed in the end if it still runs."""
    port = free_port()
    listen = ["--data", str(folder / "data"), "--listen", f"127.0.0.1:{port}"]
    served = Served(_start(folder, *listen, *arguments, environment=environment), port, folder / "data", *_logs(folder))
    try:
        eventually(lambda: served.process.poll() is not None or _is_up(served))
        assert served.process.poll() is None, served.err.read_text()
        yield served
    finally:
        end(served.process)


def ended(folder: Path, *arguments: str, environment: Mapping[str, str] | None = None) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of an `estiva serve` that ends by itself."""
    process = _start(folder, *arguments, environment=environment)
    try:
        code = process.wait(PATIENCE)
    finally:
        end(process)
    out, err = _logs(folder)
    return code, out.read_text(), err.read_text()


def end(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM, and SIGKILL for whoever does not listen to that."""
    process.terminate()
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(PATIENCE)


def eventually(holds: Callable[[], bool], patience: float = PATIENCE) -> None:
    """Return as soon as it holds; AssertionError when it does not come to that."""
    deadline = time.monotonic() + patience
    while not holds():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.03)


def _logs(folder: Path) -> tuple[Path, Path]:
    return folder / "out.log", folder / "err.log"


def _start(folder: Path, *arguments: str, environment: Mapping[str, str] | None) -> subprocess.Popen[bytes]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ESTIVA_")}
    out, err = _logs(folder)
    with out.open("wb") as output, err.open("wb") as errors:
        return subprocess.Popen(
            [ESTIVA, "serve", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=errors,
            env={**clean, **OPEN, **NO_ENGINE, **(environment or {})},
            cwd=folder,
        )


def _is_up(served: Served) -> bool:
    try:
        return served.ask("GET", "/healthz").status == 200
    except OSError:
        return False
