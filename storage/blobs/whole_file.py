"""A blob that is here whole before anything is written: from its bytes to its name on local disk in few steps.

An upload has to be found, locked and let go of, because others may go on with it; nobody ever hears of this file before
it is a blob. Each step less is one time less that a thread gives up the interpreter's lock and waits to get it back:
that is what a small push mostly waits for.
"""

import contextlib
import os

from estiva.digest import Digest
from storage.blobs import DigestMismatchError, StoredBlob
from storage.blobs.names import new_storage_key
from storage.blobs.writing import write_all
from storage.durable import sync_entry

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW


def store_whole_file(uploads: str, blobs: str, digest: Digest, content: bytes) -> StoredBlob:
    """Make the content a blob: verified, and durable when this returns. DigestMismatchError, OSError.

    The order is that of `FileUpload.commit`: content on disk, then its name, then the name on disk. What a process
    leaves that dies before the name is a file among the uploads, that no fact names, to be purged with them.
    """
    if Digest.of(content, digest.algorithm) != digest:
        raise DigestMismatchError(str(digest))
    key = new_storage_key(digest)
    # The generation is as unguessable as an upload's id, and as new.
    path, target = f"{uploads}/{key.rpartition('.')[2]}", f"{blobs}/{key}"
    descriptor = os.open(path, _NEW, 0o444)
    try:
        write_all(descriptor, memoryview(content), 0)
        os.fsync(descriptor)
        os.rename(path, target)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        raise
    finally:
        os.close(descriptor)
    sync_entry(target)
    return StoredBlob(key, len(content))
