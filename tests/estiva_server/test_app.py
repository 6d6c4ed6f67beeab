"""The application put together: what is beside the registry's API, and what is true of every answer."""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from estiva import __version__
from estiva_server.app import Parts, build, create_app
from estiva_server.config import DATABASE_FILE, load
from storage.metadata.database import Statement, Work


@pytest.fixture
def parts(database_file: Path) -> Iterator[Parts]:
    """One process' parts on an empty data directory."""
    assert database_file.name == DATABASE_FILE
    parts = build(load(data=database_file.parent, access_log=False, open=True))
    yield parts
    asyncio.run(parts.close())


@pytest.fixture
async def http(parts: Parts) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(create_app(parts))
    async with httpx.AsyncClient(transport=transport, base_url="http://app", trust_env=False) as client:
        yield client


def code(response: httpx.Response) -> tuple[int, str]:
    [error] = response.json()["errors"]
    return response.status_code, error["code"]


async def test_the_process_is_alive(http: httpx.AsyncClient) -> None:
    response = await http.get("/healthz")
    assert (response.status_code, response.json()) == (200, {"status": "ok"})


async def test_a_process_that_can_do_its_work_is_ready(http: httpx.AsyncClient) -> None:
    response = await http.get("/readyz")
    assert (response.status_code, response.json()) == (
        200,
        {"status": "ready", "pushes": "taken", "version": __version__},
    )


async def unready(http: httpx.AsyncClient) -> str:
    response = await http.get("/readyz")
    assert (response.status_code, response.headers["Retry-After"]) == (503, "2")
    assert response.json()["status"] == "unavailable"
    assert (await http.get("/healthz")).status_code == 200
    reason: str = response.json()["reason"]
    return reason


async def test_a_data_directory_that_vanished_makes_it_unready(http: httpx.AsyncClient, parts: Parts) -> None:
    assert (await http.get("/readyz")).status_code == 200
    shutil.rmtree(parts.settings.data)
    assert await unready(http) == "storage"


async def test_a_database_that_can_not_be_used_makes_it_unready(http: httpx.AsyncClient, parts: Parts) -> None:
    def break_it() -> Work[None]:
        yield Statement("ALTER TABLE repositories RENAME TO gone")

    def repair_it() -> Work[None]:
        yield Statement("ALTER TABLE gone RENAME TO repositories")

    await parts.database.write(break_it)
    assert await unready(http) == "database"
    await parts.database.write(repair_it)
    assert (await http.get("/readyz")).status_code == 200


async def test_a_process_that_drains_is_not_ready(http: httpx.AsyncClient, parts: Parts) -> None:
    parts.health.draining = True
    assert await unready(http) == "draining"


async def test_metrics_are_a_page_for_prometheus(http: httpx.AsyncClient) -> None:
    await http.get("/v2/")
    response = await http.get("/metrics")
    assert response.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert 'estiva_http_request_seconds_count{method="GET",route="base",status="200"} 1.0' in response.text


async def test_what_nobody_has_is_404_in_the_envelope(http: httpx.AsyncClient) -> None:
    for path in ("/", "/v1/_ping", "/v1/search?q=a", "/api/v1/nothing", "/healthz/", "/V2/"):
        assert code(await http.get(path)) == (404, "UNSUPPORTED")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/healthz", {"GET", "HEAD"}),
        ("DELETE", "/metrics", {"GET", "HEAD"}),
        ("PATCH", "/api/v1/repositories/a", {"GET", "HEAD", "DELETE"}),
    ],
)
async def test_a_method_that_a_path_lacks_is_405_and_told_which_it_has(
    http: httpx.AsyncClient, method: str, path: str, allowed: set[str]
) -> None:
    response = await http.request(method, path)
    assert code(response) == (405, "UNSUPPORTED")
    assert set(response.headers["Allow"].split(", ")) == allowed


async def test_a_repository_is_deleted_with_everything_in_it(http: httpx.AsyncClient) -> None:
    for name in ("team/app", "team/other"):
        response = await http.post(f"/v2/{name}/blobs/uploads/")
        location = response.headers["Location"]
        digest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        assert (await http.put(f"{location}?digest={digest}")).status_code == 201
    open_upload = (await http.post("/v2/team/app/blobs/uploads/")).headers["Location"]
    response = await http.delete("/api/v1/repositories/team/app")
    assert (response.status_code, response.content) == (204, b"")
    assert (await http.get("/v2/_catalog")).json() == {"repositories": ["team/other"]}
    assert code(await http.get("/v2/team/app/tags/list")) == (404, "NAME_UNKNOWN")
    assert code(await http.get(open_upload)) == (404, "BLOB_UPLOAD_UNKNOWN")
    assert code(await http.delete("/api/v1/repositories/team/app")) == (404, "NAME_UNKNOWN")


@pytest.mark.parametrize("name", ["UPPER", "a//b", "..%2f..%2fetc", "a%00"])
async def test_a_name_outside_the_grammar_is_deleted_by_nobody(http: httpx.AsyncClient, name: str) -> None:
    assert code(await http.delete(f"/api/v1/repositories/{name}")) == (400, "NAME_INVALID")


@pytest.mark.parametrize("path", ["/v2/", "/healthz", "/nothing", "/v2/a/tags/list"])
async def test_every_answer_has_an_id_of_its_own_or_the_clients(http: httpx.AsyncClient, path: str) -> None:
    first, second = (await http.get(path)).headers["X-Request-Id"], (await http.get(path)).headers["X-Request-Id"]
    assert first != second
    assert (await http.get(path, headers={"X-Request-Id": "trace-1.a_B"})).headers["X-Request-Id"] == "trace-1.a_B"


@pytest.mark.parametrize("given", ["", "a b", "a\tb", 'a"b', "x" * 129, "<script>", "é"])
async def test_an_id_that_is_none_is_not_taken_over(http: httpx.AsyncClient, given: str) -> None:
    answered = (await http.get("/v2/", headers=[(b"X-Request-Id", given.encode())])).headers["X-Request-Id"]
    assert answered
    assert answered != given


@pytest.mark.parametrize(("method", "path"), [("GET", "/v2/a/tags/list"), ("DELETE", "/api/v1/repositories/a")])
async def test_an_unexpected_error_is_500_without_a_word_of_what_it_was(
    parts: Parts, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, method: str, path: str
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("the secret of /root/estiva")

    for attribute in ("read", "write"):
        monkeypatch.setattr(parts.database, attribute, broken)
    # Starlette raises the error once more when it has been answered; the server then logs it.
    transport = httpx.ASGITransport(create_app(parts), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://app", trust_env=False) as client:
        response = await client.request(method, path)
    assert response.status_code == 500
    assert json.loads(response.content) == {"errors": [{"code": "UNKNOWN", "message": "internal error"}]}
    assert response.headers["X-Request-Id"]
    assert caplog.messages == ["unexpected error"]
    assert "the secret of /root/estiva" in caplog.text


@pytest.fixture
async def full(database_file: Path) -> AsyncIterator[httpx.AsyncClient]:
    """A process that is to keep more free than there is."""
    parts = build(load(data=database_file.parent, access_log=False, open=True, reserve="9" * 18))
    transport = httpx.ASGITransport(create_app(parts))
    async with httpx.AsyncClient(transport=transport, base_url="http://app", trust_env=False) as client:
        yield client
    await parts.close()


async def test_below_the_reserve_pushes_are_told_plainly_and_everything_else_goes_on(full: httpx.AsyncClient) -> None:
    begun = await full.post("/v2/app/blobs/uploads/")
    assert code(begun) == (507, "INSUFFICIENT_STORAGE")
    assert begun.headers["Retry-After"] == "60"
    assert "pulls go on" in begun.json()["errors"][0]["message"]
    headers = {"Content-Type": "application/vnd.oci.image.manifest.v1+json"}
    assert code(await full.put("/v2/app/manifests/1", content=b"{}", headers=headers)) == (507, "INSUFFICIENT_STORAGE")
    assert (await full.get("/v2/_catalog")).json() == {"repositories": []}
    ready = await full.get("/readyz")
    assert (ready.status_code, ready.json()) == (200, {"status": "ready", "pushes": "refused", "version": __version__})
