"""A registry in its own process, for tests that need the real thing."""

import contextlib
import os
import shlex
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.tools import running

# Another registry under the same tests, to see whose fault a failure is: a command line with {port} and {data}.
PEER = os.environ.get("ESTIVA_TEST_REGISTRY_COMMAND")


@dataclass(frozen=True)
class Registry:
    """A registry that runs: where it listens, where its data and its log are."""

    port: int
    data: Path
    log: Path

    @property
    def host(self) -> str:
        """Host and port, as an image reference begins."""
        return f"127.0.0.1:{self.port}"


def free_port() -> int:
    """A loopback port that nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@contextlib.contextmanager
def registry_running(folder: Path) -> Iterator[Registry]:
    """`estiva serve` on a free loopback port with its data under `folder`, until the block ends."""
    registry = Registry(port=free_port(), data=folder / "data", log=folder / "registry.log")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ESTIVA_")}
    with running(_command(registry), registry.log, environment=environment) as process:
        _await_answer(registry, process)
        yield registry


def _command(registry: Registry) -> list[str]:
    if PEER:
        return shlex.split(PEER.format(port=registry.port, data=registry.data))
    estiva = Path(sys.executable).with_name("estiva")
    return [str(estiva), "serve", "--data", str(registry.data), "--listen", registry.host]


def _await_answer(registry: Registry, process: subprocess.Popen[bytes], patience: float = 30) -> None:
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            with urllib.request.urlopen(f"http://{registry.host}/v2/", timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.05)
    raise AssertionError(f"the registry did not come up:\n{registry.log.read_text()[-4000:]}")
