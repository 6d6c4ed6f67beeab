"""Names and secrets where docker keeps them: `~/.docker/config.json` and credential helpers."""

import base64
import binascii
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from estiva.failures import CredentialsFailed
from estiva.imagereference import DOCKER_HUB

_HUB_KEY = "https://index.docker.io/v1/"
_HELPER_PATIENCE = 60
_TOKEN_USER = "<token>"  # noqa: S105 - what helpers answer as a name where the secret is an identity token


@dataclass(frozen=True, slots=True)
class Credential:
    """A name and a secret, or an identity token (a refresh token of the registry's token service) in place of both."""

    username: str
    password: str
    identity_token: str = ""

    @classmethod
    def from_ecr(cls, authorization_token: str) -> Self:
        """The credential in what ECR's GetAuthorizationToken returns; CredentialsFailed where there is none."""
        return cls(*_decoded(authorization_token, "the authorization token"))

    def __repr__(self) -> str:
        return f"Credential({self.username!r}, ...)"


class DockerConfig:
    """The credentials of one docker configuration: its own, and those of the helpers that it names.

    `folder` is where `config.json` is: by default `DOCKER_CONFIG`, else `~/.docker`.
    """

    def __init__(self, folder: str | Path | None = None) -> None:
        self.path = Path(folder or os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker") / "config.json"

    def find(self, host: str) -> Credential | None:
        """The credential for a registry, or None; CredentialsFailed where a helper or the file fails."""
        document = self._read()
        if helper := _helper(document, host):
            return _ask_helper(helper, _key(host))
        entries = document.get("auths") or {}
        for key in (_key(host), host, f"https://{host}", f"http://{host}"):
            if entry := entries.get(key):
                return _entered(entry, str(self.path))
        return None

    def where(self, host: str) -> str:
        """Where the credential of a registry is, or would be: the file, or the helper's program. CredentialsFailed."""
        helper = _helper(self._read(), host)
        return f"docker-credential-{helper}" if helper else str(self.path)

    def store(self, host: str, credential: Credential) -> str:
        """Keep a credential, in the helper where one is configured; the return value says where."""
        document = self._read()
        if helper := _helper(document, host):
            secret = credential.identity_token or credential.password
            user = _TOKEN_USER if credential.identity_token else credential.username
            _run_helper(helper, "store", json.dumps({"ServerURL": _key(host), "Username": user, "Secret": secret}))
            return self.where(host)
        text = base64.b64encode(f"{credential.username}:{credential.password}".encode()).decode()
        entry = {"auth": text} | ({"identitytoken": credential.identity_token} if credential.identity_token else {})
        document.setdefault("auths", {})[_key(host)] = entry
        self._write(document)
        return str(self.path)

    def erase(self, host: str) -> bool:
        """Forget a credential; False where there was none."""
        document = self._read()
        if helper := _helper(document, host):
            found = _ask_helper(helper, _key(host)) is not None
            if found:
                _run_helper(helper, "erase", _key(host))
            return found
        entries = document.get("auths") or {}
        gone = [key for key in (_key(host), host, f"https://{host}", f"http://{host}") if entries.pop(key, None)]
        if gone:
            self._write(document)
        return bool(gone)

    def _read(self) -> dict[str, Any]:
        try:
            document = json.loads(self.path.read_bytes() or b"{}")
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise CredentialsFailed(f"cannot read {self.path}: {_reason(error)}") from None
        if not isinstance(document, dict) or not isinstance(document.get("auths") or {}, dict):
            raise CredentialsFailed(f"cannot read {self.path}: it is no docker configuration")
        return document

    def _write(self, document: Mapping[str, Any]) -> None:
        """Replace the file at once: docker may read it at any moment. It is nobody else's to read."""
        import tempfile

        try:
            target = self.path.resolve()  # it may be a link into a folder of settings
            target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            handle, name = tempfile.mkstemp(dir=target.parent, prefix=".config-")
            with os.fdopen(handle, "w") as file:
                json.dump(document, file, indent="\t")
            Path(name).replace(target)
        except OSError as error:
            raise CredentialsFailed(f"cannot write {self.path}: {_reason(error)}") from None


def _key(host: str) -> str:
    return _HUB_KEY if host == DOCKER_HUB else host


def _helper(document: Mapping[str, Any], host: str) -> str:
    helpers = document.get("credHelpers") or {}
    return str(helpers.get(_key(host)) or helpers.get(host) or document.get("credsStore") or "")


def _ask_helper(helper: str, key: str) -> Credential | None:
    answer = _run_helper(helper, "get", key, missing_is_none=True)
    if answer is None:
        return None
    try:
        found = json.loads(answer)
        user, secret = str(found["Username"]), str(found["Secret"])
    except (ValueError, KeyError, TypeError):
        raise CredentialsFailed(f"docker-credential-{helper} answers with no credential") from None
    return Credential("", "", secret) if user == _TOKEN_USER else Credential(user, secret)


def _run_helper(helper: str, verb: str, given: str, *, missing_is_none: bool = False) -> str | None:
    import subprocess

    program = f"docker-credential-{helper}"
    try:
        done = subprocess.run(  # noqa: S603 - the user's own configuration names the program, as docker's does
            [program, verb], input=given, capture_output=True, text=True, timeout=_HELPER_PATIENCE, check=False
        )
    except subprocess.TimeoutExpired:
        why = f"it did not answer in {_HELPER_PATIENCE} seconds"
        raise CredentialsFailed(f"cannot run {program}: {why}") from None
    except OSError as error:
        raise CredentialsFailed(f"cannot run {program}: {_reason(error)}") from None
    if done.returncode == 0:
        return done.stdout
    said = (done.stdout.strip() or done.stderr.strip()).splitlines()
    if missing_is_none and "credentials not found" in (said[0] if said else "").lower():
        return None
    raise CredentialsFailed(f"{program} {verb} failed: {said[0] if said else f'exit code {done.returncode}'}")


def _entered(entry: Mapping[str, Any], where: str) -> Credential | None:
    if token := entry.get("identitytoken"):
        return Credential("", "", str(token))
    if auth := entry.get("auth"):
        return Credential(*_decoded(str(auth), where))
    if entry.get("username"):
        return Credential(str(entry["username"]), str(entry.get("password", "")))
    return None


def _decoded(text: str, where: str) -> tuple[str, str]:
    try:
        name, colon, secret = base64.b64decode(text, validate=True).decode().rstrip("\0").partition(":")
    except (binascii.Error, UnicodeDecodeError):
        colon = ""
    if not colon:
        raise CredentialsFailed(f"{where} holds a credential that is not NAME:SECRET in base64")
    return name, secret


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or "it is no JSON"
