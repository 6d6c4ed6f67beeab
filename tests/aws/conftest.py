"""A registry in developer mode, and boto3's clients to it."""

from collections.abc import Iterator

import pytest

from tests.aws.clients import Ecr, Front
from tests.aws.ecs_facts import Ecs
from tests.fixtures.database import KINDS
from tests.postgresql import Server
from tests.replicas import MASTER_KEY
from tests.security.secured import secured


@pytest.fixture(scope="session", params=KINDS)
def front(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    """The server: its own account with `admin`, and every account of developer mode. Once on each kind of database."""
    settings = {"dev_accounts": "true", "scanner": "/bin/false"}
    if request.param == "postgresql":
        server: Server = request.getfixturevalue("postgresql_server")
        server.sql("CREATE DATABASE aws")
        settings |= {"database_url": server.url("aws"), "master_key": MASTER_KEY}
    with secured(tmp_path_factory.mktemp("aws"), **settings) as served:
        yield Front(served)


@pytest.fixture(scope="session")
def ecr(front: Front) -> Ecr:
    """The administrator's client."""
    return front.client()


@pytest.fixture(scope="session", params=KINDS)
def ecs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ecs]:
    """A server that writes down what ECS's operations ask, and acts on none of it. On each kind of database."""
    settings = {"orchestrator": "false", "dev_accounts": "true"}
    if request.param == "postgresql":
        server: Server = request.getfixturevalue("postgresql_server")
        server.sql("CREATE DATABASE ecs")
        settings |= {"database_url": server.url("ecs"), "master_key": MASTER_KEY}
    with secured(tmp_path_factory.mktemp("ecs"), **settings) as served:
        yield Ecs(Front(served), settings.get("database_url", f"sqlite:///{served.registry.data / 'estiva.db'}"))
