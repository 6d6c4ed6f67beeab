"""What a policy says of deleting a tag holds for the manifest behind it and for the whole repository."""

import itertools
import json

import pytest

from tests.hostile.conversation import ask
from tests.security.secured import Content, Secured, repository_arn, statement

_numbers = itertools.count()
PROD = {"StringLike": {"ecr:ImageTag": "prod*"}}


def allowed_but(*denies: dict[str, object]) -> str:
    said = [{"Effect": "Allow", "Action": "ecr:*", "Resource": "*"}]
    said += [{"Effect": "Deny", "Resource": "*", **deny} for deny in denies]  # type: ignore[dict-item]
    return json.dumps({"Version": "2012-10-17", "Statement": said})


def image(registry: Secured, name: str, *tags: str) -> Content:
    content = registry.push(Content.of(name))
    for tag in tags:
        registry.push(Content(content.name, content.blob, content.manifest, tag))
    return content


def delete(registry: Secured, who: str, path: str) -> int:
    return ask(registry.port, "DELETE", path, ("Authorization", who)).status


def tags(registry: Secured, name: str) -> list[str]:
    found: list[str] = json.loads(registry.admin("GET", f"/v2/{name}/tags/list").body)["tags"]
    return found


@pytest.mark.parametrize("by", ["password", "token"])
def test_a_denied_tag_keeps_its_manifest(registry: Secured, by: str) -> None:
    number = next(_numbers)
    name = f"x/kept-{number}"
    content = image(registry, name, "prod-1", "dev")
    who = registry.user(f"x-{number}", allowed_but({"Action": "ecr:BatchDeleteImage", "Condition": PROD}))
    if by == "token":
        who = registry.token_for(who, name)
    manifest = f"/v2/{name}/manifests/{content.manifest_digest}"
    assert delete(registry, who, f"/v2/{name}/manifests/prod-1") == 403
    assert delete(registry, who, manifest) == 403
    assert tags(registry, name) == ["dev", "prod-1", "v1"]
    assert delete(registry, who, f"/v2/{name}/manifests/dev") == 202
    registry.done("DELETE", f"/v2/{name}/manifests/prod-1")
    assert delete(registry, who, manifest) == 202
    assert tags(registry, name) == []


def test_an_allow_for_some_tags_is_none_for_a_manifest_with_others(registry: Secured) -> None:
    number = next(_numbers)
    name = f"x/some-{number}"
    content = image(registry, name, "dev-1", "release")
    policy = statement(
        "ecr:*", repository_arn(name), Condition={"StringLikeIfExists": {"ecr:ImageTag": ["dev*", "v1"]}}
    )
    who = registry.user(f"x-{number}", policy)
    manifest = f"/v2/{name}/manifests/{content.manifest_digest}"
    assert delete(registry, who, manifest) == 403
    registry.done("DELETE", f"/v2/{name}/manifests/release")
    assert delete(registry, who, manifest) == 202


@pytest.mark.parametrize("action", ["ecr:DeleteRepository", "ecr:BatchDeleteImage", "ecr:*"])
def test_a_denied_tag_keeps_its_repository(registry: Secured, action: str) -> None:
    number = next(_numbers)
    name = f"x/whole-{number}"
    image(registry, name, "prod-1")
    who = registry.user(f"x-{number}", allowed_but({"Action": action, "Condition": PROD}))
    path = f"/api/v1/repositories/{name}"
    assert delete(registry, who, path) == 403
    assert tags(registry, name) == ["prod-1", "v1"]
    registry.done("DELETE", f"/v2/{name}/manifests/prod-1")
    assert delete(registry, who, path) == 204


def test_the_right_to_delete_a_repository_does_for_its_images(registry: Secured) -> None:
    number = next(_numbers)
    name = f"x/right-{number}"
    image(registry, name, "prod-1")
    who = registry.user(f"x-{number}", statement("ecr:DeleteRepository", repository_arn(name)))
    assert delete(registry, who, f"/v2/{name}/manifests/v1") == 403
    assert delete(registry, who, f"/api/v1/repositories/{name}") == 204
