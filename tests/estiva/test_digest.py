import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from estiva.digest import Algorithm, Digest
from estiva.errors import DigestInvalid

SHA256 = "sha256:" + "0123456789abcdef" * 4
SHA512 = "sha512:" + "0123456789abcdef" * 8


@pytest.mark.parametrize("text", [SHA256, SHA512])
def test_a_digest_reads_and_writes_as_the_same_text(text: str) -> None:
    assert str(Digest.parse(text)) == text


@pytest.mark.parametrize("algorithm", list(Algorithm))
@given(content=st.binary(max_size=200))
def test_the_digest_of_content_is_what_hashlib_says(algorithm: Algorithm, content: bytes) -> None:
    digest = Digest.of(content, algorithm)
    assert digest == Digest.parse(f"{algorithm.value}:{hashlib.new(algorithm.value, content).hexdigest()}")


def test_content_is_named_by_sha256_unless_another_algorithm_is_asked_for() -> None:
    assert Digest.of(b"").algorithm is Algorithm.SHA256


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sha256",
        "sha256:",
        SHA256[:-1],
        SHA256 + "0",
        SHA256.upper(),
        SHA256.replace("a", "A"),
        SHA256.replace("a", "g"),
        SHA256 + "\n",
        " " + SHA256,
        SHA256.replace(":", "-"),
        SHA256.replace("sha256", "sha512"),
        SHA512.replace("sha512", "sha256"),
        SHA256.replace("sha256", "md5"),
        SHA256.replace("sha256", "sha256+b64"),
        SHA256.replace("0", "\N{ARABIC-INDIC DIGIT ZERO}"),
        "sha256:../../etc/passwd",
        f"{SHA256},{SHA256}",
    ],
)
def test_anything_else_is_no_digest(text: str) -> None:
    with pytest.raises(DigestInvalid):
        Digest.parse(text)


@given(text=st.text(max_size=200))
def test_no_text_whatever_does_worse_than_be_refused_and_partly_repeated(text: str) -> None:
    with pytest.raises(DigestInvalid) as refused:
        Digest.parse(text)
    assert refused.value.detail == text[:160]


@pytest.mark.parametrize("name", ["sha256", "sha512"])
def test_the_algorithms_of_the_specification_are_known(name: str) -> None:
    assert Algorithm.parse(name).value == name


@pytest.mark.parametrize("name", ["", "md5", "SHA256", "sha384", "sha256 "])
def test_other_algorithms_are_refused(name: str) -> None:
    with pytest.raises(DigestInvalid, match="unsupported digest algorithm"):
        Algorithm.parse(name)
