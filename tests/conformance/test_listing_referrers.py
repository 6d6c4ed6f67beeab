"""Specification, "Listing Referrers": end-12."""

import json
from typing import Any

import pytest

from estiva.digest import Algorithm, Digest
from estiva.mediatypes import DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST
from tests.conformance.repository import Repository, fields, refused
from tests.conformance.test_listing_tags import following
from tests.fixtures.documents import CONFIG, described, image, index, named

SUBJECT = image(annotations={"subject": "yes"})
POINTER = described(SUBJECT, OCI_MANIFEST)
SBOM, SIGNATURE = "application/vnd.example.sbom", "application/vnd.example.signature"


def entry(payload: bytes, media_type: str, **more: Any) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": named(payload), "size": len(payload), **more}


def ordered(*entries: dict[str, Any]) -> list[dict[str, Any]]:
    return sorted(entries, key=lambda one: str(one["digest"]))


@pytest.fixture
async def filled(repository: Repository) -> Repository:
    """With a config, and the subject."""
    await repository.push_blob(b"{}")
    await repository.push_manifest(SUBJECT)
    return repository


async def referrers(repository: Repository, query: str = "", subject: str = named(SUBJECT)) -> list[dict[str, Any]]:
    response = await repository.get(f"referrers/{subject}{query}")
    assert (response.status_code, response.headers["Content-Type"]) == (200, OCI_INDEX)
    document = response.json()
    entries: list[dict[str, Any]] = document.pop("manifests")
    assert document == {"schemaVersion": 2, "mediaType": OCI_INDEX}
    return entries


@pytest.mark.parametrize("subject", [named(SUBJECT), named(b"not here"), f"sha512:{'0' * 128}", f"sha256:{'0' * 64}"])
async def test_end_12a_nothing_refers_to_it_is_an_empty_index(filled: Repository, subject: str) -> None:
    assert await referrers(filled, subject=subject) == []


async def test_end_12a_a_repository_that_is_not_there_is_an_empty_index_too(repository: Repository) -> None:
    assert await referrers(repository) == []


async def test_end_12a_the_content_type_is_exact_and_nothing_is_said_of_filters(filled: Repository) -> None:
    """oras compares the Content-Type with ==."""
    response = await filled.get(f"referrers/{named(SUBJECT)}")
    assert fields(response) == {"content-type": OCI_INDEX, "content-length": str(len(response.content))}
    head = await filled.head(f"referrers/{named(SUBJECT)}")
    assert (head.content, fields(head)) == (b"", fields(response))


@pytest.mark.parametrize("subject", ["sha256:short", "latest", "md5:" + "0" * 32, named(SUBJECT).upper()])
async def test_end_12a_what_is_no_digest_is_400(filled: Repository, subject: str) -> None:
    refused(await filled.get(f"referrers/{subject}"), 400, "DIGEST_INVALID")


async def test_end_12a_every_kind_of_referrer_is_described(filled: Repository) -> None:
    annotations = {"org.opencontainers.image.created": "2026-01-01T00:00:00Z", "ü": "€"}
    sbom = image(subject=POINTER, artifactType=SBOM, annotations=annotations)
    plain = image(subject=POINTER)
    docker = image(subject=POINTER, media_type=DOCKER_MANIFEST)
    typed_index = index(subject=POINTER, artifactType=SIGNATURE)
    untyped_index = index(subject=POINTER, annotations=annotations)
    for payload in (sbom, plain, docker, typed_index, untyped_index):
        await filled.push_manifest(payload, "", json.loads(payload)["mediaType"])
    assert await referrers(filled) == ordered(
        entry(sbom, OCI_MANIFEST, artifactType=SBOM, annotations=annotations),
        entry(plain, OCI_MANIFEST, artifactType=CONFIG),
        entry(docker, DOCKER_MANIFEST, artifactType=CONFIG),
        entry(typed_index, OCI_INDEX, artifactType=SIGNATURE),
        entry(untyped_index, OCI_INDEX, annotations=annotations),
    )


async def test_end_12a_refers_before_the_subject_is_there_and_after_it_is_gone(repository: Repository) -> None:
    await repository.push_blob(b"{}")
    referrer = image(subject=POINTER)
    await repository.push_manifest(referrer)
    expected = [entry(referrer, OCI_MANIFEST, artifactType=CONFIG)]
    assert await referrers(repository) == expected
    await repository.push_manifest(SUBJECT)
    assert await referrers(repository) == expected
    assert (await repository.ask("DELETE", f"manifests/{named(SUBJECT)}")).status_code == 202
    assert await referrers(repository) == expected


async def test_end_12a_a_referrer_that_is_deleted_is_gone_at_once(filled: Repository) -> None:
    for _ in range(2):
        digest = await filled.push_manifest(image(subject=POINTER))
        assert len(await referrers(filled)) == 1
        assert (await filled.ask("DELETE", f"manifests/{digest}")).status_code == 202
        assert await referrers(filled) == []


async def test_end_12a_what_refers_in_another_repository_is_not_listed(filled: Repository, other: Repository) -> None:
    await other.push_blob(b"{}")
    await other.push_manifest(image(subject=POINTER))
    assert await referrers(filled) == []


async def test_end_12a_a_subject_may_be_named_by_sha512(filled: Repository) -> None:
    subject = str(Digest.of(SUBJECT, Algorithm.SHA512))
    referrer = image(subject={**POINTER, "digest": subject})
    response = await filled.put_manifest(referrer)
    assert response.headers["OCI-Subject"] == subject
    assert await referrers(filled, subject=subject) == [entry(referrer, OCI_MANIFEST, artifactType=CONFIG)]
    assert await referrers(filled) == []


async def test_end_12b_a_filter_is_applied_and_that_is_said(filled: Repository) -> None:
    sbom, signature = image(subject=POINTER, artifactType=SBOM), image(subject=POINTER, artifactType=SIGNATURE)
    await filled.push_manifest(sbom)
    await filled.push_manifest(signature)
    response = await filled.get(f"referrers/{named(SUBJECT)}", params={"artifactType": SBOM})
    assert response.headers["OCI-Filters-Applied"] == "artifactType"
    assert response.headers["Content-Type"] == OCI_INDEX
    assert response.json()["manifests"] == [entry(sbom, OCI_MANIFEST, artifactType=SBOM)]
    assert await referrers(filled, "?artifactType=application/none") == []
    assert len(await referrers(filled, "?artifactType=")) == 2


async def test_end_12b_filters_by_the_type_of_the_config_where_a_manifest_has_none_of_its_own(
    filled: Repository,
) -> None:
    await filled.push_manifest(image(subject=POINTER))
    assert len(await referrers(filled, f"?artifactType={CONFIG}")) == 1


@pytest.mark.parametrize("written", ["application/vnd.example+json", "application%2Fvnd.example%2Bjson"])
async def test_end_12b_a_plus_sign_in_the_filter_need_not_be_encoded(filled: Repository, written: str) -> None:
    await filled.push_manifest(image(subject=POINTER, artifactType="application/vnd.example+json"))
    assert len(await referrers(filled, f"?artifactType={written}")) == 1


@pytest.mark.parametrize("query", ["", f"&artifactType={SBOM}"])
async def test_end_12_a_long_list_comes_in_pages_that_miss_nothing(filled: Repository, query: str) -> None:
    payloads = [image(subject=POINTER, artifactType=SBOM, annotations={"n": str(number)}) for number in range(7)]
    for payload in payloads:
        await filled.push_manifest(payload)
    seen: list[str] = []
    target: str | None = f"/v2/{filled.name}/referrers/{named(SUBJECT)}?n=3{query}"
    for _ in range(5):
        assert target is not None
        response = await filled.get(target)
        assert response.headers["Content-Type"] == OCI_INDEX
        assert ("OCI-Filters-Applied" in response.headers) == bool(query)
        seen += [one["digest"] for one in response.json()["manifests"]]
        target = following(response)
        if target is None:
            break
    assert seen == sorted(named(payload) for payload in payloads)


async def test_end_12_what_an_old_client_listed_under_the_fallback_tag_is_folded_in_as_it_describes_itself(
    filled: Repository,
) -> None:
    known, unknown = image(subject=POINTER, artifactType=SBOM), image(artifactType=SIGNATURE, annotations={"a": "b"})
    await filled.push_manifest(known)
    await filled.push_manifest(unknown)
    fallback = index(
        manifests=[
            entry(known, OCI_MANIFEST, artifactType=SBOM),
            entry(unknown, OCI_MANIFEST, artifactType=SIGNATURE, annotations={"from": "the index"}),
        ]
    )
    await filled.push_manifest(fallback, named(SUBJECT).replace(":", "-"), OCI_INDEX)
    assert await referrers(filled) == ordered(
        entry(known, OCI_MANIFEST, artifactType=SBOM),
        entry(unknown, OCI_MANIFEST, artifactType=SIGNATURE, annotations={"a": "b"}),
    )
    assert await referrers(filled, f"?artifactType={SIGNATURE}") == [
        entry(unknown, OCI_MANIFEST, artifactType=SIGNATURE, annotations={"a": "b"})
    ]


@pytest.mark.parametrize("query", ["?n=-1", "?n=x", "?artifactType=a&artifactType=b"])
async def test_end_12_a_query_that_makes_no_sense_is_400(filled: Repository, query: str) -> None:
    refused(await filled.get(f"referrers/{named(SUBJECT)}{query}"), 400, "UNSUPPORTED")
