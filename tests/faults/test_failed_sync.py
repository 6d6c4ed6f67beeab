"""A disk that fails to sync: the registry never says that content is stored."""

import sys
from pathlib import Path

import pytest

from estiva.digest import Digest
from tests.faults.pushers import Client
from tests.serving import registry_running

CONTENT = b"never safely on disk"
FAILING_SYNCS = """
import errno, os, stat
sync, is_directory = os.fsync, {is_directory}
def fsync(fd):
    if stat.S_ISDIR(os.fstat(fd).st_mode) == is_directory and "/{below}" in os.readlink(f"/proc/self/fd/{{fd}}"):
        raise OSError(errno.EIO, os.strerror(errno.EIO))
    sync(fd)
os.fsync = fsync
from estiva.cli.main import main
main()
"""


@pytest.mark.parametrize(
    ("is_directory", "below"),
    [(False, "uploads/"), (True, f"blobs/sha256/{Digest.of(CONTENT).hex[:2]}")],
    ids=["content", "name"],
)
def test_a_blob_whose_sync_failed_is_refused_and_not_there(tmp_path: Path, is_directory: bool, below: str) -> None:
    program = (sys.executable, "-c", FAILING_SYNCS.format(is_directory=is_directory, below=below))
    digest = Digest.of(CONTENT)
    with registry_running(tmp_path, program=program) as registry, Client(registry.port) as client:
        status, _, body = client.ask("POST", f"/v2/app/blobs/uploads/?digest={digest}", CONTENT)
        assert status == 503
        assert str(tmp_path).encode() not in body
        location = client.begin("app")
        assert client.ask("PUT", f"{location}?digest={digest}", CONTENT)[0] == 503
        assert client.ask("PUT", f"{location}?digest={digest}", CONTENT)[0] == 404, "the upload is not trusted again"
        assert client.ask("GET", f"/v2/app/blobs/{digest}")[0] == 404
        assert [path for path in (registry.data / "blobs").rglob("*") if path.is_file()] == []
