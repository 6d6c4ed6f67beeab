"""The aws command, version 1, and docker signed in with what it says."""

import base64
import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from botocore import xform_name

from aws.operations import ECR
from tests.aws.calls import CALLS
from tests.aws.clients import Ecr, Front, new_repository, put
from tests.aws.refusals import refusals
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
        self.environment = {
            "AWS_ACCESS_KEY_ID": key,
            "AWS_SECRET_ACCESS_KEY": secret,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_CONFIG_FILE": str(folder / "none"),
            "AWS_SHARED_CREDENTIALS_FILE": str(folder / "none"),
            "AWS_PAGER": "",
        }

    def text(self, *words: str) -> str:
        return run([AWS, "--endpoint-url", self.endpoint, *words], environment=self.environment).strip()

    def __call__(self, *words: str) -> object:
        """What `aws ecr …` answers."""
        return json.loads(self.text("ecr", *words, "--output", "json") or "null")

    def refusal(self, *words: str) -> str:
        """What it says on standard error of a call that fails."""
        command = [str(AWS), "--endpoint-url", self.endpoint, "ecr", *words]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode in (254, 255), done
        return done.stderr


@pytest.fixture(scope="module")
def served(scratch: Path) -> Iterator[Secured]:
    folder = scratch / "aws"
    folder.mkdir()
    with secured(folder, dev_accounts="true", scanner="/bin/false") as served:
        yield served


@pytest.fixture
def aws(served: Secured, tmp_path: Path) -> Aws:
    return Aws(served, tmp_path)


@pytest.fixture
def ecr(served: Secured) -> Ecr:
    """boto3's client, which prepares what the command is then asked about."""
    return Front(served).client()


def test_repositories_and_images_by_the_command_line(aws: Aws) -> None:
    made = aws("create-repository", "--repository-name", "cli/app", "--tags", "Key=team,Value=one")
    assert isinstance(made, dict)
    assert made["repository"]["repositoryArn"] == f"arn:aws:ecr:us-east-1:{OWN}:repository/cli/app"
    found = aws("describe-repositories", "--query", "repositories[].repositoryName", "--page-size", "1")
    assert "cli/app" in found  # type: ignore[operator]
    assert aws("list-images", "--repository-name", "cli/app") == {"imageIds": []}
    assert "RepositoryNotFoundException" in aws.refusal("describe-images", "--repository-name", "not/there")
    assert "RepositoryAlreadyExistsException" in aws.refusal("create-repository", "--repository-name", "cli/app")
    assert "NotImplementedException" in aws.refusal("get-account-setting", "--name", "BASIC_SCAN_TYPE_VERSION")
    aws("delete-repository", "--repository-name", "cli/app", "--force")


def _batch(aws: Aws, calls: list[tuple[str, Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """What the command ends with and says for each of these operations and members."""
    lines = []
    for operation, members in calls:
        sent = dict(members)
        if "layerPartBlob" in sent:  # version 1 takes the bytes themselves
            sent["layerPartBlob"] = base64.b64decode(sent["layerPartBlob"]).decode()
        lines.append(["--endpoint-url", aws.endpoint, "ecr", xform_name(operation, "-"), "--output", "json"])
        lines[-1] += ["--cli-input-json", json.dumps(sent)]
    program = Path(__file__).with_name("aws_batch.py")
    said = run([sys.executable, program], environment=aws.environment, given=json.dumps(lines).encode(), timeout=300)
    ended: list[dict[str, Any]] = json.loads(said)
    return ended


def test_every_operation_by_the_command_line(aws: Aws, ecr: Ecr) -> None:
    assert set(CALLS) == set(ECR)
    # What deletes comes last: the registry's policy is one, and others are prepared to read it.
    names = sorted(CALLS, key=lambda operation: operation.startswith("Delete"))
    calls = [(operation, CALLS[operation](ecr, new_repository(ecr))) for operation in names]
    for (operation, _), ended in zip(calls, _batch(aws, calls), strict=True):
        assert ended["code"] == 0, (operation, ended)
        assert isinstance(json.loads(ended["out"] or "{}"), dict), operation


def test_every_error_by_the_command_line(aws: Aws, ecr: Ecr) -> None:
    refused = refusals()
    calls = [(operation, make(ecr, new_repository(ecr))) for (operation, _), make in refused.items()]
    for (operation, error), ended in zip(refused, _batch(aws, calls), strict=True):
        assert ended["code"] in (254, 255), (operation, error, ended)
        said = f"An error occurred ({error}Exception) when calling the {operation} operation"
        assert said in ended["err"], (operation, error, ended)


def test_every_page_by_the_command_line(aws: Aws, ecr: Ecr) -> None:
    name = new_repository(ecr)
    tags = [put(ecr, name, f"t{number}", str(number)) and f"t{number}" for number in range(5)]
    for size in ("1", "2", "5"):
        found = aws("list-images", "--repository-name", name, "--page-size", size, "--query", "imageIds[].imageTag")
        assert sorted(found) == tags  # type: ignore[call-overload]
    some = aws("list-images", "--repository-name", name, "--max-items", "2")
    assert isinstance(some, dict)
    rest = aws("list-images", "--repository-name", name, "--starting-token", some["NextToken"])
    assert isinstance(rest, dict)
    assert sorted(one["imageTag"] for one in some["imageIds"] + rest["imageIds"]) == tags


def test_waiting_by_the_command_line(aws: Aws, ecr: Ecr) -> None:
    asked = CALLS["GetLifecyclePolicyPreview"](ecr, new_repository(ecr))
    wait = ("ecr", "wait", "lifecycle-policy-preview-complete", "--repository-name")
    assert aws.text(*wait, asked["repositoryName"]) == ""
    failed = aws.refusal(*wait[1:], new_repository(ecr))
    assert "LifecyclePolicyPreviewNotFoundException" in failed


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
