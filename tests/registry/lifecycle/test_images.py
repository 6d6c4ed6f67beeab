"""What lives and dies as one image."""

from collections import Counter

from estiva.digest import Algorithm, Digest
from registry.lifecycle.evaluation import DAY
from registry.lifecycle.images import Image, doomed, images_of, needed
from storage.metadata.lifecycle import ManifestFacts
from tests.registry.lifecycle.repository import NOW, digest, fallback, manifest


def members(images: list[Image]) -> dict[Digest, set[Digest]]:
    return {image.digest: set(image.members) for image in images}


def named(expected: dict[str, str]) -> dict[Digest, set[Digest]]:
    return {digest(name): {digest(member) for member in group.split()} for name, group in expected.items()}


def test_a_manifest_alone_is_an_image() -> None:
    [image] = images_of([manifest("a", 3, ("1",), pulled=2)])
    assert image == Image(
        digest("a"), frozenset({digest("a")}), ("1",), NOW - 3 * DAY, NOW - 3 * DAY, pulled_at=NOW - 2 * DAY
    )


def test_an_index_is_one_image_with_its_children_and_what_refers_to_any_of_them() -> None:
    images = images_of(
        [
            manifest("index", 1, ("1",), children=("amd64", "arm64", "absent")),
            manifest("amd64", 2, ("1-amd64",)),
            manifest("arm64", 2, pulled=1),
            manifest("sbom", subject="arm64"),
            manifest("signature of the sbom", subject="sbom"),
            manifest("cosign", tags=(fallback("index", ".sig"),)),
            manifest("referrers", tags=(fallback("amd64"),), children=("attestation",)),
            manifest("attestation"),
            manifest("other"),
        ]
    )
    all_of_it = {"index", "amd64", "arm64", "sbom", "signature of the sbom", "cosign", "referrers", "attestation"}
    assert members(images) == {
        digest("index"): set(map(digest, all_of_it)),
        digest("other"): {digest("other")},
    }
    [index] = [image for image in images if image.digest == digest("index")]
    assert index.tags == ("1", "1-amd64")
    assert index.pulled_at == NOW - DAY


def test_an_image_is_as_young_as_its_latest_tag() -> None:
    [image] = images_of([manifest("a", 30, {"1": 30, "latest": 2})])
    assert (image.pushed_at, image.moved_at) == (NOW - 30 * DAY, NOW - 2 * DAY)


def test_a_signature_does_not_make_an_image_younger_or_tagged() -> None:
    [image] = images_of([manifest("a", 30), manifest("sig", 1, (fallback("a", ".sig"),))])
    assert (image.tags, image.moved_at) == ((), NOW - 30 * DAY)


def test_what_refers_to_nothing_that_is_here_is_an_image_of_its_own() -> None:
    images = images_of([manifest("sbom", subject="gone"), manifest("sig", tags=(fallback("gone", ".sig"),))])
    assert members(images) == named({"sbom": "sbom", "sig": "sig"})
    assert [image.tags for image in images if image.digest == digest("sig")] == [(fallback("gone", ".sig"),)]


def test_a_long_digest_is_found_by_its_first_64_digits_and_by_all() -> None:
    long = Digest(Algorithm.SHA512, "ab" * 64)
    cut, whole = f"sha512-{long.hex[:64]}", f"sha512-{long.hex}.sig"
    images = images_of([ManifestFacts(long, NOW), manifest("cut", tags=(cut,)), manifest("whole", tags=(whole,))])
    assert members(images) == {long: {long, digest("cut"), digest("whole")}}


def test_a_shared_child_belongs_to_both_and_goes_with_the_last() -> None:
    images = images_of(
        [
            manifest("old", children=("amd64", "gone arm64")),
            manifest("new", children=("amd64", "arm64")),
            *map(manifest, ("amd64", "arm64", "gone arm64")),
        ]
    )
    assert members(images) == named({"old": "old amd64", "new": "new amd64 arm64"}) | {
        digest("old"): {digest("old"), digest("amd64"), digest("gone arm64")}
    }
    new, old = sorted(images, key=lambda image: image.digest == digest("old"))
    need = needed(images)
    assert doomed(old, need) == {digest("old"), digest("gone arm64")}
    need -= Counter(old.members)
    assert doomed(new, need) == new.members


def test_tags_that_refer_in_a_circle_make_one_image() -> None:
    images = images_of(
        [
            manifest("a", tags=(fallback("b"),), children=("child",)),
            manifest("b", tags=(fallback("a"),)),
            manifest("child"),
            manifest("itself", tags=(fallback("itself"),)),
        ]
    )
    first = min("a", "b", key=lambda name: str(digest(name)))
    assert members(images) == named({first: "a b child", "itself": "itself"})
