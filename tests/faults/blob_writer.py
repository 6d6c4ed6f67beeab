"""A process that pushes blobs and prints each key once it is acknowledged, until it is killed.

    python -m tests.faults.blob_writer ROOT SYNCED COUNT

SYNCED is `everything`, or `nothing` or `files` for what a store would be that leaves syncs out: the controls that
show that a power loss is one. COUNT blobs are pushed, 0 for no end, by four threads; then it waits.
"""

import contextlib
import os
import random
import signal
import stat
import sys
import threading
import uuid
from pathlib import Path
from typing import Any

from estiva.digest import Digest
from storage.blobs.filesystem import FilesystemBlobStore

THREADS = 4
LARGEST = 200_000


def leave_out_syncs(synced: str) -> None:
    """From now on, sync only what is named."""
    sync = os.fsync

    def partial_sync(fd: Any) -> None:
        if synced == "files" and not stat.S_ISDIR(os.fstat(fd).st_mode):
            sync(fd)

    if synced != "everything":
        os.fsync = partial_sync


def push(store: FilesystemBlobStore) -> None:
    """Push one blob of its own content and print its key."""
    content = random.randbytes(random.randrange(1, LARGEST))
    upload_id = str(uuid.uuid4())
    store.create_upload(upload_id)
    with contextlib.closing(store.open_upload(upload_id)) as upload:
        upload.write(memoryview(content))
        key = upload.commit(Digest.of(content)).key
    os.write(sys.stdout.fileno(), f"{key}\n".encode())


def main(root: str, synced: str, count: int) -> None:
    """Push, then wait for the end."""
    store = FilesystemBlobStore(Path(root))
    leave_out_syncs(synced)
    if count:
        for _ in range(count):
            push(store)
        signal.pause()

    def push_on() -> None:
        while True:
            push(store)

    for _ in range(THREADS):
        threading.Thread(target=push_on).start()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
