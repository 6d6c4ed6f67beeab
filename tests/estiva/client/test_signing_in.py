"""Credential helpers and ECR's tokens, on the wire: what they answer lets us in, and nothing else does."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import boto3  # type: ignore[import-untyped]
import pytest

from estiva import Client, Credential
from estiva.errors import Unauthorized
from tests.estiva.cli.command import KEY_ID, KEY_SECRET, Estiva
from tests.estiva.client.conftest import Peer, distribution, estiva

# What docker's own helpers do, with a file in place of a keychain, and a note of each question.
HELPER = """#!/bin/sh
echo "$1" >> "$0.asked"
case $1 in
  get) [ -s "$0.kept" ] || { echo "credentials not found in native keychain"; exit 1; }; cat "$0.kept" ;;
  store) cat > "$0.kept" ;;
  erase) : > "$0.kept" ;;
esac
"""
REGISTRIES = ["estiva", *(pytest.param(name, marks=pytest.mark.real) for name in ("registry", "docker-registry"))]


@pytest.fixture(scope="module", params=REGISTRIES)
def closed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peer]:
    """Estiva, distribution, and the one that Debian has: with tokens, and with HTTP's own passwords."""
    folder, program = tmp_path_factory.mktemp("closed"), str(request.param)
    with estiva(folder) if program == "estiva" else distribution(folder, program) as peer:
        yield peer


@pytest.fixture
def helper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A credential helper of the name `test`, and an empty configuration of docker."""
    program = tmp_path / "docker-credential-test"
    program.write_text(HELPER)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "file").write_text("content")
    return program


def configure(helper: Path, **document: object) -> None:
    helper.with_name("config.json").write_text(json.dumps(document))


def keep(helper: Path, host: str, username: str, secret: str) -> None:
    told = {"ServerURL": host, "Username": username, "Secret": secret}
    helper.with_name(f"{helper.name}.kept").write_text(json.dumps(told))


def move(helper: Path, host: str) -> None:
    """Push an image and pull it again, with what docker's configuration says."""
    name = f"{host}/helped/image:1"
    with Client() as client:
        pushed = client.pack(helper.with_name("root"), name)
        assert client.pull(name, helper.with_name("layout")).digest == pushed.digest


@pytest.mark.parametrize("member", ["credHelpers", "credsStore"])
def test_a_helper_lets_us_push_and_pull(closed: Peer, helper: Path, member: str) -> None:
    configure(helper, **{member: {closed.host: "test"} if member == "credHelpers" else "test"})
    with Client() as client, pytest.raises(Unauthorized):
        client.tags(f"{closed.host}/helped/image")
    keep(helper, closed.host, closed.credential.username, "wrong")
    with Client() as client, pytest.raises(Unauthorized):
        client.tags(f"{closed.host}/helped/image")

    keep(helper, closed.host, closed.credential.username, closed.credential.password)
    move(helper, closed.host)

    assert set(helper.with_name(f"{helper.name}.asked").read_text().split()) == {"get"}


def test_login_gives_a_helper_the_password_and_logout_takes_it_back(closed: Peer, helper: Path) -> None:
    configure(helper, credsStore="test")
    command = Estiva({})
    word = f"{closed.credential.password}\n".encode()

    told = command.done("login", closed.host, "-u", closed.credential.username, "--password-stdin", given=word)

    assert told.out == f"signed in to {closed.host}; the credential is kept in docker-credential-test\n"
    assert json.loads(helper.with_name("config.json").read_text()) == {"credsStore": "test"}
    move(helper, closed.host)
    command.done("logout", closed.host)
    assert "estiva login" in command.failed("tags", f"{closed.host}/helped/image")


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peer]:
    """This project's registry, which alone has ECR's API."""
    with estiva(tmp_path_factory.mktemp("ecr")) as peer:
        yield peer


@pytest.fixture(scope="module")
def token(own: Peer) -> str:
    """What ECR's GetAuthorizationToken gives boto3."""
    keys = {"aws_access_key_id": KEY_ID, "aws_secret_access_key": KEY_SECRET}
    ecr = boto3.client("ecr", endpoint_url=f"http://{own.host}", region_name="us-east-1", **keys)
    [data] = ecr.get_authorization_token()["authorizationData"]
    return str(data["authorizationToken"])


def test_ecrs_token_is_a_credential_of_the_client(own: Peer, token: str, tmp_path: Path) -> None:
    credential = Credential.from_ecr(token)
    assert credential.username == "AWS"
    (tmp_path / "file").write_text("content")
    with Client(credentials={own.host: credential}.get) as client:
        client.pack(tmp_path, f"{own.host}/ecr/image:1")
        assert client.tags(f"{own.host}/ecr/image") == ["1"]
    wrong = Credential("AWS", credential.password[:-8] + "AAAAAAAA")
    with Client(credentials={own.host: wrong}.get) as client, pytest.raises(Unauthorized):
        client.tags(f"{own.host}/ecr/image")


def test_the_command_signs_in_with_ecrs_token_as_docker_does(own: Peer, token: str, helper: Path) -> None:
    configure(helper)
    password = Credential.from_ecr(token).password
    Estiva({}).done("login", own.host, "-u", "AWS", "--password-stdin", given=f"{password}\n".encode())
    assert json.loads(helper.with_name("config.json").read_text()) == {"auths": {own.host: {"auth": token}}}
    move(helper, own.host)


def test_a_helper_may_answer_with_ecrs_token(own: Peer, token: str, helper: Path) -> None:
    configure(helper, credHelpers={own.host: "test"})
    keep(helper, own.host, "AWS", Credential.from_ecr(token).password)
    move(helper, own.host)
