"""The aws command, version 1, and docker signed in with what it says."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.clients.engines import docker_engine
from tests.clients.images import Image
from tests.security.secured import KEY_ID, KEY_SECRET, Secured, secured
from tests.tools import absent, run

AWS = Path(sys.executable).with_name("aws")
OWN = "000000000000"


class Aws:
    """The aws command with somebody's key."""

    def __init__(self, served: Secured, folder: Path, key: str = KEY_ID, secret: str = KEY_SECRET) -> None:
        if not AWS.exists():
            absent("the aws command is not installed; make setup-clients installs it")
        self.endpoint = f"http://127.0.0.1:{served.port}"
        self._environment = {
            "AWS_ACCESS_KEY_ID": key,
            "AWS_SECRET_ACCESS_KEY": secret,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_CONFIG_FILE": str(folder / "none"),
            "AWS_SHARED_CREDENTIALS_FILE": str(folder / "none"),
            "AWS_PAGER": "",
        }

    def text(self, *words: str) -> str:
        return run([AWS, "--endpoint-url", self.endpoint, *words], environment=self._environment).strip()

    def __call__(self, *words: str) -> object:
        """What `aws ecr …` answers."""
        return json.loads(self.text("ecr", *words, "--output", "json") or "null")

    def refusal(self, *words: str) -> str:
        """What it says on standard error of a call that fails."""
        command = [str(AWS), "--endpoint-url", self.endpoint, "ecr", *words]
        done = subprocess.run(command, env=self._environment, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode in (254, 255), done
        return done.stderr


@pytest.fixture(scope="module")
def served(scratch: Path) -> Iterator[Secured]:
    folder = scratch / "aws"
    folder.mkdir()
    with secured(folder, dev_accounts="true") as served:
        yield served


@pytest.fixture
def aws(served: Secured, tmp_path: Path) -> Aws:
    return Aws(served, tmp_path)


def test_repositories_and_images_by_the_command_line(aws: Aws) -> None:
    made = aws("create-repository", "--repository-name", "cli/app", "--tags", "Key=team,Value=one")
    assert isinstance(made, dict)
    assert made["repository"]["repositoryArn"] == f"arn:aws:ecr:us-east-1:{OWN}:repository/cli/app"
    found = aws("describe-repositories", "--query", "repositories[].repositoryName", "--page-size", "1")
    assert found == ["cli/app"]
    assert aws("list-images", "--repository-name", "cli/app") == {"imageIds": []}
    assert "RepositoryNotFoundException" in aws.refusal("describe-images", "--repository-name", "not/there")
    assert "RepositoryAlreadyExistsException" in aws.refusal("create-repository", "--repository-name", "cli/app")
    assert "NotImplementedException" in aws.refusal("get-account-setting", "--name", "BASIC_SCAN_TYPE_VERSION")
    aws("delete-repository", "--repository-name", "cli/app", "--force")


def test_who_am_i(aws: Aws, served: Secured, tmp_path: Path) -> None:
    assert aws.text("sts", "get-caller-identity", "--query", "Account", "--output", "text") == OWN
    other = Aws(served, tmp_path, "123456789012", "test")
    assert other.text("sts", "get-caller-identity", "--query", "Arn", "--output", "text").startswith(
        "arn:aws:iam::123456789012:"
    )


@pytest.fixture(scope="module")
def docker(scratch: Path, require_tool: Callable[[str], str]) -> Iterator[Callable[..., str]]:
    program = require_tool("docker")
    with docker_engine(scratch / "aws-docker") as environment:

        def command(*words: str | Path, given: str | None = None) -> str:
            said = given.encode() if given is not None else None
            return run([program, *words], environment=environment, given=said).strip()

        yield command


@pytest.mark.parametrize(
    ("key", "secret", "account"), [(KEY_ID, KEY_SECRET, OWN), ("123456789012", "test", "123456789012")]
)
def test_docker_signs_in_with_the_password_and_pushes_what_the_api_then_shows(
    served: Secured,
    tmp_path: Path,
    image: Image,
    docker: Callable[..., str],
    key: str,
    secret: str,
    account: str,
) -> None:
    aws = Aws(served, tmp_path, key, secret)
    host = f"127.0.0.1:{served.port}"
    password = aws.text("ecr", "get-login-password")
    assert "Login Succeeded" in docker("login", "--username", "AWS", "--password-stdin", host, given=password)
    made = aws("create-repository", "--repository-name", "pushed", "--image-tag-mutability", "IMMUTABLE")
    assert isinstance(made, dict)
    reference = f"{made['repository']['repositoryUri']}:v1"
    docker("build", "--quiet", "--tag", reference, image.context(tmp_path / "context"))
    docker("push", reference)
    described = aws("describe-images", "--repository-name", "pushed")
    assert isinstance(described, dict)
    [details] = described["imageDetails"]
    assert (details["registryId"], details["imageTags"]) == (account, ["v1"])
    assert details["imageSizeInBytes"] > 100
    docker("image", "rm", "--force", reference)
    docker("pull", reference)
    assert details["imageDigest"] in docker("image", "inspect", "--format", "{{json .RepoDigests}}", reference)
    docker("logout", host)
