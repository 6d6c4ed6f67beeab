"""Every test runs twice: over HTTP against a server of its own process, and against the application in this one.

The server has the connection class with its remembered answers, bodies that go to a worker thread and files sent
by the kernel; the application does all of that by itself. Nobody may be able to tell the two apart.
"""

import asyncio
import zlib
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
from starlette.types import ASGIApp

from estiva_server.app import build, create_app
from estiva_server.config import load
from estiva_server.serve import prepare
from tests.conformance.repository import Repository
from tests.serving import registry_running


@pytest.fixture(scope="package")
def server_host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Host and port of a registry in a process of its own."""
    with registry_running(tmp_path_factory.mktemp("conformance")) as running:
        yield running.host


@pytest.fixture(scope="package")
def application(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ASGIApp]:
    """The registry as an ASGI application."""
    settings = load(data=tmp_path_factory.mktemp("conformance"), access_log=False, open=True)
    prepare(settings)
    parts = build(settings)
    yield create_app(parts)
    asyncio.run(parts.close())


@pytest.fixture(params=["server", "application"])
def transport(request: pytest.FixtureRequest) -> tuple[str, httpx.AsyncBaseTransport]:
    """How to reach the registry."""
    if request.param == "server":
        return f"http://{request.getfixturevalue('server_host')}", httpx.AsyncHTTPTransport(verify=False)
    return "http://application", httpx.ASGITransport(request.getfixturevalue("application"))


async def require_good_manners(response: httpx.Response) -> None:
    """What every answer of the API owes, whatever was asked."""
    assert response.headers["Docker-Distribution-Api-Version"] == "registry/2.0"
    assert response.headers["X-Request-Id"]
    assert "Content-Encoding" not in response.headers
    assert "Transfer-Encoding" not in response.headers
    for name in set(response.headers) - {"oci-tag"}:
        assert len(response.headers.get_list(name)) == 1, f"{name} came twice"
    if response.status_code in (204, 304):
        assert "Content-Length" not in response.headers
    else:
        assert response.headers["Content-Length"].isdigit()


@pytest.fixture
async def http(transport: tuple[str, httpx.AsyncBaseTransport]) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the registry that, like real ones, says it takes compressed answers."""
    base, reach = transport
    async with httpx.AsyncClient(
        transport=reach,
        base_url=base,
        headers={"Accept-Encoding": "zstd;q=1.0, gzip;q=0.8, deflate;q=0.5"},
        event_hooks={"response": [require_good_manners]},
        timeout=30,
        trust_env=False,
    ) as client:
        yield client


@pytest.fixture
def repository(http: httpx.AsyncClient, request: pytest.FixtureRequest) -> Repository:
    """A repository that no other test uses; it does not exist yet."""
    return Repository(http, f"test/{zlib.crc32(request.node.nodeid.encode()):08x}")


@pytest.fixture
def other(repository: Repository) -> Repository:
    """A second one."""
    return Repository(repository.http, f"{repository.name}/other")
