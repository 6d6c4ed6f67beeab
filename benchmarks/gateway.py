"""An S3 server for registries that keep their blobs in a bucket: versitygw, on the same disk."""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep

from benchmarks.peers import Bucket, look_for
from benchmarks.scenario import ScenarioFailed, Storage

PROGRAM = "versitygw"
NAME = "bench"
_READY = 30.0


@dataclass(frozen=True)
class Gateway:
    """A running S3 server with one bucket, which is a directory."""

    port: int
    directory: Path

    def bucket(self, prefix: str, storage: Storage) -> Bucket:
        """The bucket, for one registry and its prefix."""
        return Bucket(f"http://127.0.0.1:{self.port}", NAME, prefix, redirect=storage == "s3-redirect")

    def forget(self, prefix: str) -> None:
        """Remove everything under a prefix."""
        shutil.rmtree(self.directory / NAME / prefix, ignore_errors=True)


@contextmanager
def gateway_running(directory: Path, port: int) -> Iterator[Gateway]:
    """An S3 server on a port of 127.0.0.1 with its data in ``directory``, until the block ends."""
    program = look_for(PROGRAM)
    if program is None:
        raise ScenarioFailed(f"this scenario needs {PROGRAM}, which was not found; scripts/install-tools installs it")
    data, notes = directory / "data", directory / "notes"
    for place in (data / NAME, notes):
        place.mkdir(parents=True)
    keys = ["--access", Bucket.KEY, "--secret", Bucket.SECRET]
    command = [program, *keys, "--port", f"127.0.0.1:{port}", "--keep-alive", "--quiet"]
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(
        [*command, "posix", "--sidecar", str(notes), str(data)], stdin=quiet, stdout=quiet, stderr=quiet
    )
    try:
        _wait_until_ready(process, port)
        yield Gateway(port, data)
    finally:
        process.terminate()
        process.wait()
        shutil.rmtree(directory)


def _wait_until_ready(process: subprocess.Popen[bytes], port: int) -> None:
    limit = monotonic() + _READY
    while process.poll() is None and monotonic() < limit:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        sleep(0.05)
    raise ScenarioFailed("the S3 server did not come up")
