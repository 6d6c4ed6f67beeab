"""A filesystem store in a folder of its own."""

from pathlib import Path

import pytest

from storage.blobs.filesystem import FilesystemBlobStore


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "data" / "blobs"


@pytest.fixture
def store(root: Path) -> FilesystemBlobStore:
    return FilesystemBlobStore(root)
