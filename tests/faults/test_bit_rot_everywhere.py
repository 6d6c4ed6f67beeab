"""Bytes that went bad, in a directory and in S3, with the facts in SQLite and in PostgreSQL: found, told, healed."""

import contextlib
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from estiva.digest import Digest
from storage.blobs.names import new_storage_key
from tests.fixtures.s3 import BUCKET, S3Server
from tests.fixtures.wire import REPOSITORY, digest_of, push
from tests.postgresql import Server
from tests.replicas import settings_on
from tests.serving import ESTIVA, OPEN, registry_running

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]

SIZE = 300_000
PASSWORD = "a long password of the administrator"
DAMAGE: dict[str, Callable[[bytes], bytes | None]] = {
    "a flipped bit": lambda content: content[:1000] + bytes([content[1000] ^ 1]) + content[1001:],
    "cut short": lambda content: content[: SIZE // 2],
    "empty": lambda content: b"",
    "too long": lambda content: content + b"more",
    "zeros": lambda content: bytes(SIZE),
    "gone": lambda content: None,
}
PUSHED_AND_SOUND = 3
LARGE = 9 * 1024 * 1024
IN_PARTS = re.compile(r"\.([0-9a-f]{32})\.[0-9]+$")


class Directory:
    """What somebody who sits at the disk may do to blobs."""

    def __init__(self, data: Path) -> None:
        self._blobs = data / "blobs"

    def replace(self, digest: str, content: bytes | None) -> None:
        """Put other bytes in the place of a blob's, or none."""
        (file,) = self._blobs.rglob(f"{digest.partition(':')[2]}.*")
        file.chmod(0o644)
        file.unlink()
        if content is not None:
            file.write_bytes(content)

    def add(self, key: str, content: bytes) -> None:
        """Put something there that nobody knows of."""
        (self._blobs / key).parent.mkdir(parents=True, exist_ok=True)
        (self._blobs / key).write_bytes(content)


class Bucket:
    """The same for who has the bucket."""

    def __init__(self, server: S3Server, prefix: str) -> None:
        self._server = server
        self._prefix = prefix

    def replace(self, digest: str, content: bytes | None) -> None:
        """Put another object in the place of a blob's, or none."""
        (name,) = [name for name in self._server.names(self._prefix) if digest.partition(":")[2] in name]
        if note := IN_PARTS.search(name):
            name = f"{self._prefix}/large/{note[1]}"  # what is below `blobs` only says where the content is
        if content is None:
            self._server.client().delete_object(Bucket=BUCKET, Key=name)
        else:
            self._server.client().put_object(Bucket=BUCKET, Key=name, Body=content)

    def add(self, key: str, content: bytes) -> None:
        """Put something there that nobody knows of."""
        self._server.client().put_object(Bucket=BUCKET, Key=f"{self._prefix}/blobs/{key}", Body=content)


Storage = Directory | Bucket


@pytest.fixture(
    params=[
        "directory-sqlite",
        pytest.param("directory-postgresql", marks=pytest.mark.long),
        pytest.param("s3-sqlite", marks=pytest.mark.long),
        "s3-postgresql",
    ]
)
def place(request: pytest.FixtureRequest) -> tuple[str, str]:
    """Where blobs and facts are. Each kind of store and each database is in one of the two short ones."""
    blobs, _, facts = request.param.partition("-")
    return blobs, facts


@pytest.fixture
def storage(request: pytest.FixtureRequest, place: tuple[str, str], tmp_path: Path) -> tuple[Storage, dict[str, str]]:
    """Where the blobs are, and the settings that say so."""
    if place[0] == "directory":
        return Directory(tmp_path / "data"), {}
    server: S3Server = request.getfixturevalue("s3_server")
    prefix = f"rot/{uuid4()}"
    return Bucket(server, prefix), {"ESTIVA_BLOBS": server.url(prefix), **server.environment}


@pytest.fixture
def facts(request: pytest.FixtureRequest, place: tuple[str, str]) -> dict[str, str]:
    """The settings that say where the facts are."""
    if place[1] == "sqlite":
        return {}
    server: Server = request.getfixturevalue("postgresql_server")
    name = f"rot_{uuid4().hex}"
    server.sql(f"CREATE DATABASE {name}")
    return settings_on(server.url(name), {})


@pytest.fixture
def client(storage: tuple[Storage, dict[str, str]], facts: dict[str, str], tmp_path: Path) -> Iterator[httpx.Client]:
    """Of a registry that gives nothing unknown time to become known."""
    settings = {**OPEN, **storage[1], **facts, "ESTIVA_GC_TRASH": "0", "ESTIVA_GC_EVERY": "86400"}
    settings["ESTIVA_ADMIN_PASSWORD"] = PASSWORD
    with (
        registry_running(tmp_path, settings=settings) as registry,
        httpx.Client(base_url=f"http://{registry.host}", timeout=60) as client,
    ):
        yield client


def estiva(client: httpx.Client, verb: str) -> tuple[int, dict[str, int]]:
    """The exit code of `estiva scrub` or `estiva fsck`, and the figures that it shows."""
    environment = {**os.environ, "ESTIVA_SERVER": str(client.base_url), "ESTIVA_PASSWORD": PASSWORD}
    done = subprocess.run([ESTIVA, verb], env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.stderr == ""
    pairs = (line.split(": ", 1) for line in done.stdout.splitlines() if ": " in line)
    return done.returncode, {name: int(value) for name, value in pairs if value.isdigit()}


def damaged(client: httpx.Client, storage: Storage) -> dict[str, bytes]:
    """Contents by digest: one for each damage, which is done, and some that stay as they are."""
    contents = [os.urandom(SIZE) for _ in range(len(DAMAGE) + PUSHED_AND_SOUND)]
    for content in contents:
        push(client, content)
    for content, damage in zip(contents, DAMAGE.values(), strict=False):
        storage.replace(digest_of(content), damage(content))
    return {digest_of(content): content for content in contents[: len(DAMAGE)]}


def test_a_whole_blob_never_comes_with_wrong_bytes_and_the_next_push_heals_it(
    client: httpx.Client, storage: tuple[Storage, dict[str, str]]
) -> None:
    for digest, content in damaged(client, storage[0]).items():
        with contextlib.suppress(httpx.RemoteProtocolError):  # cut off before its end
            answer = client.get(f"{REPOSITORY}/{digest}")
            if answer.status_code == 200:  # more than there should be, of which no more was read than there should be
                assert answer.content == content
                continue
            assert answer.status_code == 404
        assert client.head(f"{REPOSITORY}/{digest}").status_code == 404
        assert client.get(f"{REPOSITORY}/{digest}").status_code == 404
        push(client, content)
        assert client.head(f"{REPOSITORY}/{digest}").status_code == 200
        assert client.get(f"{REPOSITORY}/{digest}").content == content


def test_scrub_and_fsck_find_all_that_is_wrong_and_what_is_strange(
    client: httpx.Client, storage: tuple[Storage, dict[str, str]], figure: Callable[[str], None]
) -> None:
    bad = damaged(client, storage[0])
    storage[0].add(new_storage_key(Digest.of(b"strange")), b"strange")
    storage[0].add("sha256/ab/notes.txt", b"strange, and no blob by its name")
    code, compared = estiva(client, "fsck")  # sees what has another length, or none
    assert (code, compared["missing"], compared["corrupt"], compared["orphans"]) == (1, 1, 3, 1)
    assert compared["foreign"] == 1
    code, read = estiva(client, "scrub")
    assert (code, read["read"], read["missing"] + read["corrupt"]) == (1, len(DAMAGE) + PUSHED_AND_SOUND, 2)
    assert (read["orphans"], read["foreign"]) == (0, 1)  # the key that nothing names went when it was found
    for digest, content in bad.items():
        assert client.head(f"{REPOSITORY}/{digest}").status_code == 404
        push(client, content)
        assert client.get(f"{REPOSITORY}/{digest}").content == content
    assert estiva(client, "scrub")[0] == 0
    code, compared = estiva(client, "fsck")
    assert (code, compared["missing"], compared["corrupt"], compared["orphans"]) == (0, 0, 0, 0)
    where, count = type(storage[0]).__name__.lower(), len(DAMAGE)
    figure(f"bit rot, {where}: {count} of {count} planted damages and 2 foreign files found, all healed by a push")


def test_fsck_misses_no_large_blob_that_is_gone_or_cut_short(
    client: httpx.Client, storage: tuple[Storage, dict[str, str]]
) -> None:
    contents = [os.urandom(LARGE) for _ in range(3)]
    for content in contents:
        push(client, content)
    for content, damage in zip(contents, (None, b"cut short"), strict=False):
        storage[0].replace(digest_of(content), damage)
    code, compared = estiva(client, "fsck")
    assert (code, compared["missing"], compared["corrupt"], compared["orphans"]) == (1, 1, 1, 0)
    for content in contents:
        push(client, content)
        assert client.get(f"{REPOSITORY}/{digest_of(content)}").content == content
    code, compared = estiva(client, "fsck")
    assert (code, compared["missing"], compared["corrupt"], compared["orphans"]) == (0, 0, 0, 0)
