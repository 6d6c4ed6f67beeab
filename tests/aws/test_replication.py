"""Replication between two servers, as boto3 sees it: indexes and mounts, loops, and a server that is killed."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from estiva import mediatypes
from estiva.digest import Digest
from tests.aws.clients import Ecr, Front, new_name
from tests.aws.test_mirroring import EVERYTHING, eventually, push
from tests.clients.wire import Wire
from tests.fixtures.documents import index
from tests.hostile.conversation import ask
from tests.security.secured import KEY_ID, KEY_SECRET, Secured, basic, secured

pytestmark = pytest.mark.real
ADMIN = ("Authorization", basic(KEY_ID, KEY_SECRET))
OWN = "000000000000"
HERE, THERE = "us-east-1", "eu-west-1"


@dataclass(frozen=True)
class Pair:
    """Two servers that replicate to each other; what goes over to the second is recorded."""

    first: Secured
    second: Secured
    wire: Wire

    def sides(self) -> tuple[Ecr, Ecr]:
        return Front(self.first).client(), Front(self.second).client()


def let_replicate(source: Secured, url: str, region: str, *prefixes: str) -> None:
    """Have the server replicate to another, which knows `copier`."""
    credential = {"username": "copier", "secret": "the password of copier"}
    source.done("PUT", "/upstream-credentials/replica", credential)
    source.done("PUT", f"/replication-endpoints/{region}/{OWN}", {"url": url, "credential": "replica"})
    filters = [{"filter": prefix, "filterType": "PREFIX_MATCH"} for prefix in prefixes]
    rule = {"destinations": [{"region": region, "registryId": OWN}], "repositoryFilters": filters}
    Front(source).client().put_replication_configuration(replicationConfiguration={"rules": [rule]})


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    folder = tmp_path_factory.mktemp("pair")
    for name in ("first", "second"):
        (folder / name).mkdir()
    with (
        secured(folder / "first", private_upstreams="true") as first,
        secured(folder / "second", private_upstreams="true", region=THERE) as second,
        Wire(second.port).open() as wire,
    ):
        for server in (first, second):
            server.user("copier", json.dumps(EVERYTHING))
        let_replicate(first, f"http://{wire.host}", THERE, "team/", "both/")
        let_replicate(second, f"http://127.0.0.1:{first.port}", HERE, "both/")
        yield Pair(first, second, wire)


def states(ecr: Ecr, name: str, tag: str = "1") -> list[Any]:
    answer = ecr.describe_image_replication_status(repositoryName=name, imageId={"imageTag": tag})
    return [one["status"] for one in answer["replicationStatuses"]]


def images(ecr: Ecr, name: str) -> set[tuple[str, str | None]]:
    found = ecr.list_images(repositoryName=name)["imageIds"]
    return {(one["imageDigest"], one.get("imageTag")) for one in found}


def put(server: Secured, name: str, tag: str, manifest: bytes, media_type: str) -> None:
    path, kind = f"/v2/{name}/manifests/{tag}", ("Content-Type", media_type)
    assert ask(server.port, "PUT", path, ADMIN, kind, body=manifest).status == 201


def test_an_index_comes_with_its_children_and_layers_that_are_there_are_mounted(pair: Pair) -> None:
    here, there = pair.sides()
    name, other = new_name("team/multi"), new_name("team/other")
    shared = b"a layer that all of them have " * 1000
    children = [push(pair.first, name, f"c{number}", shared, b"layer %d" % number) for number in range(2)]
    manifests = [ask(pair.first.port, "GET", f"/v2/{name}/manifests/{child}", ADMIN).body for child in children]
    listed = index(*manifests)
    put(pair.first, name, "1", listed, mediatypes.OCI_INDEX)
    eventually(lambda: all(states(here, name, tag) == ["COMPLETE"] for tag in ("1", "c0", "c1")))
    assert images(there, name) == images(here, name)
    found = ask(pair.second.port, "GET", f"/v2/{name}/manifests/1", ADMIN)
    assert (found.body, found.field("content-type")) == (listed, mediatypes.OCI_INDEX)
    pair.wire.clear()
    push(pair.first, other, "1", shared)
    eventually(lambda: states(here, other) == ["COMPLETE"])
    assert str(Digest.of(shared)) in pair.wire.mounted()
    assert pair.wire.uploaded() < len(shared)
    blob = ask(pair.second.port, "GET", f"/v2/{other}/blobs/{Digest.of(shared)}", ADMIN)
    assert blob.body == shared


def test_only_what_a_filter_is_about_is_replicated(pair: Pair) -> None:
    here, _ = pair.sides()
    name = new_name("elsewhere/app")
    push(pair.first, name, "1")
    assert states(here, name) == []


def test_between_two_that_replicate_to_each_other_an_image_goes_over_once(pair: Pair) -> None:
    here, there = pair.sides()
    name = new_name("both/app")
    push(pair.first, name, "1", b"a layer of the first")
    eventually(lambda: states(here, name) == ["COMPLETE"])
    # Asking for a replication is part of the push: what came as a copy has asked for none.
    assert states(there, name) == []
    moved = push(pair.second, name, "2", b"a layer of the second")
    eventually(lambda: states(there, name, "2") == ["COMPLETE"])
    assert states(here, name, "2") == []
    assert (str(moved), "2") in images(here, name)
    assert images(here, name) == images(there, name)


def test_a_server_that_is_killed_in_the_middle_goes_on_where_it_was(pair: Pair, tmp_path: Path) -> None:
    name = new_name("team/killed")
    layers = [b"%d " % number * 50_000 for number in range(4)]
    there = Front(pair.second).client()
    with secured(tmp_path, private_upstreams="true") as source:
        let_replicate(source, f"http://{pair.wire.host}", THERE, "team/")
        pair.wire.before_the_next("POST", f"/v2/{name}/blobs/uploads/", lambda: pair.wire.before_the_next(
            "POST", f"/v2/{name}/blobs/uploads/", source.registry.process.kill
        ))  # fmt: skip
        pair.wire.clear()
        digest = push(source, name, "1", *layers)
        source.registry.process.wait(60)
    begun = len(pair.wire.select("PUT", f"/v2/{name}/blobs/uploads/", 201))
    assert begun >= 1
    with pytest.raises(there.exceptions.ImageNotFoundException):
        there.describe_images(repositoryName=name, imageIds=[{"imageTag": "1"}])
    with secured(tmp_path, private_upstreams="true") as source:
        here = Front(source).client()
        eventually(lambda: states(here, name) == ["COMPLETE"], patience=120)
    assert images(there, name) == {(str(digest), "1")}
    for layer in layers:
        blob = ask(pair.second.port, "GET", f"/v2/{name}/blobs/{Digest.of(layer)}", ADMIN)
        assert blob.body == layer
    # What had come before was not sent again.
    sent = pair.wire.select("PUT", f"/v2/{name}/blobs/uploads/", 201)
    assert len(sent) == len(layers) + 1


def test_a_template_says_what_a_replicated_repository_is_like(pair: Pair) -> None:
    here, there = pair.sides()
    name = new_name("team/templated")
    for applied in ("REPLICATION", "CREATE_ON_PUSH"):
        there.create_repository_creation_template(
            prefix=name if applied == "REPLICATION" else f"{name}/app",
            appliedFor=[applied],
            imageTagMutability="IMMUTABLE" if applied == "REPLICATION" else "MUTABLE",
        )
    push(pair.first, f"{name}/app/one", "1")
    eventually(lambda: states(here, f"{name}/app/one") == ["COMPLETE"])
    found = there.describe_repositories(repositoryNames=[f"{name}/app/one"])["repositories"][0]
    assert found["imageTagMutability"] == "IMMUTABLE"
