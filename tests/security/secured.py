"""A registry that is closed, as it starts by default, with people and repositories in it."""

import base64
import contextlib
import hashlib
import itertools
import json
import os
import time
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from estiva import mediatypes
from tests.hostile.conversation import Answer, Conversation, ask, raw
from tests.serving import ESTIVA, Registry, free_port
from tests.tools import running

ADMIN, ADMIN_PASSWORD = "admin", "the password of admin"
KEY_ID, KEY_SECRET = "AKIA" + "A" * 16, "the secret of the key of admin"
"""An access key of the administrator: it costs no slow hash after each change."""
SERVICE = "estiva"
PULL_ACTIONS = ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer", "ecr:ListImages"]
_addresses = itertools.count(1)


def basic(name: str, secret: str) -> str:
    """An Authorization header of a name and a secret."""
    return "Basic " + base64.b64encode(f"{name}:{secret}".encode()).decode()


def bearer(token: str) -> str:
    """An Authorization header of a token."""
    return f"Bearer {token}"


def digest_of(content: bytes) -> str:
    """Its sha256 digest."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def elsewhere() -> tuple[str, str]:
    """A field that says, through a proxy that is trusted, that the request comes from an address of its own."""
    number = next(_addresses)
    return ("X-Forwarded-For", f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}")


def statement(actions: list[str] | str, resource: str | None = None, effect: str = "Allow", **more: Any) -> str:
    """A policy of one statement; without `resource`, one of a repository."""
    said = {"Effect": effect, "Action": actions, **more}
    if resource is not None:
        said["Resource"] = resource
    return json.dumps({"Version": "2012-10-17", "Statement": [said]})


def for_everyone(actions: list[str] | str = "", effect: str = "Allow") -> str:
    """A repository's policy that makes it public, or closes it to all."""
    return statement(actions or PULL_ACTIONS, None, effect, Principal="*")


def repository_arn(name: str) -> str:
    """A repository's name in policies."""
    return f"arn:aws:ecr:us-east-1:000000000000:repository/{name}"


@dataclass(frozen=True)
class Content:
    """What a repository holds: a blob, an image of it under a tag."""

    name: str
    blob: bytes
    manifest: bytes
    tag: str = "v1"

    @classmethod
    def of(cls, name: str, seed: str | None = None) -> "Content":
        """Content that only depends on `seed`, by default on the name."""
        blob = f"blob of {seed or name}".encode()
        layers = [{"mediaType": "application/octet-stream", "digest": digest_of(blob), "size": len(blob)}]
        config = {"mediaType": mediatypes.OCI_EMPTY, "digest": digest_of(blob), "size": len(blob)}
        manifest = {"schemaVersion": 2, "mediaType": mediatypes.OCI_MANIFEST, "config": config, "layers": layers}
        return cls(name, blob, json.dumps(manifest).encode())

    @property
    def blob_digest(self) -> str:
        return digest_of(self.blob)

    @property
    def manifest_digest(self) -> str:
        return digest_of(self.manifest)


@dataclass(frozen=True)
class Secured:
    """The registry, and its administrator at work."""

    registry: Registry

    @property
    def port(self) -> int:
        return self.registry.port

    def talk(self) -> Conversation:
        """A connection of one's own."""
        return Conversation(self.port)

    def admin(self, method: str, path: str, body: Any = None) -> Answer:
        """What the administrator's request to `/api/v1` (or any path) is answered."""
        sent = None if body is None else body.encode() if isinstance(body, str) else json.dumps(body).encode()
        fields = ("Authorization", basic(KEY_ID, KEY_SECRET))
        return ask(self.port, method, path if path[:2] == "/v" else f"/api/v1{path}", fields, body=sent)

    def done(self, method: str, path: str, body: Any = None) -> Answer:
        """As `admin`, where it must succeed."""
        answer = self.admin(method, path, body)
        assert answer.status in (200, 201, 202, 204), (method, path, answer)
        return answer

    def user(self, name: str, *policies: str, password: str = "") -> str:
        """A new user with these policies, given by name or as documents: the Authorization header."""
        secret = password or f"the password of {name}"
        self.done("POST", "/users", {"name": name, "password": secret})
        for number, policy in enumerate(policies):
            named = policy
            if policy.startswith("{"):
                named = f"{name}-{number}"
                self.done("PUT", f"/policies/{named}", policy)
            self.done("PUT", f"/users/{name}/policies/{named}")
        return basic(name, secret)

    def public(self, name: str, policy: str | None = None) -> None:
        """Give a repository a policy, by default one that lets everybody pull."""
        self.done("PUT", f"/repository-policies/{name}", policy or for_everyone())

    def token(self, authorization: str | None, *scopes: str) -> str:
        """A registry token for these scopes."""
        query = urlencode([("service", SERVICE), *(("scope", scope) for scope in scopes)])
        fields = [("Authorization", authorization)] if authorization else []
        answer = ask(self.port, "GET", f"/token?{query}", *fields)
        assert answer.status == 200, answer
        token: str = json.loads(answer.body)["token"]
        return token

    def token_for(self, authorization: str | None, *names: str, actions: str = "pull,push,delete") -> str:
        """The Authorization header of a token for all that policy allows on these repositories."""
        return bearer(self.token(authorization, *(f"repository:{name}:{actions}" for name in names)))

    def push(self, content: Content, authorization: str = "") -> Content:
        """Push all of it."""
        who = ("Authorization", authorization or basic(KEY_ID, KEY_SECRET))
        base = f"/v2/{content.name}"
        with self.talk() as talk:
            posted = raw("POST", f"{base}/blobs/uploads/?digest={content.blob_digest}", who, body=content.blob)
            assert talk.ask(posted, "POST").status == 201
            kind = ("Content-Type", mediatypes.OCI_MANIFEST)
            tagged = raw("PUT", f"{base}/manifests/{content.tag}", who, kind, body=content.manifest)
            assert talk.ask(tagged, "PUT").status == 201
        return content

    def begin_upload(self, name: str, authorization: str) -> str:
        """Begin an upload: its path."""
        begun = ask(self.port, "POST", f"/v2/{name}/blobs/uploads/", ("Authorization", authorization))
        assert begun.status == 202, begun
        return begun.field("location") or ""


@contextlib.contextmanager
def secured(folder: Path, **settings: str) -> Iterator[Secured]:
    """`estiva serve` on a free loopback port, until the block ends. This machine counts as a trusted proxy."""
    port, data, log = free_port(), folder / "data", folder / "registry.log"
    environment = {
        "ESTIVA_ADMIN_PASSWORD": ADMIN_PASSWORD,
        "ESTIVA_ADMIN_ACCESS_KEY_ID": KEY_ID,
        "ESTIVA_ADMIN_SECRET_ACCESS_KEY": KEY_SECRET,
        "ESTIVA_TRUSTED_PROXIES": '["127.0.0.1/32"]',
        **{f"ESTIVA_{name.upper()}": value for name, value in settings.items()},
    }
    command: list[str | Path] = [ESTIVA, "serve", "--data", data, "--listen", f"127.0.0.1:{port}"]
    with without_settings(), running(command, log, environment=environment) as process:
        registry = Registry(port, data, log, process)
        _await_health(registry)
        yield Secured(registry)


@contextlib.contextmanager
def without_settings() -> Iterator[None]:
    """Without what this process's own environment would set."""
    kept: Mapping[str, str] = {name: os.environ.pop(name) for name in [*os.environ] if name.startswith("ESTIVA_")}
    try:
        yield
    finally:
        os.environ.update(kept)


def _await_health(registry: Registry, patience: float = 120) -> None:
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline and registry.process.poll() is None:
        try:
            with urllib.request.urlopen(f"http://{registry.host}/healthz", timeout=2):
                return
        except OSError:
            time.sleep(0.05)
    raise AssertionError(f"the registry did not come up:\n{registry.log.read_text()[-4000:]}")
