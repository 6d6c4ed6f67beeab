"""Two registries and two clients: what the one can with the one, the other can with the other."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, cast

import bcrypt
import pytest

from estiva import AsyncClient, Client, Credential
from tests.estiva.cli.command import KEY_ID, KEY_SECRET
from tests.serving import free_port, registry_running
from tests.tools import find_tool, running
from tests.waiting import await_port

CONFIGURATION = """\
version: 0.1
log: {{level: error, accesslog: {{disabled: true}}}}
storage: {{filesystem: {{rootdirectory: {data}}}, delete: {{enabled: true}}}}
auth: {{htpasswd: {{realm: test, path: {users}}}}}
http: {{addr: "127.0.0.1:{port}"}}
"""


@dataclass(frozen=True)
class Peer:
    """A registry that runs, closed, and who may do everything there."""

    host: str
    credential: Credential

    def find(self, host: str) -> Credential | None:
        """The credential, whatever the registry is called: behind a proxy it has another name."""
        return self.credential


@pytest.fixture(scope="session", params=["estiva", pytest.param("distribution", marks=pytest.mark.real)])
def peer(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peer]:
    """Estiva, and CNCF distribution."""
    folder = tmp_path_factory.mktemp(f"{request.param}-for-clients")
    with (estiva if request.param == "estiva" else distribution)(folder) as peer:
        yield peer


@contextmanager
def estiva(folder: Path) -> Iterator[Peer]:
    """This project's registry, with tokens."""
    settings = {"ESTIVA_ADMIN_ACCESS_KEY_ID": KEY_ID, "ESTIVA_ADMIN_SECRET_ACCESS_KEY": KEY_SECRET}
    with registry_running(folder, settings={"ESTIVA_ADMIN_PASSWORD": "the password of admin", **settings}) as registry:
        yield Peer(registry.host, Credential(KEY_ID, KEY_SECRET))
        assert "Traceback" not in registry.log.read_text()


@contextmanager
def distribution(folder: Path, program: str = "registry") -> Iterator[Peer]:
    """CNCF distribution, with names and passwords; `docker-registry` is Debian's, which is older."""
    port, users, configuration = free_port(), folder / "users", folder / "config.yml"
    users.write_text(f"alice:{bcrypt.hashpw(b'secret', bcrypt.gensalt(4)).decode()}\n")
    configuration.write_text(CONFIGURATION.format(data=folder / "data", users=users, port=port))
    command = [find_tool(program), "serve", str(configuration)]
    with running(command, folder / "log", environment={"OTEL_TRACES_EXPORTER": "none"}):
        await_port(port)
        yield Peer(f"127.0.0.1:{port}", Credential("alice", "secret"))


class InTurn:
    """An AsyncClient whose methods are called as those of a Client: each is waited for."""

    def __init__(self, runner: asyncio.Runner, client: AsyncClient) -> None:
        self._runner = runner
        self._client = client

    def __getattr__(self, name: str) -> Callable[..., Any]:
        async def call(*arguments: Any, **named: Any) -> Any:
            return await getattr(self._client, name)(*arguments, **named)

        return lambda *arguments, **named: self._runner.run(call(*arguments, **named))


@contextmanager
def clients(kind: str, **options: Any) -> Iterator[Client]:
    """A client of that kind."""
    if kind == "Client":
        with Client(**options) as client:
            yield client
        return
    with asyncio.Runner() as runner:

        async def start() -> AsyncClient:
            return AsyncClient(**options)

        client = cast(Client, InTurn(runner, runner.run(start())))
        try:
            yield client
        finally:
            client.close()


@pytest.fixture(params=["Client", "AsyncClient"])
def kind(request: pytest.FixtureRequest) -> str:
    """Either of them."""
    return str(request.param)


@pytest.fixture
def client(peer: Peer, kind: str) -> Iterator[Client]:
    """A client that is let in."""
    with clients(kind, credentials=peer.find) as client:
        yield client


NUMBERS = count(1)


@pytest.fixture
def repository(peer: Peer) -> str:
    """A repository that nobody has used."""
    return f"{peer.host}/tests/number{next(NUMBERS)}"
