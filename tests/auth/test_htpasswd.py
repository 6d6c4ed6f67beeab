import os
from pathlib import Path

import bcrypt
import pytest

from auth.htpasswd import Htpasswd, HtpasswdError, parse
from auth.principals import Kind, Principal
from estiva.errors import Unauthorized
from tests.auth.parts import OPERATOR, PASSWORD, counting, process_on


def entry(name: str, password: str = PASSWORD) -> str:
    return f"{name}:{bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode()}\n"


def replace(file: Path, text: str) -> None:
    """Put another file in its place, as careful editors do."""
    other = file.with_name("new")
    other.write_text(text)
    os.replace(other, file)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "htpasswd"
    file.write_text(entry("alice") + "# a comment\n\n" + entry("Bob"))
    return file


def test_bcrypt_entries_are_read_and_comments_are_not(file: Path) -> None:
    assert sorted(parse(file.read_text())) == ["Bob", "alice"]


@pytest.mark.parametrize(
    "line", ["alice", "alice:", ":$2y$05$x", "alice:{SHA}abc", "alice:$apr1$abc$def", "alice:plain"]
)
def test_anything_else_is_refused_by_its_line(line: str) -> None:
    with pytest.raises(HtpasswdError, match="line 2"):
        parse(f"# users\n{line}\n")


def test_a_file_that_is_absent_or_broken_at_the_start_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(HtpasswdError):
        Htpasswd(tmp_path / "absent")
    (tmp_path / "broken").write_bytes(b"\xff\xfe")
    with pytest.raises(HtpasswdError):
        Htpasswd(tmp_path / "broken")


def test_what_is_added_changed_and_removed_counts_without_a_restart(file: Path) -> None:
    users = Htpasswd(file)
    first = users.hash_of("alice")
    replace(file, entry("alice", "another one") + entry("carol"))
    assert users.hash_of("alice") not in (None, first)
    assert users.hash_of("carol") is not None
    assert users.hash_of("Bob") is None


@pytest.mark.parametrize("text", ["alice\n", None])
def test_while_the_file_is_broken_the_last_good_one_counts(file: Path, text: str | None) -> None:
    users = Htpasswd(file)
    known = users.hash_of("alice")
    if text is None:
        file.unlink()
    else:
        replace(file, text)
    assert users.hash_of("alice") == known
    replace(file, entry("carol"))
    assert users.hash_of("alice") is None


def test_a_change_that_leaves_size_and_times_as_they_were_is_seen_in_a_young_file(file: Path) -> None:
    users = Htpasswd(file)
    status, first = file.stat(), users.hash_of("alice")
    file.write_text(file.read_text().replace("Bob", "Eve"))  # in place: as long as before, perhaps in the same tick
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert users.hash_of("Bob") is None
    assert users.hash_of("Eve") is not None
    assert users.hash_of("alice") == first


async def test_a_right_password_is_checked_once_while_its_entry_stays_as_it_is(file: Path, database_url: str) -> None:
    async with process_on(database_url, htpasswd=file) as parts:
        checked = counting(parts.credentials)
        for _ in range(5):
            await parts.sign_in("alice")
        assert checked() == 1
        file.write_text(file.read_text() + entry("carol"))
        await parts.sign_in("alice")
        assert checked() == 1  # another's entry is no reason
        file.write_text(entry("alice", "another one"))
        with pytest.raises(Unauthorized):
            await parts.sign_in("alice")
        await parts.sign_in("alice", "another one")
        file.write_text(entry("carol"))
        with pytest.raises(Unauthorized):
            await parts.sign_in("alice", "another one")
        assert checked() == 4


async def test_its_users_come_in_with_the_policies_of_the_file(file: Path, database_url: str) -> None:
    async with process_on(database_url, htpasswd=file) as parts:
        alice = await parts.sign_in("alice")
        assert alice == Principal(Kind.USER, "alice", None, "htpasswd")
        assert await parts.may(alice, "ecr:BatchGetImage", "a")
        assert not await parts.may(alice, "ecr:PutImage", "a")
        for name, secret in (("alice", "wrong"), ("alice", ""), ("carol", PASSWORD), ("bob", PASSWORD)):
            with pytest.raises(Unauthorized):
                await parts.sign_in(name, secret)


async def test_a_user_taken_out_of_the_file_is_out_at_once(file: Path, database_url: str) -> None:
    async with process_on(database_url, htpasswd=file) as parts:
        await parts.sign_in("alice")
        await parts.sign_in("alice")
        replace(file, entry("carol"))
        with pytest.raises(Unauthorized):
            await parts.sign_in("alice")
        await parts.sign_in("carol")


async def test_a_stored_user_of_the_same_name_comes_first_also_when_shut_out(file: Path, database_url: str) -> None:
    async with process_on(database_url, htpasswd=file) as parts:
        await parts.identities.create_user(OPERATOR, "alice", "stored password")
        assert (await parts.sign_in("alice", "stored password")).trust is None
        with pytest.raises(Unauthorized):
            await parts.sign_in("alice", PASSWORD)
        await parts.identities.set_disabled(OPERATOR, "user", "alice", disabled=True)
        for secret in (PASSWORD, "stored password"):
            with pytest.raises(Unauthorized):
                await parts.sign_in("alice", secret)
