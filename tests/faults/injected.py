"""A registry whose system calls fail when they are told to: libfiu stands between it and the C library."""

import contextlib
import errno
from collections.abc import Iterator
from pathlib import Path

from tests.serving import ESTIVA, OPEN, Registry, registry_running
from tests.tools import absent

LIBRARIES = (Path("/usr/lib/fiu/fiu_run_preload.so"), Path("/usr/lib/fiu/fiu_posix_preload.so"))
# SQLite syncs by fdatasync, and the blob store by fsync: which of them fails says whose disk it is.
SYNC_OF_BLOBS = "posix/io/sync/fsync"
SYNC_OF_DATABASE = "posix/io/sync/fdatasync"
WRITES = "posix/io/rw/pwrite"
"""Of blobs and of the database."""
READS = "posix/io/rw/pread"
"""Of the database; what is in its memory needs none."""


class Injection:
    """What fails in one process. Where libfiu is absent the test is skipped (in CI: fails)."""

    def __init__(self, folder: Path) -> None:
        self._fifo = folder / "fiu"
        if not all(library.exists() for library in LIBRARIES):
            absent("libfiu is not installed; scripts/install-tools installs it")

    @property
    def program(self) -> tuple[str | Path, ...]:
        """What to run in place of `estiva`."""
        preload = ":".join(map(str, LIBRARIES))
        return ("env", f"LD_PRELOAD={preload}", f"FIU_CTRL_FIFO={self._fifo}", ESTIVA)

    @contextlib.contextmanager
    def failing(self, registry: Registry, *points: str, error: int = errno.EIO) -> Iterator[None]:
        """These calls of the registry's fail with that error until the block ends."""
        for point in points:
            self._tell(registry, f"enable name={point},failinfo={error}")
        try:
            yield
        finally:
            for point in points:
                self._tell(registry, f"disable name={point}")

    def _tell(self, registry: Registry, command: str) -> None:
        pipe = f"{self._fifo}-{registry.process.pid}"
        with open(f"{pipe}.in", "wb", buffering=0) as told:
            told.write(command.encode() + b"\n")
        with open(f"{pipe}.out", "rb", buffering=0) as answer:
            assert answer.read(2) == b"0\n", command


@contextlib.contextmanager
def injected(folder: Path) -> Iterator[tuple[Registry, Injection]]:
    """A registry with its data under `folder`, and what makes its calls fail."""
    injection = Injection(folder)
    with registry_running(folder, injection.program, settings=OPEN) as registry:
        yield registry, injection
