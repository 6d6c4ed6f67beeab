"""A registry in its own process, for tests that need the real thing."""

import contextlib
import os
import secrets
import shlex
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.tools import running

# Another registry under the same tests, to see whose fault a failure is: a command line with {port} and {data}.
PEER = os.environ.get("ESTIVA_TEST_REGISTRY_COMMAND")
OPEN = {"ESTIVA_OPEN": "true"}
"""Settings of a registry in which everybody may do everything."""
NO_ENGINE = {"ESTIVA_ENGINE": "unix:///nowhere"}
"""Tests that want a container engine say which: never the one that whoever runs them has on the machine."""
TOLD_WHERE = {"PYTHONFAULTHANDLER": "1"}
"""A process that a C library breaks says in its log where."""
LOWEST_PORT = 10_000
ESTIVA = Path(sys.executable).with_name("estiva")


@dataclass(frozen=True)
class Registry:
    """A registry that runs: where it listens, where its data and its log are, and its process."""

    port: int
    data: Path
    log: Path
    process: subprocess.Popen[bytes]

    @property
    def host(self) -> str:
        """Host and port, as an image reference begins."""
        return f"127.0.0.1:{self.port}"


def free_port() -> int:
    """A loopback port that nobody has, below those that the kernel gives out by itself.

    One of those may become the near end of anybody's connection, or the port of whoever asks for any, before the
    program that is started with it listens: that program then ends with `address already in use`.
    """
    first_of_kernel = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    for _ in range(1000):
        port = LOWEST_PORT + secrets.randbelow(first_of_kernel - LOWEST_PORT)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError(f"no port of 127.0.0.1 is free from {LOWEST_PORT} to {first_of_kernel - 1}")


@contextlib.contextmanager
def registry_running(
    folder: Path,
    program: Sequence[str | Path] = (ESTIVA,),
    *,
    settings: Mapping[str, str] = OPEN,
    certificate: tuple[Path, Path] | None = None,
) -> Iterator[Registry]:
    """`estiva serve` on a free loopback port with its data under `folder`, until the block ends.

    `program` is run in place of `estiva`; `settings` are environment variables, and no others of ours are set.
    With a certificate and its key, it speaks TLS.
    """
    port, data, log = free_port(), folder / "data", folder / "registry.log"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ESTIVA_")}
    environment |= NO_ENGINE | TOLD_WHERE | dict(settings)
    if certificate:
        environment |= dict(zip(("ESTIVA_TLS_CERTIFICATE", "ESTIVA_TLS_KEY"), map(str, certificate), strict=True))
    with running(_command(program, port, data), log, environment=environment) as process:
        registry = Registry(port, data, log, process)
        _await_answer(registry, process, trusted=certificate[0] if certificate else None)
        yield registry


def _command(program: Sequence[str | Path], port: int, data: Path) -> Sequence[str | Path]:
    if PEER:
        return shlex.split(PEER.format(port=port, data=data))
    return [*program, "serve", "--data", data, "--listen", f"127.0.0.1:{port}"]


def _await_answer(
    registry: Registry, process: subprocess.Popen[bytes], patience: float = 120, *, trusted: Path | None = None
) -> None:
    context = ssl.create_default_context(cafile=str(trusted)) if trusted else None
    url = f"{'https' if trusted else 'http'}://{registry.host}/v2/"
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            with urllib.request.urlopen(url, timeout=2, context=context):
                return
        except urllib.error.HTTPError as answer:
            with answer:
                if answer.code == 401:
                    return
        except (urllib.error.URLError, OSError):
            time.sleep(0.05)
    raise AssertionError(f"the registry did not come up:\n{registry.log.read_text()[-4000:]}")
