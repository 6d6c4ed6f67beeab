"""Everything that docker-compose.yml starts, in images made here, by an engine with a network of its own."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.clients.engines import docker_engine
from tests.deploy.composed import HOST, Composed
from tests.fixtures.image import ROOT, root_file_system

HERE = Path(__file__).parent
SERVICES_BASE = "estiva-test-services-base"
IMAGES = {
    "estiva-test-services": f"""FROM {SERVICES_BASE}
COPY versitygw /usr/local/bin/
""",
    "estiva-test-postgresql": f"""FROM {SERVICES_BASE}
COPY postgresql.sh /usr/local/bin/
RUN install --directory --owner=postgres --group=postgres /var/lib/postgresql/data
ENV PATH=/usr/lib/postgresql/15/bin:/usr/local/bin:/usr/bin:/bin
ENTRYPOINT ["sh", "/usr/local/bin/postgresql.sh"]
""",
}


@pytest.fixture(scope="session")
def services(require_tool: Callable[[str], str]) -> Path:
    """A root file system with Debian's PostgreSQL and Caddy; made once, kept in .tools."""
    archive = ROOT / ".tools" / "image-services-bookworm.tar"
    return root_file_system(archive, require_tool("mmdebstrap"), "postgresql", "caddy", "wget", "ca-certificates")


@pytest.fixture(scope="module")
def composed(
    server_image: str, server_image_archive: Path, services: Path, require_tool: Callable[[str], str]
) -> Iterator[Composed]:
    """`docker compose up`, with images built here in the place of public ones, until all of it is healthy."""
    folder = Path(tempfile.mkdtemp(prefix="estiva-"))
    with docker_engine(folder / "docker", own_network=True) as environment:
        composed = Composed(require_tool("docker"), require_tool("docker-compose"), environment)
        composed.docker("load", f"--input={server_image_archive}")
        composed.docker("tag", server_image, "estiva-server")
        composed.docker("import", str(services), SERVICES_BASE)
        for name, dockerfile in IMAGES.items():
            context = folder / name
            context.mkdir()
            (context / "Dockerfile").write_text(dockerfile)
            shutil.copy(require_tool("versitygw"), context)
            shutil.copy(HERE / "postgresql.sh", context)
            composed.docker("build", "--network=none", f"--tag={name}", str(context))
        try:
            composed.up()
            yield composed
        finally:
            composed.down()
    shutil.rmtree(folder)


@pytest.fixture
def trusted(composed: Composed) -> Iterator[None]:
    """Docker trusts the proxy's authority, as docs/deploy.md says it."""
    certificates = Path("/etc/docker/certs.d") / HOST
    certificates.mkdir(parents=True, exist_ok=True)  # left over where a run was killed
    try:
        authority = "/data/caddy/pki/authorities/local/root.crt"
        (certificates / "ca.crt").write_text(composed.compose("exec", "-T", "proxy", "cat", authority) + "\n")
        yield
    finally:
        shutil.rmtree(certificates)
