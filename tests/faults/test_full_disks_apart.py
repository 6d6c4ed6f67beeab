"""Blobs on one disk and the database on another, and one of the two runs full."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.pushers import Client
from tests.faults.test_full_disk import (
    CONFIGURATION,
    NEW,
    OLD,
    SIZE,
    assert_plain_refusal,
    assert_pulls,
    fill,
    push_blob,
    push_manifest,
)
from tests.faults.verify import dangling, wrong_files
from tests.serving import OPEN, Registry, registry_running
from tests.tools import absent, run

pytestmark = pytest.mark.real


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    """A small file system in memory, there until the block ends."""
    if os.geteuid() != 0:
        absent("a small file system of its own takes root")
    folder.mkdir()
    run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "none", folder])
    try:
        yield
    finally:
        run(["umount", folder])


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    """Its data directory and its blobs are each on a disk of their own, its log on none of them; it holds an image."""
    settings = {**OPEN, "ESTIVA_BLOBS": f"file://{tmp_path}/other"}
    with (
        small_disk(tmp_path / "data"),
        small_disk(tmp_path / "other"),
        registry_running(tmp_path, settings=settings) as running,
    ):
        with Client(running.port) as client:
            for content in (CONFIGURATION, OLD):
                assert push_blob(client, content)[0] == 201
            assert push_manifest(client, OLD, "old")[0] == 201
        yield running


def assert_all_goes_on(registry: Registry, tmp_path: Path) -> None:
    with Client(registry.port) as client:
        assert push_blob(client, NEW)[0] == 201
        assert push_manifest(client, NEW, "new")[0] == 201
        assert_pulls(client, NEW, "new")
        assert_pulls(client, OLD, "old")
        assert dangling(client) == []
    assert wrong_files(tmp_path / "other") == []


def test_a_full_disk_of_blobs_refuses_blobs_and_serves_the_old(registry: Registry, tmp_path: Path) -> None:
    filler = fill(tmp_path / "other")
    with Client(registry.port) as client:
        status, body = push_blob(client, NEW)
        assert_plain_refusal(status, body, tmp_path)
    with Client(registry.port) as client:
        assert_pulls(client, OLD, "old")
        assert dangling(client) == []
    filler.unlink()
    assert_all_goes_on(registry, tmp_path)


def test_a_full_disk_of_the_database_refuses_what_it_cannot_note_and_serves_the_old(
    registry: Registry, tmp_path: Path
) -> None:
    filler, refused = fill(tmp_path / "data"), 0
    for number in range(200):  # the database has some room of its own
        with Client(registry.port) as client:
            content = b"layer %d" % number
            for status, body in (push_blob(client, content), push_manifest(client, OLD, f"tag-{number}")):
                if status != 201:
                    assert_plain_refusal(status, body, tmp_path)
                    refused += 1
    assert refused
    with Client(registry.port) as client:
        assert_pulls(client, OLD, "old")
        assert dangling(client) == []
    filler.unlink()
    assert_all_goes_on(registry, tmp_path)
