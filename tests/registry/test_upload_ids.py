import time
import uuid

import pytest

from estiva.digest import Algorithm
from estiva.reference import RepositoryName
from registry.upload_ids import UUID_LENGTH, Repository, UploadIds, first_of, mark_of
from storage.blobs.names import is_upload_id

NAME = RepositoryName("library/hello")
REPOSITORY = Repository(0x1F, NAME)
IDS = UploadIds(b"secret")


@pytest.mark.parametrize("algorithm", list(Algorithm))
def test_an_id_tells_its_algorithm_to_whom_it_was_made_for(algorithm: Algorithm) -> None:
    upload_id = IDS.make(REPOSITORY, "user:ann", algorithm)
    assert IDS.read(upload_id, REPOSITORY, "user:ann") is algorithm
    assert UploadIds(b"secret").read(upload_id, REPOSITORY, "user:ann") is algorithm
    assert mark_of(upload_id) == IDS.mark(REPOSITORY.id)


def test_an_id_is_nothing_to_anybody_else() -> None:
    upload_id = IDS.make(REPOSITORY, "user:ann", Algorithm.SHA256)
    assert IDS.read(upload_id, REPOSITORY, "user:bob") is None
    assert IDS.read(upload_id, REPOSITORY, "") is None
    assert IDS.read(upload_id, REPOSITORY._replace(id=0x2F), "user:ann") is None
    assert IDS.read(upload_id, REPOSITORY._replace(name=RepositoryName("library/other")), "user:ann") is None
    assert IDS.read(upload_id, REPOSITORY._replace(name=RepositoryName("library/hello", "1" * 12)), "user:ann") is None
    assert UploadIds(b"another").read(upload_id, REPOSITORY, "user:ann") is None


def test_an_id_that_was_changed_anywhere_is_none() -> None:
    upload_id = IDS.make(REPOSITORY, "user:ann", Algorithm.SHA256)
    for place, character in enumerate(upload_id):
        for other in {"0", "f", "-", "A", "é"} - {character}:
            changed = upload_id[:place] + other + upload_id[place + 1 :]
            assert IDS.read(changed, REPOSITORY, "user:ann") is None
        assert IDS.read(upload_id[:place], REPOSITORY, "user:ann") is None
    assert IDS.read(upload_id + "0", REPOSITORY, "user:ann") is None
    assert IDS.read(upload_id.upper(), REPOSITORY, "user:ann") is None


@pytest.mark.parametrize("text", ["", "-", "upload", str(uuid.UUID(int=7)), "x" * 5000, "0" * 80])
def test_what_was_never_an_id_belongs_to_no_repository(text: str) -> None:
    assert mark_of(text) is None
    assert IDS.read(text, REPOSITORY, "") is None


def test_ids_are_new_fit_for_every_store_and_begin_with_a_uuid_of_version_7() -> None:
    made = [IDS.make(Repository(2**63 - 1, NAME), "user:ann", Algorithm.SHA512) for _ in range(1000)]
    assert len(set(made)) == len({upload_id[:UUID_LENGTH] for upload_id in made}) == 1000
    for upload_id in made:
        assert is_upload_id(upload_id)
        parsed = uuid.UUID(upload_id[:UUID_LENGTH])
        assert (parsed.version, parsed.variant) == (7, uuid.RFC_4122)


def test_ids_sort_by_the_time_they_were_made_at() -> None:
    before = first_of(time.time() - 0.01)
    upload_id = IDS.make(REPOSITORY, "", Algorithm.SHA256)
    assert before < upload_id < first_of(time.time() + 0.01)
    assert first_of(-5.0) == first_of(0.0) < first_of(1.0) < first_of(2e9) < first_of(4e9)


def test_the_marks_of_repositories_differ_and_say_nothing() -> None:
    marks = {IDS.mark(number) for number in range(1000)}
    assert len(marks) == 1000
    assert UploadIds(b"another").mark(0) not in marks


def test_a_uuid_can_be_completed_for_whom_it_was_made_alone() -> None:
    upload_id = IDS.make(REPOSITORY, "user:ann", Algorithm.SHA256)
    assert IDS.complete(upload_id[:UUID_LENGTH], REPOSITORY, "user:ann") == upload_id
    assert IDS.complete(upload_id[:UUID_LENGTH], REPOSITORY, "user:bob") != upload_id
