"""Ctrl-C in the middle of a transfer: it ends at once, whatever the registry does, and the next one goes on."""

import os
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from estiva.credentials import DockerConfig
from tests.estiva.client.conftest import Peer, clients
from tests.estiva.client.cutting import PATIENCE, Cutter, cutting
from tests.estiva.client.test_transfers import BIG, behind, contents, layout

AT_ONCE = 30.0
"""Seconds, on a slow machine; a connection that says nothing is given up only after twice as many."""
SENTENCE = "estiva: interrupted; the same command goes on from here\n"
COMMAND = "from estiva.cli.main import main; main()"
LIBRARY = f"""
import sys
from estiva import Client
try:
    with Client(uploads=sys.argv[4]) as client:
        getattr(client, sys.argv[1])(sys.argv[2], sys.argv[3])
except KeyboardInterrupt:
    sys.stderr.write({SENTENCE!r})
    sys.exit(130)
"""
ASYNCIO = f"""
import asyncio, sys
from estiva import AsyncClient
async def main():
    async with AsyncClient(uploads=sys.argv[4]) as client:
        await getattr(client, sys.argv[1])(sys.argv[2], sys.argv[3])
try:
    asyncio.run(main())
except KeyboardInterrupt:
    sys.stderr.write({SENTENCE!r})
    sys.exit(130)
"""
Start = Callable[..., "subprocess.Popen[str]"]


LONG = [pytest.param(kind, marks=pytest.mark.real) for kind in ("Client", "AsyncClient")]


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Processes started meanwhile end by Ctrl-C, also where the tests run in the background, where it is ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(params=["command", *LONG])
def start(request: pytest.FixtureRequest, interruptible: None, peer: Peer, tmp_path: Path) -> Start:
    """What starts a transfer in a process of its own: verb, and what and where to."""
    state = tmp_path / "state"
    program = {"command": COMMAND, "Client": LIBRARY, "AsyncClient": ASYNCIO}[request.param]

    def begin(host: str, verb: str, first: str, second: str) -> "subprocess.Popen[str]":
        DockerConfig(tmp_path).store(host, peer.credential)
        is_command = request.param == "command"
        word = verb.partition("_")[0] if is_command else verb
        command = [sys.executable, "-c", program, word, first, second]
        command += [] if is_command else [str(state / "estiva" / "uploads")]
        environment = {**os.environ, "DOCKER_CONFIG": str(tmp_path), "XDG_STATE_HOME": str(state)}
        return subprocess.Popen(
            command, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, cwd=tmp_path
        )

    return begin


def interrupted(process: "subprocess.Popen[str]", cutter: Cutter, folder: Path | None = None) -> None:
    """End it with Ctrl-C while the connection says nothing, and where there is a folder has written what came."""
    try:
        assert cutter.held.wait(PATIENCE)
        if folder is not None:
            await_bytes(folder)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=AT_ONCE)
    finally:
        process.kill()
        process.communicate()
    assert (process.returncode, out, err) == (130, "", SENTENCE)
    cutter.let_go()


def await_bytes(folder: Path) -> None:
    """Until a part of the big blob is in the folder."""
    deadline = time.monotonic() + PATIENCE
    while not any(_size(path) > BIG // 100 for path in folder.rglob("ingest/*")):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _size(path: Path) -> int:
    with suppress(FileNotFoundError):  # a small one, that has its name by now
        return path.stat().st_size
    return 0


def done(process: "subprocess.Popen[str]") -> None:
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, (out, err)


def test_a_push_ends_at_once_and_goes_on(start: Start, peer: Peer, repository: str, tmp_path: Path) -> None:
    source = layout(tmp_path / "source", size=BIG)
    with cutting(int(peer.host.rpartition(":")[2])) as cutter:
        cutter.up, cutter.holds = BIG // 2, True
        target = f"{behind(cutter, repository)}:1"
        interrupted(start(cutter.host, "push", str(source.folder), target), cutter)
        done(start(cutter.host, "push", str(source.folder), target))
    (sent,) = cutter.headers(b"Content-Range")
    assert 0 < int(sent.partition(b"-")[0]) < BIG
    with clients("Client", credentials=peer.find) as client:
        client.pull(f"{repository}:1", tmp_path / "target")
    assert contents(tmp_path / "target") == contents(source.folder)


def test_a_pull_ends_at_once_and_goes_on(start: Start, peer: Peer, repository: str, tmp_path: Path) -> None:
    source, target = layout(tmp_path / "source", size=BIG), tmp_path / "target"
    with clients("Client", credentials=peer.find) as client:
        client.push(source.folder, f"{repository}:1")
    with cutting(int(peer.host.rpartition(":")[2])) as cutter:
        cutter.down, cutter.holds = BIG // 2, True
        name = f"{behind(cutter, repository)}:1"
        interrupted(start(cutter.host, "pull", name, str(target)), cutter, tmp_path)
        done(start(cutter.host, "pull", name, str(target)))
    (asked,) = cutter.headers(b"Range")
    assert 0 < int(asked.removeprefix(b"bytes=").rstrip(b"-")) < BIG
    assert contents(target) == contents(source.folder)


def test_a_pull_into_an_archive_goes_on(start: Start, peer: Peer, repository: str, tmp_path: Path) -> None:
    source, target = layout(tmp_path / "source", size=BIG), tmp_path / "out" / "image.tar"
    target.parent.mkdir()
    with clients("Client", credentials=peer.find) as client:
        client.push(source.folder, f"{repository}:1")
    with cutting(int(peer.host.rpartition(":")[2])) as cutter:
        cutter.down, cutter.holds = BIG // 2, True
        words = cutter.host, "pull_archive", f"{behind(cutter, repository)}:1", str(target)
        interrupted(start(*words), cutter, tmp_path)
        done(start(*words))
    assert len(cutter.headers(b"Range")) == 1
    with tarfile.open(target) as tar:
        names = {name.rpartition("/")[2] for name in tar.getnames()}
    assert names == {*contents(source.folder), "index.json", "manifest.json", "oci-layout"}
    assert [path.name for path in target.parent.iterdir()] == ["image.tar"]
