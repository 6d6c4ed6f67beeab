"""The blobs of a directory in the order of their keys, and what else is in it."""

import os
from collections.abc import Iterator
from pathlib import Path

from estiva.digest import Algorithm
from storage.blobs import BlobEntry
from storage.blobs.directories import FAN_OUT
from storage.blobs.names import is_storage_key


def list_blobs(blobs: Path, after: str) -> Iterator[BlobEntry]:
    """The blobs below that directory after that key; holds the names of one of its 512 directories at a time."""
    for algorithm in sorted(algorithm.value for algorithm in Algorithm):
        for digits in FAN_OUT:
            parent = f"{algorithm}/{digits}"
            if f"{parent}/~" > after:  # "~" is behind every digit: the directory may hold keys after that one
                yield from _list_directory(blobs, parent, after)


def _list_directory(blobs: Path, parent: str, after: str) -> Iterator[BlobEntry]:
    for key in sorted(f"{parent}/{name}" for name in os.listdir(blobs / parent)):
        if key <= after or not is_storage_key(key):
            continue
        try:
            status = os.lstat(blobs / key)
        except FileNotFoundError:
            continue  # deleted meanwhile
        yield BlobEntry(key, status.st_size, status.st_ctime)


def foreign_names(blobs: Path, after: str, until: str) -> Iterator[str]:
    """The names below that directory that are no blob's: after the one, and up to the other where there is one."""
    algorithms = {algorithm.value for algorithm in Algorithm}
    parents = {f"{algorithm}/{digits}" for algorithm in algorithms for digits in FAN_OUT}
    within = [parent for parent in sorted(parents) if f"{parent}/~" > after and (not until or parent <= until)]
    for parent in ["", *sorted(algorithms), *within]:
        for entry in os.listdir(blobs / parent):
            name = f"{parent}/{entry}" if parent else entry
            expected = name in algorithms or name in parents or is_storage_key(name)
            if not expected and name > after and (not until or name <= until):
                yield name
