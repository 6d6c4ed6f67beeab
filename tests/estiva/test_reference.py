import time

import pytest

from estiva.digest import Digest
from estiva.errors import DigestInvalid, ManifestInvalid, NameInvalid
from estiva.reference import MAX_NAME_LENGTH, RepositoryName, Tag, parse_reference

DIGEST = f"sha256:{'a' * 64}"


@pytest.mark.parametrize(
    "text",
    [
        "a",
        "0",
        "library/hello-world",
        "a.b",
        "a_b",
        "a__b",
        "a-b",
        "a---b",
        "a/b/c/d/e",
        "1/2",
        "a" * 255,
        "blobs/uploads",
    ],
)
def test_a_repository_name_of_the_grammar_is_taken(text: str) -> None:
    assert str(RepositoryName.parse(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/",
        "a/",
        "/a",
        "a//b",
        "A",
        "a/B",
        "-a",
        "a-",
        ".a",
        "a.",
        "a..b",
        "a___b",
        "a._b",
        "a/../b",
        "..",
        "a b",
        "a:b",
        "a@b",
        "a%2fb",
        "a\\b",
        "a\0b",
        "a\n",
        "é",
        "a" * 256,
    ],
)
def test_any_other_repository_name_is_refused(text: str) -> None:
    with pytest.raises(NameInvalid):
        RepositoryName.parse(text)


def test_a_refused_name_is_not_repeated_beyond_the_longest_name() -> None:
    with pytest.raises(NameInvalid) as refused:
        RepositoryName.parse("x" * 10_000)
    assert refused.value.detail == "x" * MAX_NAME_LENGTH


def test_a_name_made_to_exhaust_the_grammar_is_refused_quickly() -> None:
    begun = time.process_time()
    for _ in range(20):
        with pytest.raises(NameInvalid):
            RepositoryName.parse("a" + "-" * 120 + "a-" * 66 + "!")
    assert time.process_time() - begun < 1


@pytest.mark.parametrize(
    "text", ["a", "_", "Z9", "v1.2.3-rc_4", "latest", "sha256-" + "0" * 64, "x" * 128, "a" + "." * 127]
)
def test_a_tag_of_the_grammar_is_taken(text: str) -> None:
    assert str(Tag.parse(text)) == text


@pytest.mark.parametrize("text", ["", ".a", "-a", "a b", "a/b", "a:b", "a@b", "a+b", "x" * 129, "a\n", "é", "a\0"])
def test_any_other_tag_is_refused(text: str) -> None:
    with pytest.raises(ManifestInvalid, match="invalid tag"):
        Tag.parse(text)


def test_a_reference_is_a_tag_or_a_digest() -> None:
    assert parse_reference("latest") == Tag("latest")
    assert parse_reference(DIGEST) == Digest.parse(DIGEST)


@pytest.mark.parametrize("text", ["sha256:short", "latest:", ":", "md5:" + "0" * 32, DIGEST.upper()])
def test_what_has_a_colon_and_is_no_digest_is_never_taken_for_a_tag(text: str) -> None:
    with pytest.raises(DigestInvalid):
        parse_reference(text)
