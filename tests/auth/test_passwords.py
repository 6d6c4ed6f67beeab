import bcrypt
import pytest
from argon2 import extract_parameters
from argon2.low_level import Type

from auth.passwords import (
    LONGEST_PASSWORD,
    Decoy,
    hash_password,
    hash_secret,
    is_slow,
    make_secret,
    scheme,
    verify,
)

BCRYPT = bcrypt.hashpw(b"open sesame", bcrypt.gensalt(4)).decode()


def test_a_password_is_hashed_with_argon2id_and_a_salt_of_its_own() -> None:
    first, second = hash_password("correct horse"), hash_password("correct horse")
    assert first != second
    parameters = extract_parameters(first)
    assert parameters.type is Type.ID
    # OWASP's floor for argon2id: 19 MiB with two passes.
    assert parameters.memory_cost >= 19 * 1024
    assert parameters.time_cost >= 2
    assert is_slow(first)
    assert "horse" not in first


def test_the_right_password_is_told_from_wrong_ones() -> None:
    stored = hash_password("correct horse")
    assert verify(stored, "correct horse")
    for wrong in ("", "correct", "correct horse ", "Correct horse", "correct\0horse", "x" * LONGEST_PASSWORD):
        assert not verify(stored, wrong)


def test_a_made_secret_is_random_and_needs_no_slow_hash() -> None:
    made = [make_secret() for _ in range(100)]
    assert len(set(made)) == 100
    assert min(map(len, made)) >= 43  # 256 bits in base64
    stored = hash_secret(made[0])
    assert not is_slow(stored)
    assert verify(stored, made[0])
    assert not verify(stored, made[1])
    assert made[0] not in stored


def test_bcrypt_hashes_of_a_htpasswd_file_are_understood() -> None:
    for prefix in ("$2a$", "$2b$", "$2y$"):
        stored = prefix + BCRYPT[4:]
        assert is_slow(stored)
        assert verify(stored, "open sesame")
        assert not verify(stored, "open sesam")


def test_bcrypt_looks_at_72_bytes_as_it_always_has() -> None:
    stored = bcrypt.hashpw(b"a" * 72, bcrypt.gensalt(4)).decode()
    assert verify(stored, "a" * 100)
    assert not verify(stored, "a" * 71)


@pytest.mark.parametrize("secret", ["", "\0", "open\0sesame", "ü" * 80, "x" * (LONGEST_PASSWORD + 1)])
@pytest.mark.parametrize(
    "stored",
    [BCRYPT, hash_secret("x"), "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$AAAA"],
    ids=["bcrypt", "random", "short"],
)
def test_odd_secrets_are_wrong_and_no_error(stored: str, secret: str) -> None:
    assert not verify(stored, secret)


@pytest.mark.parametrize(
    "stored", ["", "!", "$2y$", "$2y$05$short", "$2b$99$" + "a" * 53, "$argon2id$", "md5", "sha256$"]
)
def test_what_is_no_hash_lets_nobody_in(stored: str) -> None:
    for secret in ("", stored, "password"):
        assert not verify(stored, secret)


def test_a_password_that_is_too_long_is_refused_before_any_hashing() -> None:
    long = "x" * (LONGEST_PASSWORD + 1)
    assert not verify(hash_secret(long), long)


def test_each_hash_says_how_it_was_made() -> None:
    assert scheme(Decoy().hash) == "argon2id"
    assert scheme(BCRYPT) == "bcrypt"
    assert scheme(hash_secret("x")) == "sha256"


def test_the_decoy_is_nobodys() -> None:
    assert Decoy().hash != Decoy().hash
