"""A Docker Engine of the benchmark's own: its process, its folder, and when it did what to containers."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep
from typing import Any
from urllib.parse import quote

from benchmarks.peers import look_for
from benchmarks.scenario import ScenarioFailed

_READY = 90.0
_PATIENCE = 90.0
_LEAVE_NETWORK = ("--bridge=none", "--iptables=false", "--ip-forward=false", "--ip-masq=false")
"""The machine's network stays as it is: no bridge of its own, no rules."""


class _OverSocket(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("docker", timeout=_PATIENCE)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


@dataclass(frozen=True)
class Engine:
    """A running dockerd."""

    folder: Path

    @property
    def endpoint(self) -> str:
        """As `docker` and `engine` name it."""
        return f"unix://{self.folder}/socket"

    def docker(self, *words: str, content: bytes = b"") -> str:
        """What the docker command says. ScenarioFailed where it fails."""
        done = subprocess.run(
            [_program("docker"), *words], env=self.environment, input=content, capture_output=True, check=False
        )
        if done.returncode != 0:
            raise ScenarioFailed(f"docker {words[0]}: {done.stderr.decode(errors='replace').strip()}")
        return done.stdout.decode().strip()

    @property
    def environment(self) -> dict[str, str]:
        """In which `docker` speaks to it."""
        told = {"DOCKER_HOST": self.endpoint, "DOCKER_CONFIG": str(self.folder / "client")}
        return {**os.environ, **told, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}

    def open(self) -> http.client.HTTPConnection:
        """A connection to its API."""
        return _OverSocket(str(self.folder / "socket"))


class Moments:
    """When things happened to containers, by the engine's own clock, which is this machine's."""

    def __init__(self, engine: Engine) -> None:
        self._connection = engine.open()
        filters = json.dumps({"type": ["container"], "event": ["start", "die", "destroy"]})
        self._connection.request("GET", f"/events?filters={quote(filters)}")
        self._answer = self._connection.getresponse()

    def until(self, action: str, **attributes: str) -> tuple[str, float]:
        """The next such event of a container that has these labels or that name: its id, and Unix seconds."""
        wanted = attributes.items()
        with suppress(TimeoutError):  # that much without any event
            while line := self._answer.readline():
                event: dict[str, Any] = json.loads(line)
                if event["Action"] == action and wanted <= event["Actor"]["Attributes"].items():
                    return event["Actor"]["ID"], event["timeNano"] / 1e9
        raise ScenarioFailed(f"the engine told of no {action} of a container with {attributes}")

    def close(self) -> None:
        """Listen no more."""
        self._answer.close()
        self._connection.close()


@contextmanager
def engine_running(folder: Path) -> Iterator[Engine]:
    """A dockerd on an empty folder, which is unmounted and removed in the end. Needs root."""
    if os.geteuid() != 0:
        raise ScenarioFailed("an engine is started by root only")
    folder.mkdir(parents=True)
    (folder / "daemon.json").write_text("{}")
    places = {"data-root": "data", "exec-root": "exec", "pidfile": "pid", "config-file": "daemon.json"}
    command = [_program("dockerd"), *(f"--{option}={folder}/{name}" for option, name in places.items())]
    engine = Engine(folder)
    try:
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [*command, f"--host={engine.endpoint}", *_LEAVE_NETWORK],
                env=engine.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        try:
            _wait(engine, process)
            yield engine
        finally:
            process.terminate()
            process.wait(_PATIENCE)
    finally:
        _unmount(folder)
        shutil.rmtree(folder)


def _wait(engine: Engine, process: subprocess.Popen[bytes]) -> None:
    limit = monotonic() + _READY
    while process.poll() is None and monotonic() < limit:
        try:
            engine.docker("version")
            return
        except ScenarioFailed:
            sleep(0.1)
    raise ScenarioFailed(f"dockerd did not come up: {(engine.folder / 'log').read_text()[-1000:]}")


def _unmount(folder: Path) -> None:
    lines = Path("/proc/self/mounts").read_text().splitlines()
    points = [point for point in (line.split()[1] for line in lines) if point.startswith(f"{folder}/")]
    for point in sorted(points, key=len, reverse=True):
        subprocess.run(["umount", point], check=True)


def _program(name: str) -> str:
    found = look_for(name)
    if found is None:
        raise ScenarioFailed(f"the program {name} was not found")
    return found
