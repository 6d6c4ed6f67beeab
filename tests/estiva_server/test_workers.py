"""Several workers on one port and one directory: whoever answers, the answer is the same."""

import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from estiva.mediatypes import OCI_MANIFEST
from tests.estiva_server.process import Client, Served, eventually, serving
from tests.fixtures.documents import image, named

WORKERS = 3


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("workers"), "--workers", str(WORKERS)) as served:
        eventually(lambda: len(workers_of(served)) == WORKERS)
        yield served


def workers_of(served: Served) -> set[int]:
    """The process ids of the workers."""
    supervisor = served.process.pid
    children = Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split()
    return {int(child) for child in children if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()}


@contextmanager
def only(worker: int, workers: set[int]) -> Iterator[None]:
    """While this lasts no other worker runs, so that every new connection is this one's."""
    others = workers - {worker}
    for other in others:
        os.kill(other, signal.SIGSTOP)
    try:
        yield
    finally:
        for other in others:
            os.kill(other, signal.SIGCONT)


@pytest.fixture
def clients(served: Served) -> Iterator[list[Client]]:
    """Kept connections, four to each worker."""
    workers = workers_of(served)
    clients: list[Client] = []
    reached: list[set[str]] = []
    with ExitStack() as ends:
        for worker in workers:
            with only(worker, workers):
                members = [ends.enter_context(closing(Client(served.port))) for _ in range(4)]
                ids = [client.ask("GET", "/healthz").headers["x-request-id"] for client in members]
            # Every process makes request ids of its own; what begins them tells which worker this is.
            reached.append({identifier.partition("-")[0] for identifier in ids})
            clients += members
        assert [len(ids) for ids in reached] == [1] * WORKERS
        assert len(set.union(*reached)) == WORKERS
        yield clients


def test_a_tag_that_one_worker_moves_or_deletes_is_moved_or_deleted_for_all(clients: list[Client]) -> None:
    target = "/v2/shared/manifests/latest"
    assert clients[0].ask("POST", f"/v2/shared/blobs/uploads/?digest={named(b'{}')}", b"{}").status == 201
    writers = itertools.cycle(clients)
    for number in range(24):
        payload = image(annotations={"n": str(number)})
        assert next(writers).ask("PUT", target, payload, Content_Type=OCI_MANIFEST).status == 201
        for _ in range(2):  # the second time an answer may be a repeated one
            assert {client.ask("GET", target).body for client in clients} == {payload}
        heads = {client.ask("HEAD", target).headers["docker-content-digest"] for client in clients}
        assert heads == {named(payload)}
        assert next(writers).ask("DELETE", target).status == 202
        assert {client.ask("GET", target).status for client in clients} == {404}
        assert {client.ask("GET", "/v2/shared/tags/list").body for client in clients} == {
            b'{"name":"shared","tags":[]}'
        }


def test_a_blob_that_one_worker_takes_out_is_gone_for_all(clients: list[Client]) -> None:
    for number, writer in enumerate(clients):
        content = b"blob %d" % number
        path = f"/v2/shared/blobs/{named(content)}"
        assert writer.ask("POST", f"/v2/shared/blobs/uploads/?digest={named(content)}", content).status == 201
        for _ in range(2):
            assert {client.ask("GET", path).body for client in clients} == {content}
        assert clients[number - 1].ask("DELETE", path).status == 202
        assert {client.ask("GET", path).status for client in clients} == {404}
        assert {client.ask("HEAD", path).status for client in clients} == {404}


def test_an_upload_goes_on_at_another_worker_than_it_began_at(clients: list[Client]) -> None:
    content = b"".join(b"chunk %d " % number for number in range(len(clients)))
    location = clients[0].ask("POST", "/v2/shared/blobs/uploads/").headers["location"]
    for number, client in enumerate(clients):
        answer = client.ask("PATCH", location, b"chunk %d " % number)
        assert answer.status == 202
        end = answer.headers["range"]
        assert {other.ask("GET", location).headers["range"] for other in clients} == {end}
    assert clients[5].ask("PUT", f"{location}?digest={named(content)}").status == 201
    assert {client.ask("GET", f"/v2/shared/blobs/{named(content)}").body for client in clients} == {content}


def test_a_repository_that_one_worker_deletes_is_gone_for_all(clients: list[Client]) -> None:
    for number, client in enumerate(clients):
        name = f"doomed/r{number}"
        assert client.ask("POST", f"/v2/{name}/blobs/uploads/?digest={named(b'{}')}", b"{}").status == 201
        assert {other.ask("GET", f"/v2/{name}/tags/list").status for other in clients} == {200}
        assert clients[number - 1].ask("DELETE", f"/api/v1/repositories/{name}").status == 204
        assert {other.ask("GET", f"/v2/{name}/tags/list").status for other in clients} == {404}
        assert {other.ask("HEAD", f"/v2/{name}/blobs/{named(b'{}')}").status for other in clients} == {404}


def referrer_requests(client: Client) -> float:
    """How many requests of the route `referrers` the page of metrics tells of."""
    page = client.ask("GET", "/metrics").body.decode()
    return sum(
        sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
        if sample.name == "estiva_http_request_seconds_count" and sample.labels["route"] == "referrers"
    )


def test_whichever_worker_is_asked_its_metrics_are_those_of_all(clients: list[Client]) -> None:
    for client in clients * 3:
        assert client.ask("GET", f"/v2/shared/referrers/{named(b'')}").status == 200
    expected = float(3 * len(clients))
    eventually(lambda: {referrer_requests(client) for client in clients} == {expected})


def test_a_worker_that_is_killed_is_replaced_and_what_it_counted_stays(served: Served) -> None:
    def counted() -> float:
        with served.client() as client:
            return referrer_requests(client)

    counted_before, before = counted(), workers_of(served)
    os.kill(min(before), signal.SIGKILL)
    eventually(lambda: len(workers_of(served) - before) == 1 and len(workers_of(served)) == WORKERS)
    for _ in range(30):
        assert served.ask("GET", "/readyz").status == 200
    assert counted() == counted_before
    assert f"worker {min(before)} ended with status -9" in served.err.read_text()


LATE = """
import os, sys, time
from pathlib import Path
from estiva_server.workers import supervise

def work(marker):
    first = not Path(marker).exists()
    Path(marker).write_text("")
    if first:
        os._exit(3)
    time.sleep(60)

if __name__ == "__main__":
    supervise(1, work, (sys.argv[1],), on_end=lambda: print("ending", flush=True))
"""


def test_a_signal_that_comes_while_a_worker_is_replaced_ends_that_one_too(tmp_path: Path) -> None:
    script, marker = tmp_path / "late.py", tmp_path / "marker"
    script.write_text(LATE)
    process = subprocess.Popen([sys.executable, script, marker], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        eventually(marker.exists)
        time.sleep(0.7)  # the first worker has ended; the pause before the next one runs
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=10)
    finally:
        process.kill()
    assert (process.returncode, out) == (0, b"ending\n")
