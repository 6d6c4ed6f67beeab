"""Every route of the application is one that some matrix tries, or is open to everybody for a reason that is told."""

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from estiva_server.app import Parts, build, routes_beside_registry
from estiva_server.config import load
from tests.estiva_server.control import doors
from tests.hostile.conversation import ask
from tests.security.people import People, Who
from tests.security.secured import KEY_ID, KEY_SECRET, Content, Secured, basic, secured

OPEN = {
    ("GET", "/healthz"): "says that the process is alive, to load balancers",
    ("GET", "/readyz"): "says that it can do its work, to load balancers",
    ("GET", "/metrics"): "counts, for Prometheus: docs/security.md",
    ("GET", "/token"): "is where one signs in: tests/security/test_token_endpoint.py",
    ("POST", "/token"): "likewise",
    ("GET", "/token/jwks"): "shows public keys",
    ("GET", "/api/v1/layers/*"): "takes sealed links alone: tests/aws/test_layers.py",
}
CLUSTER = "/api/v1/clusters/default"
RUNNING = {
    ("GET", "/api/v1/clusters"): ("", b"", 200),
    ("GET", "/api/v1/clusters/*/services"): (f"{CLUSTER}/services", b"", 404),
    ("GET", "/api/v1/clusters/*/tasks"): (f"{CLUSTER}/tasks", b"", 404),
    ("GET", "/api/v1/clusters/*/tasks/*/logs"): (f"{CLUSTER}/tasks/a/logs", b"", 404),
    ("POST", "/api/v1/clusters/*/tasks/*/exec"): (f"{CLUSTER}/tasks/a/exec", b'{"command":["a"]}', 404),
    ("GET", "/api/v1/clusters/*/targets/traefik"): (f"{CLUSTER}/targets/traefik", b"", 404),
    ("GET", "/api/v1/clusters/*/targets/caddy/*"): (f"{CLUSTER}/targets/caddy/a", b"", 404),
    ("POST", "/api/v1/ecs/*"): ("/api/v1/ecs/ListClusters", b"{}", 200),
}
"""What to ask, and what the administrator is answered where no engine is and nothing runs."""
METHODS = [
    (asked, tried)
    for asked in RUNNING
    for tried in ([asked[0], "HEAD"] if asked[0] == "GET" else [asked[0]])
]  # fmt: skip


@pytest.fixture
def parts(database_file: Path) -> Iterator[Parts]:
    parts = build(load(data=database_file.parent, access_log=False, open=True))
    yield parts
    asyncio.run(parts.close())


def test_no_route_is_in_no_matrix(parts: Parts) -> None:
    """A new route fails here until a matrix tries it. Those under /v2/: tests/security/test_matrix.py."""
    routes = {
        (method, re.sub(r"\{[^}]*\}", "*", route.path))
        for route in routes_beside_registry(parts)
        for method in (route.methods or {"every method"}) - {"HEAD"}
    }
    managed = {(method, f"/api/v1{path}") for method, path in doors.tried() if method != "HEAD"}
    assert routes == set(OPEN) | set(RUNNING) | managed
    assert len(OPEN) + len(RUNNING) + len(managed) == len(routes)


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    with secured(tmp_path_factory.mktemp("routes"), engine="none") as running:
        yield running
        assert "unexpected error" not in running.registry.log.read_text()


@pytest.fixture(scope="module")
def people(registry: Secured) -> People:
    return People.settled(registry, "r")


@pytest.mark.parametrize(("asked", "method"), METHODS, ids=lambda it: it if isinstance(it, str) else it[1])
def test_what_runs_is_shown_and_told_to_those_who_may(
    registry: Secured, people: People, asked: tuple[str, str], method: str
) -> None:
    path, body, good = RUNNING[asked]
    path = path or asked[1]
    outcomes = {who: ask(registry.port, method, path, *people.fields(who, "r/x"), body=body).status for who in Who}
    knows = {Who.STRANGER, Who.PULLER, Who.OWNER}  # a registry's owner runs nothing; registry tokens open nothing here
    assert outcomes == {who: 403 if who in knows else 401 for who in Who}
    by_admin = ask(registry.port, method, path, ("Authorization", basic(KEY_ID, KEY_SECRET)), body=body)
    assert by_admin.status == good


@pytest.mark.parametrize(("method", "path"), sorted(OPEN))
def test_what_is_open_knows_no_repositories(registry: Secured, people: People, method: str, path: str) -> None:
    registry.push(Content.of("r/hidden-by-name"))
    answer = ask(registry.port, method, path.replace("*", "a"), body=b"" if method == "POST" else None)
    assert answer.status in (200, 400, 401, 404)
    assert b"hidden-by-name" not in answer.body
