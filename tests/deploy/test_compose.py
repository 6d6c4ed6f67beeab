"""docker-compose.yml: that docker-compose can read it, and which secrets it asks for."""

from collections.abc import Callable

import pytest

from tests.deploy.composed import ROOT, SERVICES, make_secrets
from tests.tools import CommandFailed, run

pytestmark = pytest.mark.real


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
