import pytest

from estiva.digest import Algorithm, Digest
from estiva.errors import NameUnknown
from estiva.mediatypes import OCI_INDEX, OCI_MANIFEST
from estiva.reference import RepositoryName
from registry import Registry
from registry.listing import Page
from tests.fixtures.documents import CONFIG, described, image, index
from tests.fixtures.facts import NAME, OTHER
from tests.fixtures.registry import push_blob, push_manifest

SUBJECT = Digest.of(b"subject")


@pytest.fixture
async def filled(registry: Registry) -> Registry:
    await push_blob(registry, b"{}")
    return registry


async def referrers(
    registry: Registry, artifact_type: str | None = None, last: str = "", limit: int = 100, subject: Digest = SUBJECT
) -> list[str]:
    page = await registry.listing.referrers(NAME, subject, artifact_type, last, limit)
    return [str(descriptor.digest) for descriptor in page.entries]


async def test_a_page_says_whether_there_is_more(filled: Registry) -> None:
    await push_manifest(filled, image(), "a", "b", "c")
    assert await filled.listing.tags(NAME, "", 3) == Page(["a", "b", "c"], more=False)
    assert await filled.listing.tags(NAME, "", 2) == Page(["a", "b"], more=True)
    assert await filled.listing.tags(NAME, "b", 2) == Page(["c"], more=False)
    assert await filled.listing.tags(NAME, "", 0) == Page([], more=True)
    assert await filled.listing.tags(NAME, "c", 2) == Page([], more=False)


async def test_repositories_are_listed_in_byte_order(registry: Registry) -> None:
    for name in ("b", "a/z", "a-b", "a"):
        await registry.uploading.start(RepositoryName(name))
    assert await registry.listing.repositories("", 3) == Page(["a", "a-b", "a/z"], more=True)
    assert await registry.listing.repositories("a/z", 3) == Page(["b"], more=False)


async def test_a_repository_that_is_not_there_has_no_tags_to_list(registry: Registry) -> None:
    with pytest.raises(NameUnknown) as refused:
        await registry.listing.tags(NAME, "", 10)
    assert refused.value.detail == {"name": NAME.text}


async def test_nothing_refers_to_anything_in_a_repository_that_is_not_there(registry: Registry) -> None:
    assert await registry.listing.referrers(NAME, SUBJECT, None, "", 10) == Page([], more=False)


def referring(number: int, artifact_type: str = "application/x") -> bytes:
    return image(subject=described(b"subject"), artifactType=artifact_type, annotations={"n": str(number)})


async def test_what_an_old_client_listed_under_the_tag_is_folded_in_once(filled: Registry) -> None:
    direct, tagged, both = referring(1), image(annotations={"n": "2"}), referring(3)
    for payload in (direct, tagged, both):
        await push_manifest(filled, payload)
    listed = index(
        manifests=[described(tagged, OCI_MANIFEST), described(both, OCI_MANIFEST, annotations={"old": "yes"})]
    )
    await push_manifest(filled, listed, f"sha256-{SUBJECT.hex}", media_type=OCI_INDEX)
    expected = sorted(str(Digest.of(payload)) for payload in (direct, tagged, both))
    assert await referrers(filled) == expected
    page = await filled.listing.referrers(NAME, SUBJECT, None, "", 10)
    by_digest = {descriptor.digest: descriptor for descriptor in page.entries}
    assert by_digest[Digest.of(tagged)].artifact_type == CONFIG
    assert by_digest[Digest.of(tagged)].annotations == {"n": "2"}
    assert by_digest[Digest.of(both)].annotations == {"n": "3"}


async def test_the_tag_of_a_long_digest_is_cut_as_the_specification_says(filled: Registry) -> None:
    """Specification, "Referrers Tag Schema": the encoded section is truncated to 64 characters."""
    subject, tagged = Digest.of(b"subject", Algorithm.SHA512), image(annotations={"n": "1"})
    await push_manifest(filled, tagged)
    await push_manifest(filled, index(tagged), f"sha512-{subject.hex[:64]}", media_type=OCI_INDEX)
    assert await referrers(filled, subject=subject) == [str(Digest.of(tagged))]


async def test_what_the_tag_lists_but_the_repository_has_not_is_left_out(filled: Registry) -> None:
    foreign = described(b"gone", OCI_MANIFEST, urls=["https://example.com"])
    await push_manifest(filled, index(manifests=[foreign]), f"sha256-{SUBJECT.hex}", media_type=OCI_INDEX)
    assert await referrers(filled) == []


async def test_an_image_under_that_tag_lists_nothing(filled: Registry) -> None:
    await push_manifest(filled, image(), f"sha256-{SUBJECT.hex}")
    assert await referrers(filled) == []


async def test_the_filter_holds_for_both_kinds(filled: Registry) -> None:
    one, other, tagged = referring(1), referring(2, "application/y"), image(artifactType="application/x")
    for payload in (one, other, tagged):
        await push_manifest(filled, payload)
    await push_manifest(filled, index(tagged), f"sha256-{SUBJECT.hex}", media_type=OCI_INDEX)
    assert await referrers(filled, "application/x") == sorted(str(Digest.of(payload)) for payload in (one, tagged))
    assert await referrers(filled, "application/y") == [str(Digest.of(other))]
    assert await referrers(filled, "application/z") == []


async def test_pages_of_both_kinds_together_miss_nothing_and_repeat_nothing(filled: Registry) -> None:
    direct = [referring(number) for number in range(7)]
    tagged = [image(annotations={"tagged": str(number)}) for number in range(7)]
    for payload in (*direct, *tagged):
        await push_manifest(filled, payload)
    await push_manifest(filled, index(*tagged, *direct[:3]), f"sha256-{SUBJECT.hex}", media_type=OCI_INDEX)
    seen: list[str] = []
    for _ in range(20):
        page = await filled.listing.referrers(NAME, SUBJECT, None, seen[-1] if seen else "", 3)
        seen += [str(descriptor.digest) for descriptor in page.entries]
        if not page.more:
            break
    assert seen == sorted(str(Digest.of(payload)) for payload in (*direct, *tagged))


async def test_another_repositorys_tag_is_not_looked_at(filled: Registry) -> None:
    await push_blob(filled, b"{}", OTHER)
    await push_manifest(filled, image(), name=OTHER)
    await push_manifest(filled, index(image()), f"sha256-{SUBJECT.hex}", name=OTHER, media_type=OCI_INDEX)
    assert await referrers(filled) == []
