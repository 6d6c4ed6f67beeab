"""One server process, as its operators and its clients meet it."""

import concurrent.futures
import hashlib
import json
import os
import re
from collections.abc import Iterator

import pytest
from prometheus_client.parser import text_string_to_metric_families

from estiva import __version__
from estiva.mediatypes import OCI_MANIFEST
from tests.estiva_server.process import Served, eventually, serving
from tests.fixtures.documents import image, named

SECRET = "s3cr3t-t0k3n"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("serving")) as served:
        push(served, "filled", image(), "latest")
        yield served


def push(served: Served, name: str, payload: bytes, tag: str) -> None:
    """Push a manifest of the empty config, and that."""
    assert served.ask("POST", f"/v2/{name}/blobs/uploads/?digest={named(b'{}')}", b"{}").status == 201
    assert served.ask("PUT", f"/v2/{name}/manifests/{tag}", payload, Content_Type=OCI_MANIFEST).status == 201


def test_every_request_is_a_line_with_the_id_that_its_answer_has(served: Served) -> None:
    asked = []
    with served.client() as client:
        for method, path in (
            ("GET", "/v2/"),
            *[("GET", "/v2/filled/manifests/latest")] * 4,
            *[("HEAD", f"/v2/filled/manifests/{named(image())}")] * 3,
            *[("GET", f"/v2/filled/blobs/{named(b'{}')}")] * 3,
            ("GET", "/v2/filled/manifests/absent"),
            ("DELETE", "/v2/filled"),
            ("GET", "/healthz"),
            ("GET", "/nothing"),
        ):
            answer = client.ask(method, path, User_Agent="docker/20")
            asked.append((answer.headers["x-request-id"], method, path, answer.status, len(answer.body)))
    assert len({identifier for identifier, *_ in asked}) == len(asked)

    def lines() -> list[tuple[object, ...]]:
        wanted = {identifier for identifier, *_ in asked}
        names = ("request_id", "method", "path", "status", "bytes")
        return [tuple(line[name] for name in names) for line in served.access_log() if line["request_id"] in wanted]

    eventually(lambda: len(lines()) == len(asked))
    assert lines() == asked
    assert {line["user_agent"] for line in served.access_log() if line["path"] == "/nothing"} == {"docker/20"}
    assert all(line["client"] == "127.0.0.1" and line["seconds"] >= 0 for line in served.access_log())


def test_a_client_may_name_its_request(served: Served) -> None:
    for _ in range(2):
        answer = served.ask("GET", "/v2/filled/manifests/latest", X_Request_Id="from-the-proxy.1")
        assert answer.headers["x-request-id"] == "from-the-proxy.1"
    eventually(lambda: any(line["request_id"] == "from-the-proxy.1" for line in served.access_log()))


def test_no_log_holds_a_secret(served: Served) -> None:
    paths = (f"/v2/filled/manifests/latest?token={SECRET}", f"/v2/?{SECRET}", f"/nothing?a={SECRET}")
    for path in paths:
        for _ in range(2):
            served.ask("GET", path, Authorization=f"Bearer {SECRET}", Cookie=SECRET)
    last = served.ask("GET", "/v2/").headers["x-request-id"]
    eventually(lambda: any(line["request_id"] == last for line in served.access_log()))
    assert SECRET not in served.out.read_text()
    assert SECRET not in served.err.read_text()


def test_metrics_count_what_was_asked(served: Served) -> None:
    def counted() -> dict[tuple[str, str], float]:
        page = served.ask("GET", "/metrics")
        assert page.status == 200
        families = text_string_to_metric_families(page.body.decode())
        return {
            (sample.labels["route"], sample.labels["status"]): sample.value
            for family in families
            for sample in family.samples
            if sample.name == "estiva_http_request_seconds_count" and sample.labels["method"] == "GET"
        }

    before = counted()
    for _ in range(5):
        served.ask("GET", "/v2/filled/manifests/latest")
    for _ in range(3):
        served.ask("GET", "/v2/filled/manifests/absent")
    after = counted()
    assert after["manifest", "200"] - before.get(("manifest", "200"), 0) == 5
    assert after["manifest", "404"] - before.get(("manifest", "404"), 0) == 3
    assert set(before) <= set(after)


def test_it_is_alive_and_ready(served: Served) -> None:
    assert served.ask("GET", "/healthz").status == 200
    body = json.loads(served.ask("GET", "/readyz").body)
    assert body == {"status": "ready", "pushes": "taken", "version": __version__}


def test_the_server_does_not_say_what_it_is_made_of(served: Served) -> None:
    for path in ("/v2/", "/nothing", "/healthz"):
        headers = served.ask("GET", path).headers
        assert not {"server", "x-powered-by", "via"} & set(headers)


def test_nothing_is_ever_compressed(served: Served) -> None:
    accepted = "zstd;q=1.0, gzip;q=0.8, deflate;q=0.5, br, *"
    paths = ("/v2/", "/v2/filled/manifests/latest", f"/v2/filled/blobs/{named(b'{}')}", "/metrics", "/nothing")
    for path in (*paths, "/v2/filled/tags/list", f"/v2/filled/referrers/{named(b'')}", "/v2/_catalog"):
        for _ in range(2):
            headers = served.ask("GET", path, Accept_Encoding=accepted).headers
            assert "content-encoding" not in headers
            assert "vary" not in headers


def test_fifty_who_push_and_move_one_tag_at_once_leave_one_of_theirs(served: Served) -> None:
    payloads = [image(annotations={"n": str(number)}) for number in range(50)]
    with concurrent.futures.ThreadPoolExecutor(25) as threads:
        list(threads.map(lambda payload: push(served, "raced", payload, "latest"), payloads))
    answer = served.ask("GET", "/v2/raced/manifests/latest")
    assert answer.body in payloads
    assert answer.headers["docker-content-digest"] == named(answer.body)


def test_a_large_blob_goes_in_and_out_without_the_server_growing_by_it(served: Served) -> None:
    def peak() -> int:
        status = os.path.join("/proc", str(served.process.pid), "status")
        with open(status) as file:
            match = re.search(r"VmHWM:\s+(\d+) kB", file.read())
        assert match is not None
        return int(match.group(1)) * 1024

    content = os.urandom(1 << 20) * 96
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    before = peak()
    assert served.ask("POST", f"/v2/large/blobs/uploads/?digest={digest}", content).status == 201
    for _ in range(2):
        assert served.ask("GET", f"/v2/large/blobs/{digest}").body == content
    assert peak() - before < 64 << 20
