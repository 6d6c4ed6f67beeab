"""A PostgreSQL server of Debian's package, in a cluster of its own, for tests that need the real thing."""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.serving import free_port
from tests.tools import absent, run, running

DEBIAN = Path("/usr/lib/postgresql")
ACCOUNT = "postgres"
"""Whom the server runs as where the tests run as root, which PostgreSQL refuses to be."""
QUICK = ("fsync=off", "full_page_writes=off", "synchronous_commit=off")
"""For tests that do not end the server without asking: commits need no disk."""


class Server:
    """A server and its cluster. It listens on loopback only, and lets everybody in."""

    def __init__(self, folder: Path, settings: tuple[str, ...] = ()) -> None:
        self.port = free_port()
        self._folder = folder
        self._settings = ("shared_buffers=32MB", "max_connections=200", *settings)
        self._ends = contextlib.ExitStack()
        self._process: subprocess.Popen[bytes] | None = None

    def url(self, database: str = "postgres") -> str:
        """Where clients find that database."""
        return f"postgresql://{ACCOUNT}@127.0.0.1:{self.port}/{database}"

    def create(self) -> None:
        """Make the cluster."""
        run([*_as_account(), _program("initdb"), "--pgdata", self._data, "--username", ACCOUNT, *_INITDB])

    def start(self) -> None:
        """Start, and wait until it answers."""
        options = [f"port={self.port}", "listen_addresses=127.0.0.1", "unix_socket_directories=", *self._settings]
        command: list[str | Path] = [
            _program("postgres"),
            "-D",
            self._data,
            *(word for option in options for word in ("-c", option)),
        ]
        log = self._folder / "server.log"
        self._process = self._ends.enter_context(running([*_as_account(), *command], log))
        deadline = time.monotonic() + 90
        while subprocess.run([_program("pg_isready"), "-q", "-d", self.url()], check=False).returncode != 0:
            assert self._process.poll() is None, log.read_text()[-4000:]
            assert time.monotonic() < deadline, log.read_text()[-4000:]
            time.sleep(0.05)

    def stop(self, number: signal.Signals = signal.SIGINT) -> None:
        """End the server: by SIGINT as a quick restart does, or by SIGKILL, after which its children end too."""
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(30)
            self._process = None
        self._ends.close()
        _await_end(self._data / "postmaster.pid")

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Nobody in there does anything until the block ends (SIGSTOP)."""
        self._signal_all(signal.SIGSTOP)
        try:
            yield
        finally:
            self._signal_all(signal.SIGCONT)

    def sql(self, *statements: str, database: str = "postgres") -> str:
        """Run statements, each on its own, and return what they select, a line for each row."""
        words = [word for statement in statements for word in ("-c", statement)]
        return run([_program("psql"), "-d", self.url(database), "-XAtq", "-v", "ON_ERROR_STOP=1", *words])

    @property
    def _data(self) -> Path:
        return self._folder / "data"

    def _signal_all(self, number: signal.Signals) -> None:
        assert self._process is not None
        for process in _with_children(self._process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, number)


@contextlib.contextmanager
def server_running(*settings: str) -> Iterator[Server]:
    """A new server, until the block ends; with fsync and durable commits unless `settings` say otherwise."""
    folder = Path(tempfile.mkdtemp(prefix="estiva-postgresql-"))
    try:
        if os.getuid() == 0:
            shutil.chown(folder, ACCOUNT)
        server = Server(folder, settings)
        server.create()
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder)


# Sorted as people sort, so that whatever must be sorted by bytes has to say so.
_SORTED = ("--locale", "C.UTF-8", "--locale-provider", "icu", "--icu-locale", "en-US")
_INITDB = ("--auth", "trust", "--encoding", "UTF8", *_SORTED, "--no-sync", "--no-instructions")


def _program(name: str) -> Path:
    found = sorted(DEBIAN.glob(f"*/bin/{name}"), key=lambda path: int(path.parts[-3]))
    if not found:
        absent(f"PostgreSQL's {name} is not installed; scripts/install-tools installs it")
    return found[-1]


def _as_account() -> list[str]:
    if os.getuid() != 0:
        return []
    return ["setpriv", "--reuid", ACCOUNT, "--regid", ACCOUNT, "--init-groups", "--"]


def _with_children(process: int) -> list[int]:
    children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    return [process, *(int(child) for child in children)]


def _await_end(pid_file: Path, patience: float = 30) -> None:
    """Wait until the children of a killed postmaster have gone too: until then no other may start on their data."""
    deadline = time.monotonic() + patience
    while _holders(pid_file.parent):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _holders(data: Path) -> list[str]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (process / "cwd").readlink() == data:
                found.append(process.name)
    return found
