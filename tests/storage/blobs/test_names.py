import pytest

from estiva.digest import Algorithm, Digest
from storage.blobs.names import is_storage_key, is_upload_id, new_storage_key


@pytest.mark.parametrize("algorithm", Algorithm)
def test_a_key_spells_algorithm_fan_out_digits_and_generation(algorithm: Algorithm) -> None:
    digest = Digest.of(b"content", algorithm)
    path, generation = new_storage_key(digest).split(".")
    assert path == f"{algorithm.value}/{digest.hex[:2]}/{digest.hex}"
    assert len(generation) == 32
    int(generation, 16)


def test_no_two_keys_are_equal() -> None:
    digest = Digest.of(b"content")
    assert len({new_storage_key(digest) for _ in range(1000)}) == 1000


@pytest.mark.parametrize("algorithm", Algorithm)
def test_every_new_key_is_a_key(algorithm: Algorithm) -> None:
    assert is_storage_key(new_storage_key(Digest.of(b"content", algorithm)))


def test_a_key_in_another_digests_directory_is_none() -> None:
    key = new_storage_key(Digest(Algorithm.SHA256, "ab" * 32))
    assert is_storage_key(key)
    assert not is_storage_key(key.replace("/ab/", "/ac/"))


@pytest.mark.parametrize("text", ["a", "x" * 128, "3f2b-_Z", "00000000-0000-4000-8000-000000000000"])
def test_letters_digits_hyphens_and_underscores_are_an_upload_id(text: str) -> None:
    assert is_upload_id(text)
