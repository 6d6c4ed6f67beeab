"""Whoever may push and not pull pushes a whole image, with every habit of the clients, and reads nothing."""

import base64
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from estiva import mediatypes
from tests.clients.images import Image
from tests.hostile.conversation import Answer, ask
from tests.security.secured import Content, Secured, basic, bearer, statement
from tests.tools import run

PUSH_ACTIONS = ["ecr:BatchCheckLayerAvailability", "ecr:InitiateLayerUpload", "ecr:UploadLayerPart",
                "ecr:CompleteLayerUpload", "ecr:PutImage", "ecr:CreateRepository"]  # fmt: skip
MANIFEST = ("Content-Type", mediatypes.OCI_MANIFEST)


class Client:
    """Asks for the scope that the challenge names, and once again with what it got, as clients do."""

    def __init__(self, registry: Secured, who: str, *scopes: str) -> None:
        self._registry = registry
        self._who = who
        self._token = registry.token(who, *scopes) if scopes else None
        self.fetched = 0

    def __call__(self, method: str, path: str, *fields: tuple[str, str], body: bytes | None = None) -> Answer:
        answer = self._once(method, path, *fields, body=body)
        for _ in range(2):
            if answer.status != 401:
                return answer
            challenge = answer.field("www-authenticate") or ""
            scope = re.search('scope="([^"]*)"', challenge)
            self._token = self._registry.token(self._who, *(scope[1].split(" ") if scope else []))
            self.fetched += 1
            answer = self._once(method, path, *fields, body=body)
        return answer

    def _once(self, method: str, path: str, *fields: tuple[str, str], body: bytes | None) -> Answer:
        own = [("Authorization", bearer(self._token))] if self._token else []
        return ask(self._registry.port, method, path, *own, *fields, body=body)


@pytest.fixture(scope="module")
def robot(registry: Secured) -> str:
    made = {"name": "push-only", "repositories": ["pushed/*"], "actions": ["push"]}
    return basic("push-only", json.loads(registry.done("POST", "/robots", made).body)["secret"])


# What they ask for first: docker, crane, skopeo for both; containerd for each request what it needs; oras for nothing.
@pytest.mark.parametrize("asked", ["pull,push", "push", "pull", ""])
def test_a_whole_image_is_pushed_and_nothing_loops(registry: Secured, robot: str, asked: str) -> None:
    content = Content.of(f"pushed/{asked.replace(',', '-') or 'nothing'}")
    base, scope = f"/v2/{content.name}", f"repository:{content.name}:{asked}"
    client = Client(registry, robot, *([scope] if asked else []))
    assert client("GET", "/v2/").status == 200
    blob, tag = f"{base}/blobs/{content.blob_digest}", f"{base}/manifests/v1"
    assert client("HEAD", blob).status == 404
    assert client("HEAD", tag).status == 404
    begun = client("POST", f"{base}/blobs/uploads/")
    assert begun.status == 202
    location = begun.field("location") or ""
    assert client("PATCH", location, body=content.blob).status == 202
    assert client("PUT", f"{location}?digest={content.blob_digest}").status == 201
    assert client("HEAD", blob).status == 200
    assert client("PUT", tag, MANIFEST, body=content.manifest).status == 201
    seen = client("HEAD", tag)
    assert (seen.status, seen.field("docker-content-digest")) == (200, content.manifest_digest)
    assert client("HEAD", f"{base}/manifests/{content.manifest_digest}").status == 200
    assert client.fetched <= 3
    for path in (blob, tag, f"{base}/tags/list", f"{base}/referrers/{content.manifest_digest}"):
        assert client("GET", path).status == 403
    assert client("DELETE", tag).status == 403


def test_what_head_may_is_never_given_again_to_get(registry: Secured, robot: str) -> None:
    """A user who may pull, with a token for pushing only: HEAD is answered, GET asks for more, on one connection."""
    content = registry.push(Content.of("pushed/repeated"))
    who = registry.user("push-puller", statement("ecr:*", "*"))
    for authorization in (robot, who):
        token = bearer(registry.token(authorization, f"repository:{content.name}:push"))
        for path in (f"blobs/{content.blob_digest}", "manifests/v1"):
            for method, status in (("HEAD", 200), ("HEAD", 200), ("GET", 0), ("HEAD", 200), ("GET", 0)):
                answer = ask(registry.port, method, f"/v2/{content.name}/{path}", ("Authorization", token))
                refused = 403 if authorization is robot else 401
                assert answer.status == (status or refused), (method, path)


def test_heads_of_other_repositories_stay_refused(registry: Secured, robot: str) -> None:
    content = registry.push(Content.of("elsewhere/hidden"))
    for path in (f"blobs/{content.blob_digest}", "manifests/v1"):
        for name in ("elsewhere/hidden", "elsewhere/absent"):
            assert Client(registry, robot)("HEAD", f"/v2/{name}/{path}").status == 403


def test_without_the_right_to_check_layers_a_pusher_sees_no_blob(registry: Secured) -> None:
    registry.push(Content.of("pushed/unchecked"))
    actions = [action for action in PUSH_ACTIONS if action != "ecr:BatchCheckLayerAvailability"]
    who = registry.user("push-unchecked", statement(actions, "*"))
    path = f"/v2/pushed/unchecked/blobs/{Content.of('pushed/unchecked').blob_digest}"
    assert ask(registry.port, "HEAD", path, ("Authorization", who)).status == 403


@pytest.mark.real
def test_crane_and_skopeo_push_as_a_robot_that_may_do_nothing_else(
    registry: Secured, robot: str, require_tool: Callable[[str], str], tmp_path: Path
) -> None:
    name, secret = base64.b64decode(robot.removeprefix("Basic ")).decode().split(":")
    folder = tmp_path / "image"
    Image.around(b"a program").layout(folder, tag="v1")
    crane, environment = require_tool("crane"), {"DOCKER_CONFIG": str(tmp_path)}
    host = f"localhost:{registry.port}"
    run([crane, "auth", "login", host, "-u", name, "-p", secret], environment=environment)
    for _ in range(2):
        run([crane, "push", folder, f"{host}/pushed/crane:v1"], environment=environment, timeout=60)
    for number in range(2):
        target = f"docker://{host}/pushed/skopeo:v{number}"
        credentials = ["--dest-creds", f"{name}:{secret}", "--dest-tls-verify=false"]
        run([require_tool("skopeo"), "copy", *credentials, f"oci:{folder}:v1", target], timeout=60)
    listed = [json.loads(registry.admin("GET", f"/v2/pushed/{tool}/tags/list").body) for tool in ("crane", "skopeo")]
    assert [found["tags"] for found in listed] == [["v1"], ["v0", "v1"]]
