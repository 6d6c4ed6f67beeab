"""`estiva storage copy` from a directory that is in use to a real S3 server: killed, made again, and served from."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.faults.misbehaving import Misbehaviour, misbehaving
from tests.fixtures.s3 import CREDENTIALS, S3Server
from tests.fixtures.wire import digest_of, pull, push
from tests.serving import ESTIVA, OPEN, registry_running
from tests.tools import CommandFailed, run, running

pytestmark = [pytest.mark.real, pytest.mark.timeout(600)]

MIB = 1024 * 1024
SIZES = [0, 1000, 64 * 1024, 3 * MIB, 8 * MIB, 8 * MIB + 1, 21 * MIB]
PREFIX = "moved"


class StopsAtParts(Misbehaviour):
    """Answers nothing any more as soon as a multipart upload has begun."""

    def __init__(self, server: S3Server) -> None:
        super().__init__(seed=1, stall_seconds=120)
        self._server = server

    def next(self) -> str:
        """See `Misbehaviour`."""
        self.requests += 1
        return "stall" if self._server.multiparts(PREFIX) else ""


@contextmanager
def serving(folder: Path, **settings: str) -> Iterator[httpx.Client]:
    """A client of a registry with its facts in `folder`, and its blobs there too unless `settings` say otherwise."""
    with (
        registry_running(folder, settings={**OPEN, **CREDENTIALS, **settings}) as registry,
        httpx.Client(base_url=f"http://{registry.host}", timeout=120) as client,
    ):
        yield client


def copy_command(folder: Path, target: str) -> list[str | Path]:
    return [ESTIVA, "storage", "copy", "--from", f"file://{folder / 'data'}", "--to", target]


def copy_killed_in_a_multipart_upload(folder: Path, server: S3Server) -> None:
    """A copy that never gets an answer again once it sends a blob in parts; it is killed then."""
    with misbehaving(str(server.endpoint), StopsAtParts(server)) as endpoint:
        command = copy_command(folder, server.url(PREFIX, endpoint=endpoint))
        with running(command, folder / "copy.log", environment=CREDENTIALS) as process:
            while not server.multiparts(PREFIX):
                assert process.poll() is None, (folder / "copy.log").read_text()
            process.kill()
            process.wait(60)


def copied(folder: Path, server: S3Server) -> str:
    return run(copy_command(folder, server.url(PREFIX)), environment=CREDENTIALS, timeout=240)


def contents_in_the_bucket(server: S3Server) -> list[str]:
    """The digests of what is there, computed."""
    client = server.client()
    bodies = (client.get_object(Bucket="cargo", Key=name)["Body"].read() for name in server.names(PREFIX))
    return sorted(digest_of(body) for body in bodies)


def test_a_registry_moves_to_s3_though_a_copy_is_killed_and_pushes_go_on(s3_server: S3Server, tmp_path: Path) -> None:
    contents = [os.urandom(size) for size in SIZES]
    with serving(tmp_path) as client:
        for content in contents:
            push(client, content)
        copy_killed_in_a_multipart_upload(tmp_path, s3_server)
        there = len(s3_server.names(PREFIX))
        contents.append(os.urandom(5000))
        push(client, contents[-1])
    assert there < len(SIZES)

    said = copied(tmp_path, s3_server)

    assert said.startswith(f"copied {len(contents) - there} blobs (")
    assert said.endswith(f", {there} were there\n")
    assert s3_server.multiparts(PREFIX) == []
    assert contents_in_the_bucket(s3_server) == sorted(digest_of(content) for content in contents)
    assert copied(tmp_path, s3_server) == f"copied 0 blobs (0 bytes), {len(contents)} were there\n"
    (tmp_path / "data" / "blobs").rename(tmp_path / "blobs")
    with serving(tmp_path, ESTIVA_BLOBS=s3_server.url(PREFIX)) as client:
        assert all(pull(client, digest_of(content)) == content for content in contents)


def test_a_copy_that_s3_does_not_answer_says_so(s3_server: S3Server, tmp_path: Path) -> None:
    (tmp_path / "data" / "blobs").mkdir(parents=True)
    nowhere = s3_server.url(PREFIX).replace("cargo", "no-such-bucket")

    with pytest.raises(CommandFailed, match=r"estiva: broken off after 0 blobs: .*S3 could not list"):
        run(copy_command(tmp_path, nowhere), environment=CREDENTIALS)
