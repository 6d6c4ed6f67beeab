"""What tests of a filesystem store have in common: some content, and how it comes there."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from estiva.digest import Digest
from storage.blobs import StoredBlob
from storage.blobs.filesystem import FilesystemBlobStore

CONTENT = b"sixteen tons of cargo, and what do you get"
DIGEST = Digest.of(CONTENT)
NOBODY = 65534


def begin(store: FilesystemBlobStore, content: bytes = CONTENT) -> None:
    store.create_upload("one")
    with contextlib.closing(store.open_upload("one")) as upload:
        upload.write(memoryview(content))


def commit(store: FilesystemBlobStore, digest: Digest = DIGEST) -> StoredBlob:
    with contextlib.closing(store.open_upload("one")) as upload:
        return upload.commit(digest)


def files_below(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if not path.is_dir())


@contextlib.contextmanager
def unprivileged_directory() -> Iterator[Path]:
    """A directory of somebody to whom file modes apply, who also runs the block: root is above them."""
    user = os.geteuid()
    with tempfile.TemporaryDirectory() as folder:
        if user == 0:
            os.chown(folder, NOBODY, -1)
            os.seteuid(NOBODY)
        try:
            yield Path(folder)
        finally:
            os.seteuid(user)
