"""Specification, "Pushing Manifests": end-7."""

import asyncio
import json
from typing import Any

import pytest

from estiva.digest import Algorithm, Digest
from estiva.mediatypes import (
    DOCKER_MANIFEST,
    DOCKER_MANIFEST_LIST,
    DOCKER_SCHEMA1,
    DOCKER_SCHEMA1_SIGNED,
    OCI_EMPTY,
    OCI_INDEX,
    OCI_MANIFEST,
)
from tests.conformance.repository import Repository, fields, pieces, refused
from tests.fixtures.documents import CONFIG, described, image, index, named, written

LIMIT = 4 * 1024 * 1024
LAYER = b"layer"


@pytest.fixture
async def filled(repository: Repository) -> Repository:
    """With a config and a layer."""
    await repository.push_blob(b"{}")
    await repository.push_blob(LAYER)
    return repository


async def require_pulled(repository: Repository, payload: bytes, media_type: str, *references: str) -> None:
    for reference in (*references, named(payload)):
        response = await repository.get(f"manifests/{reference}")
        assert (response.status_code, response.content) == (200, payload)
        assert response.headers["Content-Type"] == media_type
        assert response.headers["Docker-Content-Digest"] == named(payload)


@pytest.mark.parametrize("reference", ["latest", named(image(b"{}", LAYER))])
async def test_end_7a_answers_with_the_place_and_digest_of_the_manifest(filled: Repository, reference: str) -> None:
    payload = image(b"{}", LAYER)
    for _ in range(2):
        response = await filled.put_manifest(payload, reference)
        assert (response.status_code, fields(response)) == (
            201,
            {
                "location": f"/v2/{filled.name}/manifests/{named(payload)}",
                "docker-content-digest": named(payload),
                "content-length": "0",
            },
        )
    await require_pulled(filled, payload, OCI_MANIFEST, reference)


async def test_end_7a_takes_a_body_whose_length_is_not_said_beforehand(filled: Repository) -> None:
    payload = image(b"{}", LAYER)
    headers = {"Content-Type": OCI_MANIFEST}
    response = await filled.ask("PUT", "manifests/latest", content=pieces(payload[:9], payload[9:]), headers=headers)
    assert response.status_code == 201
    await require_pulled(filled, payload, OCI_MANIFEST, "latest")


KINDS: dict[str, tuple[bytes, str]] = {
    "an OCI image": (image(b"{}", LAYER), OCI_MANIFEST),
    "a docker image": (image(b"{}", LAYER, media_type=DOCKER_MANIFEST), DOCKER_MANIFEST),
    "an image without layers": (image(b"{}"), OCI_MANIFEST),
    "an image whose layers are not even mentioned": (
        written({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": described(b"{}", CONFIG)}),
        OCI_MANIFEST,
    ),
    "an image without its media type": (
        written({"schemaVersion": 2, "config": described(b"{}"), "layers": []}),
        OCI_MANIFEST,
    ),
    "an index": (index(image(b"{}")), OCI_INDEX),
    "an empty index": (index(), OCI_INDEX),
    "an index of an index": (index(manifests=[described(index(image(b"{}")), OCI_INDEX)]), OCI_INDEX),
    "a docker manifest list": (index(image(b"{}"), media_type=DOCKER_MANIFEST_LIST), DOCKER_MANIFEST_LIST),
    "an index with platforms": (
        index(manifests=[described(image(b"{}"), OCI_MANIFEST, platform={"os": "linux", "architecture": "arm64"})]),
        OCI_INDEX,
    ),
    "an artifact": (
        image(artifactType="application/vnd.example.thing", layers=[described(LAYER, "text/plain")]),
        OCI_MANIFEST,
    ),
    "an artifact of the empty descriptor": (
        image(
            config=described(b"{}", OCI_EMPTY, data="e30="),
            layers=[described(b"{}", OCI_EMPTY, data="e30=")],
            artifactType="application/vnd.example.sbom",
        ),
        OCI_MANIFEST,
    ),
    "an index that is an artifact": (
        index(artifactType="application/vnd.example.set", annotations={"a": "b"}),
        OCI_INDEX,
    ),
    "a helm chart": (
        image(
            config=described(b"{}", "application/vnd.cncf.helm.config.v1+json"),
            layers=[described(LAYER, "application/vnd.cncf.helm.chart.content.v1.tar+gzip")],
        ),
        OCI_MANIFEST,
    ),
    "a build cache as an image": (
        image(config=described(b"{}", "application/vnd.buildkit.cacheconfig.v0"), layers=[described(LAYER)]),
        OCI_MANIFEST,
    ),
    "a build cache as an index of blobs": (
        index(manifests=[described(LAYER), described(b"{}", "application/vnd.buildkit.cacheconfig.v0")]),
        OCI_INDEX,
    ),
    "a build cache as a docker list of blobs": (
        index(manifests=[described(LAYER)], media_type=DOCKER_MANIFEST_LIST),
        DOCKER_MANIFEST_LIST,
    ),
    "a wasm module": (
        image(
            config=described(b"{}", "application/vnd.wasm.config.v0+json"),
            layers=[described(LAYER, "application/wasm")],
        ),
        OCI_MANIFEST,
    ),
    "an image with a foreign layer": (
        image(
            layers=[
                described(
                    b"far away", "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", urls=["https://a/b"]
                )
            ]
        ),
        OCI_MANIFEST,
    ),
    "an image with members that nobody knows": (
        image(future={"a": [1, None]}, layers=[described(LAYER, more=1)]),
        OCI_MANIFEST,
    ),
    "an image whose subject is not here": (image(subject=described(b"not here", OCI_MANIFEST)), OCI_MANIFEST),
    "an index whose subject is not here": (index(subject=described(b"not here", OCI_MANIFEST)), OCI_INDEX),
    "an image with 3.9 MB of annotations": (image(annotations={"long": "x" * 3_900_000}), OCI_MANIFEST),
    "an image written with spaces and escapes": (
        json.dumps({**json.loads(image()), "annotations": {"ü": "€\u2028"}}, indent=3).encode() + b"\r\n",
        OCI_MANIFEST,
    ),
}


@pytest.mark.parametrize("kind", KINDS)
async def test_end_7a_takes_and_gives_back_byte_for_byte(filled: Repository, kind: str) -> None:
    await filled.push_manifest(image(b"{}"))
    await filled.push_manifest(index(image(b"{}")), "", OCI_INDEX)
    payload, media_type = KINDS[kind]
    response = await filled.put_manifest(payload, "latest", media_type)
    assert response.status_code == 201, response.text
    assert response.headers["Docker-Content-Digest"] == named(payload)
    await require_pulled(filled, payload, media_type, "latest")


@pytest.mark.parametrize("algorithm", list(Algorithm))
async def test_end_7a_by_digest_the_payload_must_have_it(filled: Repository, algorithm: Algorithm) -> None:
    payload = image(b"{}", LAYER)
    digest = str(Digest.of(payload, algorithm))
    assert await filled.push_manifest(payload, digest) == digest
    wrong = str(Digest.of(b"other", algorithm))
    detail = refused(await filled.put_manifest(payload, wrong), 400, "DIGEST_INVALID")
    assert detail == {"named": wrong, "computed": digest}
    assert (await filled.head(f"manifests/{wrong}")).status_code == 404


@pytest.mark.parametrize("reference", ["sha256:short", "md5:" + "0" * 32, "latest:"])
async def test_end_7a_what_looks_like_a_digest_is_never_taken_for_a_tag(filled: Repository, reference: str) -> None:
    refused(await filled.put_manifest(image(), reference), 400, "DIGEST_INVALID")


@pytest.mark.parametrize("reference", ["-dash", ".dot", "x" * 129, "a%20b"])
async def test_end_7a_a_tag_outside_the_grammar_is_refused(filled: Repository, reference: str) -> None:
    refused(await filled.put_manifest(image(), reference), 400, "MANIFEST_INVALID")


@pytest.mark.parametrize("reference", ["x" * 128, "_", "A.b-c_0", "sha256-" + "0" * 64 + ".sig"])
async def test_end_7a_a_tag_of_the_grammar_is_taken(filled: Repository, reference: str) -> None:
    await filled.push_manifest(image(), reference)
    assert await filled.tags() == [reference]


MISSING: dict[str, tuple[bytes, str, list[bytes]]] = {
    "a config": (image(b"no config", LAYER), OCI_MANIFEST, [b"no config"]),
    "a layer": (image(b"{}", LAYER, b"no layer"), OCI_MANIFEST, [b"no layer"]),
    "several": (image(b"no config", b"no layer"), DOCKER_MANIFEST, [b"no config", b"no layer"]),
    "an image of an index": (index(b"no image"), OCI_INDEX, [b"no image"]),
    "an image of a manifest list": (
        index(b"no image", media_type=DOCKER_MANIFEST_LIST),
        DOCKER_MANIFEST_LIST,
        [b"no image"],
    ),
}


@pytest.mark.parametrize("what", MISSING)
async def test_end_7a_a_manifest_that_needs_what_is_missing_is_refused_and_not_kept(
    filled: Repository, what: str
) -> None:
    payload, media_type, missing = MISSING[what]
    payload = payload.replace(OCI_MANIFEST.encode(), media_type.encode(), 1)
    detail = refused(await filled.put_manifest(payload, "latest", media_type), 400, "MANIFEST_BLOB_UNKNOWN")
    assert detail == {"digests": sorted(map(named, missing))}
    assert await filled.tags() == []
    assert (await filled.head(f"manifests/{named(payload)}")).status_code == 404


async def test_end_7a_a_blob_of_another_repository_is_missing(filled: Repository, other: Repository) -> None:
    refused(await other.put_manifest(image(b"{}", LAYER), "latest"), 400, "MANIFEST_BLOB_UNKNOWN")
    refused(await other.get("tags/list"), 404, "NAME_UNKNOWN")


INVALID: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", OCI_MANIFEST),
    "no JSON": (b"not JSON", OCI_MANIFEST),
    "no object": (b"[]", OCI_MANIFEST),
    "an empty object": (b"{}", OCI_MANIFEST),
    "the same key twice": (b'{"schemaVersion":2,"schemaVersion":2}', OCI_MANIFEST),
    "not a number": (image().replace(b":2", b":NaN", 1), OCI_MANIFEST),
    "bytes that are no UTF-8": (image(artifactType="X").replace(b"X", b"\xff"), OCI_MANIFEST),
    "UTF-16": (image().decode().encode("utf-16"), OCI_MANIFEST),
    "half a character": (image(artifactType="\ud800"), OCI_MANIFEST),
    "brackets without end": (b"[" * 100_000, OCI_MANIFEST),
    "another media type than the header": (image(), OCI_INDEX),
    "an image and an index at once": (image(manifests=[]), OCI_MANIFEST),
    "an index and an image at once": (index(layers=[]), OCI_INDEX),
    "schema version 3": (image(schemaVersion=3), OCI_MANIFEST),
    "docker schema 1": (written({"schemaVersion": 1, "name": "a", "tag": "b"}), DOCKER_SCHEMA1),
    "docker schema 1, signed": (written({"schemaVersion": 1, "name": "a", "tag": "b"}), DOCKER_SCHEMA1_SIGNED),
    "a media type that is no manifest": (image(mediaType="application/json"), "application/json"),
    "a config that is no descriptor": (image(config="{}"), OCI_MANIFEST),
    "a layer of negative size": (image(layers=[{**described(LAYER), "size": -1}]), OCI_MANIFEST),
    "a layer of no digest": (image(layers=[{**described(LAYER), "digest": "../../etc"}]), OCI_MANIFEST),
    "annotations that are no strings": (image(annotations={"a": 1}), OCI_MANIFEST),
}


@pytest.mark.parametrize("what", INVALID)
async def test_end_7a_what_is_no_manifest_is_refused_and_not_kept(filled: Repository, what: str) -> None:
    payload, media_type = INVALID[what]
    refused(await filled.put_manifest(payload, "latest", media_type), 400, "MANIFEST_INVALID")
    assert await filled.tags() == []


async def test_end_7a_a_manifest_needs_a_content_type(filled: Repository) -> None:
    refused(await filled.ask("PUT", "manifests/latest", content=image()), 400, "MANIFEST_INVALID")
    refused(await filled.put_manifest(image(), "latest", ""), 400, "MANIFEST_INVALID")


def padded(size: int) -> bytes:
    smallest = len(image(annotations={"": ""}))
    return image(annotations={"": "x" * (size - smallest)})


async def test_end_7a_four_megabytes_are_taken_and_no_byte_more(filled: Repository) -> None:
    assert len(padded(LIMIT)) == LIMIT
    assert (await filled.put_manifest(padded(LIMIT), "full")).status_code == 201
    await require_pulled(filled, padded(LIMIT), OCI_MANIFEST, "full")
    detail = refused(await filled.put_manifest(padded(LIMIT + 1), "over"), 413, "MANIFEST_INVALID")
    assert detail == {"limit": LIMIT}
    assert await filled.tags() == ["full"]


async def test_end_7a_too_large_a_body_is_noticed_without_being_announced(filled: Repository) -> None:
    headers = {"Content-Type": OCI_MANIFEST}
    body = pieces(*[b" " * 65_536] * (LIMIT // 65_536 + 1))
    refused(await filled.ask("PUT", "manifests/latest", content=body, headers=headers), 413, "MANIFEST_INVALID")


async def test_end_7b_pushes_under_a_digest_and_many_tags_at_once(filled: Repository) -> None:
    payload, wanted = image(b"{}", LAYER), [f"v{number}" for number in range(12)]
    response = await filled.put_manifest(payload, params={"tag": wanted})
    assert response.status_code == 201
    assert response.headers.get_list("OCI-Tag") == wanted
    assert response.headers["Location"] == f"/v2/{filled.name}/manifests/{named(payload)}"
    assert await filled.tags() == sorted(wanted)
    await require_pulled(filled, payload, OCI_MANIFEST, *wanted)


async def test_end_7b_moves_tags_that_were_elsewhere(filled: Repository) -> None:
    await filled.push_manifest(image(), "one")
    response = await filled.put_manifest(image(b"{}", LAYER), params={"tag": ["one", "two"]})
    assert response.headers.get_list("OCI-Tag") == ["one", "two"]
    await require_pulled(filled, image(b"{}", LAYER), OCI_MANIFEST, "one", "two")


@pytest.mark.parametrize("wanted", [["good", "-bad"], [""], ["sha256:" + "0" * 64], [f"t{n}" for n in range(101)]])
async def test_end_7b_one_tag_that_is_refused_refuses_all(filled: Repository, wanted: list[str]) -> None:
    refused(await filled.put_manifest(image(), params={"tag": wanted}), 400, "MANIFEST_INVALID")
    assert await filled.tags() == []


@pytest.mark.parametrize(
    ("payload", "media_type"),
    [
        (image(subject=described(b"a", OCI_MANIFEST)), OCI_MANIFEST),
        (index(subject=described(b"a", OCI_MANIFEST)), OCI_INDEX),
    ],
)
async def test_a_manifest_with_a_subject_is_told_that_the_subject_was_understood(
    filled: Repository, payload: bytes, media_type: str
) -> None:
    response = await filled.put_manifest(payload, "latest", media_type)
    assert (response.status_code, response.headers["OCI-Subject"]) == (201, named(b"a"))


async def test_a_manifest_without_a_subject_is_told_nothing_of_one(filled: Repository) -> None:
    response = await filled.put_manifest(image(), "latest")
    assert not {"oci-subject", "oci-tag"} & set(response.headers)


async def test_the_same_tag_by_many_at_once_points_at_one_of_them(filled: Repository) -> None:
    payloads = [image(annotations={"n": str(number)}) for number in range(20)]
    answers: list[Any] = await asyncio.gather(*(filled.put_manifest(payload, "latest") for payload in payloads))
    assert {answer.status_code for answer in answers} == {201}
    assert (await filled.get("manifests/latest")).content in payloads
    assert await filled.tags() == ["latest"]
