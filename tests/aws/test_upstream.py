"""The pull-through cache before CNCF distribution, open and with a password, through both doors."""

import json
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from aws.operations import ECR
from estiva.digest import Digest
from estiva.mediatypes import OCI_INDEX, OCI_MANIFEST
from tests.aws.clients import Ecr, Front, new_name, refused
from tests.aws.distribution import SECRET, USER, distribution, push, put
from tests.aws.refusals import UPSTREAM, documented
from tests.clients.wire import Wire
from tests.faults.misbehaving import Misbehaviour, misbehaving
from tests.fixtures.documents import described, index
from tests.hostile.conversation import Answer, ask
from tests.security.secured import KEY_ID, KEY_SECRET, basic, secured

pytestmark = pytest.mark.real
ADMIN = ("Authorization", basic(KEY_ID, KEY_SECRET))
LAYER = bytes(range(256)) * 8192  # 2 MiB
AT_ONCE = 20


@dataclass(frozen=True)
class Cache:
    """A server with a rule for distribution behind a recording proxy, and one for it where it misbehaves."""

    front: Front
    port: int
    """Distribution itself."""
    wire: Wire
    trouble: Misbehaviour

    @property
    def ecr(self) -> Ecr:
        return self.front.client()

    def get(self, path: str) -> Answer:
        return ask(self.front.served.port, "GET", path, ADMIN)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cache]:
    folder = tmp_path_factory.mktemp("upstream")
    (folder / "estiva").mkdir()
    trouble = Misbehaviour(1, stall_seconds=30)
    with (
        distribution(folder / "distribution") as port,
        Wire(port).open() as wire,
        misbehaving(f"http://127.0.0.1:{port}", trouble) as bad,
        secured(folder / "estiva", private_upstreams="true", pull_through_fresh="0") as served,
    ):
        front = Front(served)
        for prefix, url in (("hub", f"http://{wire.host}"), ("bad", bad)):
            front.client().create_pull_through_cache_rule(ecrRepositoryPrefix=prefix, upstreamRegistryUrl=url)
        yield Cache(front, port, wire, trouble)


@pytest.fixture
def well(cache: Cache) -> Iterator[Cache]:
    """The cache, whose upstream answers again when the test ends."""
    yield cache
    cache.trouble.from_now()


def pulled(cache: Cache, name: str, tag: str, *layers: bytes) -> bytes:
    """The manifest, after each of the layers came whole."""
    manifest = cache.get(f"/v2/{name}/manifests/{tag}")
    assert manifest.status == 200, manifest
    for layer in layers:
        found = cache.get(f"/v2/{name}/blobs/{Digest.of(layer)}")
        assert (found.status, found.body == layer) == (200, True)
    return manifest.body


def test_twenty_first_pulls_at_once_fetch_everything_once(cache: Cache) -> None:
    name = new_name("team/app")
    layers = [name.encode() + LAYER, LAYER + name.encode()]
    push(cache.port, name, "1", *layers)
    cache.wire.clear()
    with ThreadPoolExecutor(AT_ONCE) as pullers:
        manifests = set(pullers.map(lambda _: pulled(cache, f"hub/{name}", "1", *layers), range(AT_ONCE)))
    assert len(manifests) == 1
    fetched = [one.target for one in cache.wire.select("GET", f"^/v2/{name}/")]
    blobs = [target for target in fetched if "/blobs/" in target]
    assert {target.rpartition("/")[2] for target in blobs} >= {str(Digest.of(layer)) for layer in layers}
    assert len(blobs) == len(set(blobs))
    assert len([target for target in fetched if "/manifests/" in target]) == 1


@pytest.mark.parametrize("trouble", ["429", "500", "503", "stall", "reset"])
def test_what_is_here_is_given_within_two_seconds_whatever_the_upstream_does(well: Cache, trouble: str) -> None:
    name = new_name("team/kept")
    push(well.port, name, "1", b"a layer")
    first = pulled(well, f"bad/{name}", "1", b"a layer")
    well.trouble.from_now(**{trouble: 1.0})
    began = time.monotonic()
    assert pulled(well, f"bad/{name}", "1", b"a layer") == first
    assert time.monotonic() - began < 2
    assert well.trouble.done[trouble] > 0
    if trouble == "stall":
        return  # what is not here is waited for, a minute at most
    missing = well.get(f"/v2/bad/{new_name('team/never')}/manifests/1")
    assert missing.status in (429, 503)
    assert b"upstream" in missing.body


def test_an_upstream_with_a_password_is_pulled_from_with_a_credential(cache: Cache, tmp_path: Path) -> None:
    who = ("Authorization", basic(USER, SECRET))
    with distribution(tmp_path / "closed", closed=True) as port:
        push(port, "team/app", "1", b"a closed layer", who=who)
        served = cache.front.served
        served.done("PUT", "/upstream-credentials/closed", {"username": USER, "secret": "wrong"})
        rule = {"prefix": "closed", "upstream": f"http://127.0.0.1:{port}", "credential": "closed"}
        served.done("POST", "/pull-through-rules", rule)
        valid = cache.ecr.validate_pull_through_cache_rule(ecrRepositoryPrefix="closed")
        assert valid["isValid"] is False
        assert cache.get("/v2/closed/team/app/manifests/1").status == 404
        served.done("PUT", "/upstream-credentials/closed", {"username": USER, "secret": SECRET})
        assert cache.ecr.validate_pull_through_cache_rule(ecrRepositoryPrefix="closed")["isValid"] is True
        pulled(cache, "closed/team/app", "1", b"a closed layer")
        log = served.registry.log.read_text()
        assert SECRET not in log.replace("the secret of", "")


def test_referrers_come_by_the_tag_that_lists_them(cache: Cache) -> None:
    name = new_name("team/signed")
    subject = push(cache.port, name, "1", b"a signed layer")
    manifest = pulled(cache, f"hub/{name}", "1")
    kind: dict[str, Any] = {"subject": described(manifest), "artifactType": "application/x-signature"}
    signature = push(cache.port, name, "", b"a signature", **kind)
    stored = cache_manifest(cache, name, signature)
    listed = index(stored)
    put(cache.port, name, f"sha256-{subject.hex}", listed, OCI_INDEX)
    found = json.loads(cache.get(f"/v2/hub/{name}/referrers/{subject}").body)["manifests"]
    assert [one["digest"] for one in found] == [str(signature)]
    asked = {"repositoryName": f"hub/{name}", "subjectId": {"imageDigest": str(subject)}}
    assert [one["digest"] for one in cache.ecr.list_image_referrers(**asked)["referrers"]] == [str(signature)]
    assert cache.get(f"/v2/hub/{name}/manifests/{signature}").body == stored


def cache_manifest(cache: Cache, name: str, digest: Digest) -> bytes:
    """The manifest as distribution has it."""
    answer = ask(cache.port, "GET", f"/v2/{name}/manifests/{digest}", ("Accept", OCI_MANIFEST))
    assert answer.status == 200, answer
    return answer.body


def test_an_image_that_only_the_upstream_has_is_given_by_the_api(cache: Cache) -> None:
    name = new_name("team/remote")
    digest = push(cache.port, name, "1", b"a remote layer")
    ids = [{"imageTag": "1"}, {"imageDigest": str(digest)}, {"imageTag": "never"}]
    answer = cache.ecr.batch_get_image(repositoryName=f"hub/{name}", imageIds=ids)
    assert [one["imageId"]["imageDigest"] for one in answer["images"]] == [str(digest)] * 2
    assert [one["failureCode"] for one in answer["failures"]] == ["ImageNotFound"]
    layer = {"repositoryName": f"hub/{name}", "layerDigest": str(Digest.of(b"a remote layer"))}
    link = cache.ecr.get_download_url_for_layer(**layer)["downloadUrl"]
    with urllib.request.urlopen(link, timeout=20) as content:
        assert content.read() == b"a remote layer"
    shown = cache.ecr.describe_images(repositoryName=f"hub/{name}")["imageDetails"]
    assert [one["imageTags"] for one in shown] == [["1"]]


def test_what_the_upstream_does_not_give_is_an_exception_of_the_operation(well: Cache) -> None:
    name = new_name("team/lost")
    digest = push(well.port, name, "1", b"a lost layer")
    pulled(well, f"bad/{name}", "1")
    well.trouble.from_now(**{"503": 1.0})
    ecr, repository = well.ecr, f"bad/{name}"
    asked = {"repositoryName": repository, "imageIds": [{"imageTag": "2"}]}
    got = {refused(ecr.batch_get_image, **asked)[0]}
    absent = str(Digest.of(b"a layer that was never pulled"))
    got.add(refused(ecr.get_download_url_for_layer, repositoryName=repository, layerDigest=absent)[0])
    subject = {"imageDigest": str(digest)}
    got.add(refused(ecr.list_image_referrers, repositoryName=repository, subjectId=subject)[0])
    assert got == {f"{error}Exception" for error in UPSTREAM}
    assert {error for operation, error in documented() if operation in ECR} >= UPSTREAM


def test_whoever_may_not_import_is_told_so_and_nothing_is_fetched(cache: Cache) -> None:
    name = new_name("team/forbidden")
    push(cache.port, name, "1", b"a forbidden layer")
    statement = {"Effect": "Allow", "Action": ["ecr:BatchGetImage"], "Resource": "*"}
    reader = cache.front.user("reader", json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
    cache.wire.clear()
    asked = {"repositoryName": f"hub/{name}", "imageIds": [{"imageTag": "1"}]}
    assert refused(reader.batch_get_image, **asked)[0] == "AccessDeniedException"
    assert cache.wire.exchanges == []


def test_a_template_says_what_a_cached_repository_is_like(cache: Cache) -> None:
    name = new_name("templated")
    push(cache.port, f"{name}/app", "1", b"a layer of a template's")
    cache.ecr.create_repository_creation_template(
        prefix=f"hub/{name}",
        appliedFor=["PULL_THROUGH_CACHE"],
        imageTagMutability="IMMUTABLE",
        resourceTags=[{"Key": "from", "Value": "hub"}],
    )
    pulled(cache, f"hub/{name}/app", "1")
    found = cache.ecr.describe_repositories(repositoryNames=[f"hub/{name}/app"])["repositories"][0]
    assert found["imageTagMutability"] == "IMMUTABLE"
    tags = cache.ecr.list_tags_for_resource(resourceArn=found["repositoryArn"])["tags"]
    assert tags == [{"Key": "from", "Value": "hub"}]
