"""Pulling through a whole server, over HTTP, from a second one."""

import json
from collections.abc import Iterator

import pytest

from estiva import mediatypes
from tests.hostile.conversation import Answer, ask
from tests.security.secured import Content, Secured, basic, secured

PULL = ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer", "ecr:GetAuthorizationToken"]
CONTENT = Content.of("team/app")


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    with secured(tmp_path_factory.mktemp("upstream")) as upstream:
        upstream.push(CONTENT)
        yield upstream


@pytest.fixture(scope="module")
def mirror(tmp_path_factory: pytest.TempPathFactory, upstream: Secured) -> Iterator[Secured]:
    with secured(tmp_path_factory.mktemp("mirror"), private_upstreams="true") as mirror:
        robot = upstream.user("mirror", everything(*PULL))
        name, secret = "mirror", "the password of mirror"
        assert robot == basic(name, secret)
        mirror.done("PUT", "/upstream-credentials/up", {"username": name, "secret": secret})
        rule = {"prefix": "hub", "upstream": f"http://127.0.0.1:{upstream.port}", "credential": "up"}
        mirror.done("POST", "/pull-through-rules", rule)
        yield mirror


def everything(*actions: str) -> str:
    return json.dumps(
        {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": list(actions), "Resource": "*"}]}
    )


def get(mirror: Secured, path: str, who: str, *fields: tuple[str, str], method: str = "GET") -> Answer:
    return ask(mirror.port, method, path, ("Authorization", who), *fields)


def test_whoever_may_import_pulls_what_only_the_upstream_has(mirror: Secured) -> None:
    who = mirror.user("importer", everything(*PULL, "ecr:BatchImportUpstreamImage", "ecr:CreateRepository"))
    manifest = get(mirror, "/v2/hub/team/app/manifests/v1", who)
    assert (manifest.status, manifest.body) == (200, CONTENT.manifest)
    assert manifest.field("content-type") == mediatypes.OCI_MANIFEST
    path = f"/v2/hub/team/app/blobs/{CONTENT.blob_digest}"
    looked = get(mirror, path, who, method="HEAD")
    assert (looked.status, looked.field("content-length")) == (200, str(len(CONTENT.blob)))
    assert get(mirror, path, who).body == CONTENT.blob
    part = get(mirror, path, who, ("Range", "bytes=1-2"))
    assert (part.status, part.body) == (206, CONTENT.blob[1:3])


def test_whoever_may_only_pull_has_nothing_fetched(mirror: Secured, upstream: Secured) -> None:
    upstream.push(other := Content.of("team/other"))
    who = mirror.user("puller", everything(*PULL))
    refused = get(mirror, f"/v2/hub/{other.name}/manifests/v1", who)
    assert (refused.status, b"DENIED" in refused.body) == (403, True)
    anonymous = ask(mirror.port, "GET", f"/v2/hub/{other.name}/manifests/v1")
    assert anonymous.status == 401


def test_a_mirror_is_asked_for_the_upstreams_own_name(mirror: Secured, upstream: Secured) -> None:
    who = mirror.user("node", everything(*PULL, "ecr:BatchImportUpstreamImage", "ecr:CreateRepository"))
    namespace = f"127.0.0.1:{upstream.port}"
    for _ in range(2):
        found = get(mirror, f"/v2/team/app/manifests/v1?ns={namespace}", who)
        assert (found.status, found.body, found.field("oci-namespace")) == (200, CONTENT.manifest, namespace)
    unknown = get(mirror, "/v2/team/app/manifests/v1?ns=elsewhere.example", who)
    assert (unknown.status, unknown.field("oci-namespace")) == (404, None)


def test_what_the_upstream_lacks_is_unknown_here_and_says_so(mirror: Secured, upstream: Secured) -> None:
    who = mirror.user("seeker", everything(*PULL, "ecr:BatchImportUpstreamImage", "ecr:CreateRepository"))
    absent = get(mirror, "/v2/hub/team/app/manifests/absent", who)
    assert absent.status == 404
    assert f"127.0.0.1:{upstream.port}" in json.loads(absent.body)["errors"][0]["message"]
