"""Credentials where docker keeps them."""

import base64
import json
import stat
from pathlib import Path
from typing import Any

import pytest

from estiva.credentials import Credential, DockerConfig
from estiva.failures import CredentialsFailed

HELPER = """#!/bin/sh
case $1 in
  get)
    read -r host
    [ "$host" = down ] && { echo "the keychain is locked"; exit 1; }
    [ -e "$0.$host" ] || { echo "credentials not found in native keychain"; exit 1; }
    cat "$0.$host" ;;
  store) cat > "$0.new"; mv "$0.new" "$0.reg.test" ;;
  erase) read -r host; rm "$0.$host" ;;
esac
"""


@pytest.fixture
def helper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A credential helper of the name `test`."""
    program = tmp_path / "docker-credential-test"
    program.write_text(HELPER)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    return program


def config(folder: Path, **document: Any) -> DockerConfig:
    (folder / "config.json").write_text(json.dumps(document))
    return DockerConfig(folder)


def encoded(text: str) -> dict[str, str]:
    return {"auth": base64.b64encode(text.encode()).decode()}


def test_there_may_be_none(tmp_path: Path) -> None:
    assert DockerConfig(tmp_path).find("reg.test") is None
    assert config(tmp_path).find("reg.test") is None


def test_the_file_is_read_and_written_like_dockers(tmp_path: Path) -> None:
    found = config(tmp_path, auths={"reg.test": encoded("a:b:c")}, other=1)
    assert found.find("reg.test") == Credential("a", "b:c")
    found.store("docker.io", Credential("u", "p"))
    document = json.loads((tmp_path / "config.json").read_text())
    assert document["auths"]["https://index.docker.io/v1/"] == encoded("u:p")
    assert document["other"] == 1
    assert found.find("docker.io") == Credential("u", "p")
    assert stat.S_IMODE((tmp_path / "config.json").stat().st_mode) == 0o600
    assert found.erase("reg.test")
    assert not found.erase("reg.test")
    assert found.find("reg.test") is None


def test_identity_tokens_and_names_in_plain_are_read(tmp_path: Path) -> None:
    entries = {"a": {"identitytoken": "T", **encoded("x:y")}, "https://b": {"username": "u", "password": "p"}}
    found = config(tmp_path, auths=entries)
    assert found.find("a") == Credential("", "", "T")
    assert found.find("b") == Credential("u", "p")


def test_helpers_are_asked_and_told(tmp_path: Path, helper: Path) -> None:
    found = config(tmp_path, credHelpers={"reg.test": "test"})
    assert found.find("reg.test") is None
    helper.with_name(f"{helper.name}.reg.test").write_text('{"Username": "u", "Secret": "s"}')
    assert found.find("reg.test") == Credential("u", "s")
    assert found.erase("reg.test")
    assert not found.erase("reg.test")
    assert found.store("reg.test", Credential("v", "w")) == "docker-credential-test"
    assert found.find("reg.test") == Credential("v", "w")
    assert "auths" not in json.loads((tmp_path / "config.json").read_text())


def test_a_store_is_a_helper_for_every_registry(tmp_path: Path, helper: Path) -> None:
    found = config(tmp_path, credsStore="test")
    helper.with_name(f"{helper.name}.reg.test").write_text('{"Username": "<token>", "Secret": "s"}')
    assert found.find("reg.test") == Credential("", "", "s")


def test_what_can_not_be_used_says_why(tmp_path: Path, helper: Path) -> None:
    with pytest.raises(CredentialsFailed, match="docker-credential-test get failed: the keychain is locked"):
        config(tmp_path, credsStore="test").find("down")
    with pytest.raises(CredentialsFailed, match="cannot run docker-credential-none"):
        config(tmp_path, credsStore="none").find("a")
    with pytest.raises(CredentialsFailed, match="NAME:SECRET"):
        config(tmp_path, auths={"a": {"auth": "%"}}).find("a")
    for text in ("[]", "{", '{"auths": 1}'):
        (tmp_path / "config.json").write_text(text)
        with pytest.raises(CredentialsFailed, match="cannot read"):
            DockerConfig(tmp_path).find("a")


def test_secrets_are_not_shown() -> None:
    assert "secret" not in repr(Credential("name", "secret", "secret"))


def test_ecrs_token_is_a_credential() -> None:
    assert Credential.from_ecr(encoded("AWS:token")["auth"]) == Credential("AWS", "token")
    with pytest.raises(CredentialsFailed):
        Credential.from_ecr("nonsense")
