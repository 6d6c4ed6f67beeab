"""Two registries on one PostgreSQL, and two workers on one SQLite: who races, who wins, and what everybody sees."""

import contextlib
import itertools
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3  # type: ignore[import-untyped]
import pytest

from estiva.digest import Digest
from estiva.mediatypes import OCI_MANIFEST
from tests.faults.pushers import Client, pushing
from tests.faults.verify import dangling, lost, unfinishable, wrong_files
from tests.fixtures.documents import image
from tests.fixtures.s3 import S3Server
from tests.postgresql import Server
from tests.replicas import replicas_running
from tests.serving import ESTIVA, Registry, registry_running

pytestmark = pytest.mark.real

ROUNDS = 8
AT_ONCE = 6
MANIFEST = {"Content-Type": OCI_MANIFEST, "Accept": OCI_MANIFEST}
Ports = Sequence[int]

REFUSED = 400
"""For a tag that may not move."""


@pytest.fixture(scope="module", params=["postgresql-directory", "postgresql-s3", "workers"])
def registries(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Registry]]:
    """Two processes with the same facts and blobs; two workers are one registry, listed twice."""
    folder = tmp_path_factory.mktemp("registries")
    if request.param == "workers":
        with registry_running(folder, program=("env", "ESTIVA_WORKERS=2", ESTIVA)) as registry:
            yield [registry, registry]
        return
    server: Server = request.getfixturevalue("postgresql_server")
    name = request.param.replace("-", "_")
    server.sql(f"CREATE DATABASE {name}")
    blobs: Mapping[str, str] = {}  # in the data directory that they share
    if request.param == "postgresql-s3":
        s3: S3Server = request.getfixturevalue("s3_server")
        blobs = {"ESTIVA_BLOBS": s3.url("replicas"), **s3.environment}
    with replicas_running(folder, 2, server.url(name), blobs) as replicas:
        yield [*replicas]


@pytest.fixture
def ports(registries: list[Registry]) -> Ports:
    """Where the two listen."""
    return [registry.port for registry in registries]


@contextlib.contextmanager
def clients(ports: Ports, count: int = 1) -> Iterator[list[Client]]:
    """`count` connections to each."""
    with contextlib.ExitStack() as ends:
        yield [ends.enter_context(Client(port)) for _ in range(count) for port in ports]


def ecr_of(port: int) -> Any:
    """boto3's client; who signs is not asked where everything is open."""
    return boto3.client(
        "ecr",
        endpoint_url=f"http://127.0.0.1:{port}",
        region_name="us-east-1",
        aws_access_key_id="anybody",
        aws_secret_access_key="anything",
    )


def push_blob(client: Client, repository: str, content: bytes) -> Digest:
    digest = Digest.of(content)
    client.demand(201, "POST", f"/v2/{repository}/blobs/uploads/?digest={digest}", content)
    return digest


def at_once(calls: Sequence[Callable[[], int]]) -> list[int]:
    """The results of all of them, begun together."""
    gate = threading.Barrier(len(calls))

    def run(call: Callable[[], int]) -> int:
        gate.wait(30)
        return call()

    with ThreadPoolExecutor(len(calls)) as threads:
        return list(threads.map(run, calls))


def status(client: Client, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] = MANIFEST) -> int:
    return client.ask(method, path, body, dict(headers))[0]


def test_every_read_succeeds_while_a_tag_moves(ports: Ports) -> None:
    payloads = [image(annotations={"n": str(number)}) for number in range(AT_ONCE)]
    path, stop, failed = "/v2/moved/manifests/latest", threading.Event(), []

    def read(port: int) -> int:
        count = 0
        with Client(port) as client:
            while not stop.is_set():
                got, headers, body = client.ask("GET", path, headers=MANIFEST)
                if got != 200 or body not in payloads or headers["Docker-Content-Digest"] != str(Digest.of(body)):
                    failed.append((got, body[:200]))
                count += 1
        return count

    with clients(ports) as both, ThreadPoolExecutor(4) as threads:
        push_blob(both[0], "moved", b"{}")
        assert status(both[0], "PUT", path, payloads[0]) == 201
        reads = [threads.submit(read, port) for port in (*ports, *ports)]
        try:
            for round_ in range(ROUNDS):
                calls = [
                    lambda client=client, number=number: status(client, "PUT", path, payloads[number])
                    for client, number in zip(both, (round_ % AT_ONCE, (round_ + 1) % AT_ONCE), strict=True)
                ]
                assert at_once(calls) == [201, 201]
                bodies = {client.ask("GET", path, headers=MANIFEST)[2] for client in both}
                assert len(bodies) == 1
        finally:
            stop.set()
        assert sum(read.result(60) for read in reads) > ROUNDS
    assert failed == []


def test_what_one_deleted_no_other_shows(ports: Ports) -> None:
    with clients(ports) as (first, second):
        for number in range(ROUNDS):
            content = b"content %d" % number
            digest, payload = push_blob(first, "gone", content), image(content)
            tag, blob = f"/v2/gone/manifests/t{number}", f"/v2/gone/blobs/{digest}"
            manifest = f"/v2/gone/manifests/{Digest.of(payload)}"
            assert status(second, "PUT", tag, payload) == 201
            for path, client in itertools.product((tag, manifest, blob), (first, second, first, second)):
                assert status(client, "GET", path) == 200
            assert status(first, "DELETE", tag) == 202
            assert [status(client, "GET", tag) for client in (second, first)] == [404, 404]
            assert status(second, "DELETE", manifest) == 202
            assert [status(client, "GET", manifest) for client in (first, second)] == [404, 404]
            assert status(first, "DELETE", blob) == 202
            assert [status(client, "GET", blob) for client in (second, first)] == [404, 404]


def test_a_blob_is_deleted_or_needed_and_never_both(ports: Ports) -> None:
    with clients(ports) as (first, second):
        for number in range(ROUNDS):
            content = b"needed or gone %d" % number
            digest, payload = push_blob(first, "race", content), image(content)
            tag, blob = f"/v2/race/manifests/t{number}", f"/v2/race/blobs/{digest}"
            pushed, deleted = at_once(
                [lambda: status(first, "PUT", tag, payload), lambda: status(second, "DELETE", blob)]  # noqa: B023
            )
            assert (pushed, deleted) in {(201, 405), (201, 409), (404, 202), (400, 202)}, (pushed, deleted)
            expected = 200 if pushed == 201 else 404
            assert {status(client, "GET", path) for client in (first, second) for path in (tag, blob)} == {expected}


def test_everybody_mounts_and_deletes_and_the_facts_agree(ports: Ports) -> None:
    with clients(ports) as (first, second):
        for number in range(ROUNDS):
            digest = push_blob(first, "source", b"mounted %d" % number)
            mount = f"/v2/target/blobs/uploads/?mount={digest}&from=source"
            blob = f"/v2/source/blobs/{digest}"
            mounted, deleted = at_once(
                [lambda: status(first, "POST", mount), lambda: status(second, "DELETE", blob)]  # noqa: B023
            )
            assert deleted == 202
            assert mounted in {201, 202}
            expected = 200 if mounted == 201 else 404
            assert {status(client, "HEAD", f"/v2/target/blobs/{digest}") for client in (second, first)} == {expected}


def test_one_of_many_deletes_of_a_tag_wins(ports: Ports) -> None:
    with clients(ports, 3) as many:
        push_blob(many[0], "once", b"{}")
        for number in range(ROUNDS):
            path = f"/v2/once/manifests/t{number}"
            assert status(many[0], "PUT", path, image()) == 201
            ended = at_once([lambda client=client: status(client, "DELETE", path) for client in many])  # type: ignore[misc]  # noqa: B023
            assert sorted(ended) == [202] + [404] * (len(many) - 1)


def test_an_immutable_tag_has_exactly_one_winner(ports: Ports) -> None:
    ecr_of(ports[0]).create_repository(repositoryName="fixed", imageTagMutability="IMMUTABLE")
    with clients(ports, 3) as many:
        push_blob(many[0], "fixed", b"{}")
        payloads = [image(annotations={"by": str(number)}) for number in range(len(many))]
        for number in range(ROUNDS):
            path = f"/v2/fixed/manifests/t{number}"
            ended = at_once(
                [
                    lambda client=client, payload=payload: status(client, "PUT", path, payload)  # type: ignore[misc]  # noqa: B023
                    for client, payload in zip(many, payloads, strict=True)
                ]
            )
            assert sorted(ended) == [201] + [REFUSED] * (len(many) - 1)
            winner = payloads[ended.index(201)]
            assert {client.ask("GET", path, headers=MANIFEST)[2] for client in many} == {winner}
            assert {status(client, "PUT", path, winner) for client in many} == {201}


def test_an_upload_goes_on_at_the_other(ports: Ports) -> None:
    content = bytes(range(256)) * 4000
    pieces = [content[start : start + 100_000] for start in range(0, len(content), 100_000)]
    with clients(ports) as both:
        location, offset = both[0].begin("resumed"), 0
        for client, piece in zip(itertools.cycle(both), pieces):
            offset = client.append(location, piece, offset)
        both[1].finish(location, Digest.of(content))
        for client in both:
            assert client.ask("GET", f"/v2/resumed/blobs/{Digest.of(content)}")[2] == content


def test_a_repository_that_is_deleted_while_all_push_to_it_is_whole_or_gone(ports: Ports) -> None:
    with clients(ports) as (first, second):
        for number in range(ROUNDS):
            name = f"brief-{number % 3}"

            def push(name: str = name) -> int:
                digest, payload = push_blob(first, name, b"{}"), image()
                assert digest
                return status(first, "PUT", f"/v2/{name}/manifests/latest", payload)

            push()
            pushed, deleted = at_once([push, lambda: status(second, "DELETE", f"/api/v1/repositories/{name}")])  # noqa: B023
            assert deleted in {202, 204}
            assert pushed in {201, 404, 400}
            shown = {status(client, "GET", f"/v2/{name}/manifests/latest") for client in (first, second)}
            assert len(shown) == 1
        assert dangling(first) == []


def have_connections_opened(ports: Ports) -> None:
    """Ask for as much at once as will be, until all is granted.

    Whoever has to open many connections to a database on a busy machine may tell its first clients to come back.
    """
    deadline = time.monotonic() + 90
    with clients(ports, AT_ONCE) as many:
        calls = [lambda client=client: status(client, "POST", "/v2/opened/blobs/uploads/") for client in many]
        while set(at_once(calls)) != {202}:
            assert time.monotonic() < deadline, "no connections are opened"


@pytest.mark.timeout(300)
@pytest.mark.parametrize("seconds", [1.5, pytest.param(5, marks=pytest.mark.long)])
def test_pushes_to_both_lose_nothing(registries: list[Registry], ports: Ports, seconds: float) -> None:
    have_connections_opened(ports)
    with pushing(ports[0], AT_ONCE, "first") as one, pushing(ports[1], AT_ONCE, "second") as other:
        time.sleep(seconds)
        for ledger in (one, other):
            ledger.await_images()
    with clients(ports) as (first, second):
        for ledger in (one, other):
            assert ledger.refusals == []
            assert ledger.tags
            assert lost(second, ledger) + lost(first, ledger) == []
            for session in ledger.sessions:
                with Client(ports[1]) as anew:
                    assert unfinishable(anew, session, session.offset) is None
        assert dangling(first) + dangling(second) == []
    assert wrong_files(registries[0].data) == []


def test_replicas_may_start_together_on_an_empty_database(postgresql_server: Server, tmp_path: Path) -> None:
    postgresql_server.sql("DROP DATABASE IF EXISTS empty WITH (FORCE)", "CREATE DATABASE empty")
    url = postgresql_server.url("empty")

    def start(number: int) -> int:
        folder = tmp_path / str(number)
        folder.mkdir()
        with replicas_running(folder, 1, url, {}) as [replica], Client(replica.port) as client:
            return status(client, "GET", "/v2/")

    with ThreadPoolExecutor(3) as threads:
        assert list(threads.map(start, range(3))) == [200, 200, 200]
