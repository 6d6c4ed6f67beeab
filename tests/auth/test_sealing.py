import os
import stat
from pathlib import Path

import pytest

from auth.sealing import KEY_BYTES, Seal, SealBrokenError, load_or_create_key

KEY = bytes(range(32))
SECRET = b"the secret itself"


def test_what_was_sealed_comes_back_and_is_not_in_the_seal() -> None:
    sealed = Seal(KEY).seal("keys", SECRET)
    assert Seal(KEY).unseal("keys", sealed) == SECRET
    assert SECRET not in sealed


def test_the_same_secret_is_sealed_differently_each_time() -> None:
    seal = Seal(KEY)
    assert len({seal.seal("keys", SECRET) for _ in range(100)}) == 100


def test_a_seal_for_one_purpose_serves_no_other() -> None:
    seal = Seal(KEY)
    with pytest.raises(SealBrokenError):
        seal.unseal("signing key", seal.seal("access key", SECRET))


def test_another_key_opens_nothing() -> None:
    with pytest.raises(SealBrokenError):
        Seal(os.urandom(32)).unseal("keys", Seal(KEY).seal("keys", SECRET))


def test_one_changed_bit_anywhere_breaks_it() -> None:
    seal = Seal(KEY)
    sealed = seal.seal("keys", SECRET)
    for place in range(len(sealed)):
        changed = bytearray(sealed)
        changed[place] ^= 1
        with pytest.raises(SealBrokenError):
            seal.unseal("keys", bytes(changed))


@pytest.mark.parametrize("length", [0, 1, 11, 12, 13, 27])
def test_what_is_too_short_to_be_one_is_no_seal(length: int) -> None:
    with pytest.raises(SealBrokenError):
        Seal(KEY).unseal("keys", Seal(KEY).seal("keys", SECRET)[:length])


def test_the_key_is_made_once_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    file = tmp_path / "master.key"
    key = load_or_create_key(file)
    assert len(key) == KEY_BYTES
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert load_or_create_key(file) == key
    assert load_or_create_key(tmp_path / "other.key") != key


@pytest.mark.parametrize("content", [b"", b"short", bytes(33)])
def test_a_file_that_holds_no_key_is_left_alone(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "master.key"
    file.write_bytes(content)
    with pytest.raises(ValueError, match="32 bytes"):
        load_or_create_key(file)
    assert file.read_bytes() == content
