"""docker-compose.yml: what it needs to be told, and all of it running, with docker as client and a replica killed."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.deploy.composed import HOST, ROOT, SERVICES, Composed, make_secrets
from tests.tools import CommandFailed, run

pytestmark = [pytest.mark.real, pytest.mark.timeout(900)]

LAYERS = 3
LAYER = 12 << 20


def config(require_tool: Callable[[str], str], file: str, settings: dict[str, str]) -> str:
    return run([require_tool("docker-compose"), "--file", ROOT / file, "config"], environment=settings)


def test_its_configuration_is_good_with_the_secrets_made_for_it(require_tool: Callable[[str], str]) -> None:
    said = config(require_tool, "docker-compose.yml", make_secrets())

    assert all(f"  {name}:" in said for name in SERVICES)


@pytest.mark.parametrize(
    "missing", ["ESTIVA_ADMIN_PASSWORD", "ESTIVA_MASTER_KEY", "POSTGRES_PASSWORD", "S3_ACCESS_KEY", "S3_SECRET_KEY"]
)
def test_it_does_not_start_without_a_secret(missing: str, require_tool: Callable[[str], str]) -> None:
    with pytest.raises(CommandFailed, match=f"{missing}.*deploy/secrets"):
        config(require_tool, "docker-compose.yml", {**make_secrets(), missing: ""})


def test_the_configuration_of_one_container_needs_nothing(require_tool: Callable[[str], str]) -> None:
    assert "estiva-data" in config(require_tool, "compose.single.yml", {})


def sign_in(composed: Composed) -> None:
    password = composed.secrets["ESTIVA_ADMIN_PASSWORD"].encode()
    composed.docker("login", "--username", "admin", "--password-stdin", HOST, given=password)


def make_image(composed: Composed, folder: Path, name: str) -> str:
    """An image of incompressible layers that nobody has seen before; its id."""
    for number in range(LAYERS):
        (folder / f"layer-{number}").write_bytes(os.urandom(LAYER))
    copies = [f"COPY layer-{number} /" for number in range(LAYERS)]
    (folder / "Dockerfile").write_text("\n".join(["FROM scratch", *copies]))
    composed.docker("build", "--quiet", "--tag", name, str(folder))
    return composed.docker("image", "inspect", "--format", "{{.Id}}", name)


def pulled_anew(composed: Composed, name: str) -> str:
    composed.docker("image", "rm", "--force", name)
    composed.docker("pull", name)
    return composed.docker("image", "inspect", "--format", "{{.Id}}", name)


@pytest.mark.usefixtures("trusted")
def test_docker_pushes_and_pulls_through_the_proxy_though_a_replica_is_killed(
    composed: Composed, tmp_path: Path
) -> None:
    sign_in(composed)
    first, second = f"{HOST}/team/app:before", f"{HOST}/team/app:meanwhile"
    ids = {name: make_image(composed, tmp_path, name) for name in (first, second)}
    composed.docker("push", first)

    with ThreadPoolExecutor(1) as threads:
        pushing = threads.submit(composed.docker, "push", second)
        composed.docker("kill", composed.container("estiva-1"))
        pushing.result()

    assert "estiva-1" not in composed.healthy()
    assert {name: pulled_anew(composed, name) for name in ids} == ids
    composed.docker("start", composed.container("estiva-1"))
    composed.await_health(SERVICES)
    composed.docker("kill", composed.container("estiva-2"))
    assert pulled_anew(composed, first) == ids[first]


def test_without_its_authority_docker_does_not_trust_the_proxy(composed: Composed) -> None:
    with pytest.raises(CommandFailed, match="certificate"):
        sign_in(composed)


def test_taken_down_with_its_volumes_it_leaves_nothing(composed: Composed) -> None:
    assert composed.left()

    composed.down()

    assert composed.left() == []
