"""Two replicas on PostgreSQL and S3 behind Caddy with TLS, and docker as client: one replica is killed."""

import os
import shutil
import ssl
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.clients.engines import docker_engine
from tests.deploy.proxy import Proxy, proxy_running
from tests.fixtures.s3 import S3Server
from tests.postgresql import Server
from tests.replicas import replicas_running
from tests.serving import Registry, free_port
from tests.tools import run

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]

PASSWORD = "Tr1tons-below-deck"
LAYERS = 4
LAYER = 12 << 20
"""More than a part of a multipart upload has."""

Docker = Callable[..., str]


@dataclass(frozen=True)
class Site:
    """Two replicas and the proxy before them."""

    replicas: list[Registry]
    proxy: Proxy


@pytest.fixture
def scratch() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="estiva-"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def site(scratch: Path, postgresql_server: Server, s3_server: S3Server) -> Iterator[Site]:
    postgresql_server.sql("DROP DATABASE IF EXISTS behind_a_proxy", "CREATE DATABASE behind_a_proxy")
    port = free_port()
    settings = {
        "ESTIVA_ADMIN_PASSWORD": PASSWORD,
        "ESTIVA_PUBLIC_URL": f"https://127.0.0.1:{port}",
        "ESTIVA_TRUSTED_PROXIES": '["127.0.0.1"]',
    }
    blobs = {"ESTIVA_BLOBS": s3_server.url("behind-a-proxy"), **s3_server.environment}
    url = postgresql_server.url("behind_a_proxy")
    with (
        replicas_running(scratch, 2, url, blobs, settings=settings) as replicas,
        proxy_running(scratch, port, [replica.host for replica in replicas]) as proxy,
    ):
        yield Site(list(replicas), proxy)


@pytest.fixture
def docker(scratch: Path, site: Site, require_tool: Callable[[str], str]) -> Iterator[Docker]:
    """docker, signed in through the proxy; it trusts the proxy's authority for that host alone."""
    program = require_tool("docker")
    certificates = Path("/etc/docker/certs.d") / site.proxy.host
    certificates.mkdir(parents=True)
    try:
        shutil.copy(site.proxy.authority, certificates / "ca.crt")
        with docker_engine(scratch / "docker") as environment:

            def ask(*words: str, given: bytes = b"", timeout: float = 120) -> str:
                return run([program, *words], environment=environment, given=given, timeout=timeout).strip()

            ask("login", "--username", "admin", "--password-stdin", site.proxy.host, given=PASSWORD.encode())
            yield ask
    finally:
        shutil.rmtree(certificates)


def make_image(docker: Docker, folder: Path, name: str) -> str:
    """An image of incompressible layers that nobody has seen before; its id."""
    context = folder / name.replace(":", "-").replace("/", "-")
    context.mkdir()
    lines = ["FROM scratch"]
    for number in range(LAYERS):
        (context / f"layer-{number}").write_bytes(os.urandom(LAYER))
        lines.append(f"COPY layer-{number} /")
    (context / "Dockerfile").write_text("\n".join(lines))
    docker("build", "--quiet", "--tag", name, str(context))
    return docker("image", "inspect", "--format", "{{.Id}}", name)


def pulled_anew(docker: Docker, name: str) -> str:
    docker("image", "rm", "--force", name)
    docker("pull", name)
    return docker("image", "inspect", "--format", "{{.Id}}", name)


def test_docker_goes_on_pushing_and_pulling_though_a_replica_is_killed(
    site: Site, docker: Docker, scratch: Path
) -> None:
    first, second = (f"{site.proxy.host}/team/app:{tag}" for tag in ("before", "meanwhile"))
    ids = {name: make_image(docker, scratch, name) for name in (first, second)}
    docker("push", first)
    assert pulled_anew(docker, first) == ids[first]

    with ThreadPoolExecutor(1) as threads:
        before = uploads_seen(site.replicas[0])
        pushing = threads.submit(docker, "push", second, timeout=200)
        await_upload(site.replicas[0], before)
        site.replicas[0].process.kill()
        pushing.result()

    assert site.replicas[0].process.wait(10) != 0
    for name in (first, second):
        assert pulled_anew(docker, name) == ids[name]
    docker("tag", first, f"{site.proxy.host}/team/app:after")
    docker("push", f"{site.proxy.host}/team/app:after")


def uploads_seen(replica: Registry) -> int:
    """How many requests of uploads that replica has answered."""
    return replica.log.read_text().count("/blobs/uploads/")


def await_upload(replica: Registry, before: int) -> None:
    """Wait until that replica has a part in the push, so that killing it hurts."""
    deadline = time.monotonic() + 60
    while uploads_seen(replica) <= before:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_what_was_killed_is_left_out_by_the_proxy(site: Site) -> None:
    trusting = ssl.create_default_context(cafile=site.proxy.authority)
    site.replicas[1].process.kill()
    with httpx.Client(verify=trusting, trust_env=False, base_url=f"https://{site.proxy.host}") as client:
        answers = [client.get("/v2/", auth=("admin", PASSWORD)).status_code for _ in range(100)]
        metrics = client.get("/metrics")

    assert answers == [200] * 100
    assert metrics.status_code == 404
