"""A process that pushes one blob and dies at a given system call; run by test_commit_crash.

    python -m tests.faults.crashing_commit ROOT CALL WHEN HOW

CALL is the name in `os` (for fsync: `fsync_file` or `fsync_directory`), WHEN `before`, `after` or, for a write,
`halfway`; HOW `exit` or `kill`. Ends well, having printed `acknowledged`, when CALL is `nothing`.
"""

import os
import signal
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from estiva.digest import Digest
from storage.blobs.filesystem import FilesystemBlobStore

UPLOAD = "one"
PIECES = [bytes([number]) * 100_000 for number in range(3)]
CONTENT = b"".join(PIECES)


def _die(how: str) -> None:
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    os._exit(9)


def _is_meant(call: str, first: Any) -> bool:
    if not call.startswith("fsync"):
        return True
    return stat.S_ISDIR(os.fstat(first).st_mode) == (call == "fsync_directory")


def die_at(call: str, when: str, how: str) -> None:
    """From now on, that system call is the last thing this process does."""
    name = call.split("_", maxsplit=1)[0]
    original: Callable[..., Any] = getattr(os, name)

    def last(first: Any, *rest: Any) -> Any:
        if not _is_meant(call, first):
            return original(first, *rest)
        if when == "halfway":
            data, *others = rest
            original(first, data[: len(data) // 2], *others)
        elif when == "after":
            original(first, *rest)
        return _die(how)

    setattr(os, name, last)


def main(root: str, call: str, when: str, how: str) -> None:
    """Push, dying on the way."""
    store = FilesystemBlobStore(Path(root))
    store.create_upload(UPLOAD)
    upload = store.open_upload(UPLOAD)
    for piece in PIECES[:-1]:
        upload.write(memoryview(piece))
    if call != "nothing":
        die_at(call, when, how)
    upload.write(memoryview(PIECES[-1]))
    upload.commit(Digest.of(CONTENT))
    sys.stdout.write("acknowledged\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
