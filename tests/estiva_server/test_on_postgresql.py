"""A server whose facts are in PostgreSQL, from a push to the collection of what was pushed."""

import sys
from collections.abc import Iterator
from pathlib import Path

import boto3  # type: ignore[import-untyped]
import pytest

from tests.estiva_server.test_telling import KEY, told
from tests.postgresql import Server
from tests.registry.events.receiver import receiving
from tests.replicas import MASTER_KEY
from tests.security.secured import KEY_ID, KEY_SECRET, Content, Secured, digest_of, secured
from tests.tools import find_tool, run

pytestmark = pytest.mark.real


@pytest.fixture
def served(postgresql_server: Server, tmp_path: Path) -> Iterator[Secured]:
    """On an empty database; garbage goes at once."""
    postgresql_server.sql("DROP DATABASE IF EXISTS whole WITH (FORCE)", "CREATE DATABASE whole")
    settings = {"database_url": postgresql_server.url("whole"), "master_key": MASTER_KEY}
    with secured(tmp_path, gc_grace="0", gc_trash="0", gc_every="86400", **settings, **KEY) as served:
        yield served


class Estiva:
    """The command line, signed in as the administrator."""

    def __init__(self, served: Secured) -> None:
        self._environment = {
            "ESTIVA_SERVER": f"http://127.0.0.1:{served.port}",
            "ESTIVA_USERNAME": KEY_ID,
            "ESTIVA_PASSWORD": KEY_SECRET,
        }

    def __call__(self, *words: str) -> dict[str, str]:
        """What it shows of one thing, as names and values."""
        shown = run([Path(sys.executable).with_name("estiva"), *words], environment=self._environment)
        return dict(line.split(": ", 1) for line in shown.splitlines() if ": " in line)


def test_what_was_pushed_is_pulled_told_described_checked_and_collected(served: Secured, tmp_path: Path) -> None:
    crane, estiva = find_tool("crane"), Estiva(served)
    host, docker = f"127.0.0.1:{served.port}", {"DOCKER_CONFIG": str(tmp_path)}
    content = Content.of("team/app")
    with receiving() as receiver:
        estiva("webhooks", "create", "ci", receiver.url)
        served.push(content)
        run([crane, "auth", "login", "-u", KEY_ID, "-p", KEY_SECRET, host], environment=docker)
        run([crane, "copy", f"{host}/team/app:v1", f"{host}/team/copy:v1"], environment=docker)
        digest = run([crane, "digest", f"{host}/team/copy:v1"], environment=docker).strip()
        assert digest == digest_of(content.manifest)
        pushed = {(event["type"], event["subject"]) for event in told(receiver, 2)}
        assert pushed == {("io.estiva.image.pushed", f"team/{name}:v1") for name in ("app", "copy")}
    assert described(served) == ["team/app", "team/copy"]
    assert estiva("scrub")["read"] == "1"
    assert estiva("fsck")["orphans"] == "0"
    for name in ("app", "copy"):
        run([crane, "delete", f"{host}/team/{name}@{digest}"], environment=docker)
    assert estiva("gc", "run")["removed"] == "1"
    assert [path for path in (served.registry.data / "blobs").rglob("*") if path.is_file()] == []


def described(served: Secured) -> list[str]:
    """The repositories, as boto3 sees them."""
    ecr = boto3.client(
        "ecr",
        endpoint_url=f"http://127.0.0.1:{served.port}",
        region_name="us-east-1",
        aws_access_key_id=KEY_ID,
        aws_secret_access_key=KEY_SECRET,
    )
    return [repository["repositoryName"] for repository in ecr.describe_repositories()["repositories"]]
