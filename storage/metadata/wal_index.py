"""Noticing commits by looking at memory: the header of SQLite's WAL index, which every process has mapped.

SQLite itself decides by these bytes whether what it knows of the database is still right, so they tell exactly what
`PRAGMA data_version` tells, without its four or more system calls (https://www.sqlite.org/walformat.html, 2.1;
decision 0019).
"""

import ctypes
import os
import struct
from pathlib import Path

_MAPS = Path("/proc/self/maps")
_COPY = 48  # bytes of the header; it is there twice, and a commit writes the second copy first
_VERSION = 3007000
_CHANGE = struct.Struct("=I")


class WalIndexHeader:
    """The header at an address, which has to stay mapped for as long as anybody asks."""

    def __init__(self, address: int) -> None:
        self._copies = (ctypes.c_char * (2 * _COPY)).from_address(address)
        self._seen = b""
        self._number = 0

    def is_known(self) -> bool:
        """Whether this is a header as SQLite has written it since 3.7.0, in use."""
        raw = self._copies.raw
        version, initialised = struct.unpack_from("=I", raw)[0], raw[12]
        return bool(version == _VERSION and initialised == 1 and raw[:_COPY] == raw[_COPY:])

    def number(self) -> int:
        """A number that is another one after every commit, whoever made it.

        A commit was promised to somebody only after both copies were written, so two copies that are as they were
        before say that no promise has been made since. Where the copies differ, somebody is at it, or died at it,
        and nothing is promised: every look then gives a new number.
        """
        raw = self._copies.raw
        if raw != self._seen:
            self._number += 1
            self._seen = raw if raw[:_COPY] == raw[_COPY:] else b""
        return self._number

    def change(self) -> int | None:
        """SQLite's own count of commits (`iChange`), one more with each; None while somebody is at it.

        It begins anew where the log is recovered after a crash, and is 32 bits long.
        """
        raw = self._copies.raw
        return _CHANGE.unpack_from(raw, 8)[0] if raw[:_COPY] == raw[_COPY:] else None


def find_header(database: Path) -> WalIndexHeader | None:
    """The header that this process has mapped for an open connection to `database`; None where there is none.

    Found in the list of mappings, and not by opening the file: closing it again would take away every lock that SQLite
    holds on it in this process (https://www.sqlite.org/howtocorrupt.html, 2.2). The mapping stays until the last
    connection of this process to that database is closed.
    """
    name = os.fsencode(f"{os.path.realpath(database)}-shm")
    try:
        lines = _MAPS.read_bytes().splitlines()
    except OSError:
        return None
    found = [line for line in lines if line.endswith(name) and _is_begin(line.split(maxsplit=5), name)]
    if len(found) != 1:  # none, or also somebody else's, which may go away earlier than ours
        return None
    header = WalIndexHeader(int(found[0].split(b"-", 1)[0], 16))
    return header if header.is_known() else None


def _is_begin(mapping: list[bytes], name: bytes) -> bool:
    """Whether it is the shared mapping of the beginning of the file `name`."""
    _, rights, offset, _, _, path = mapping
    return path == name and rights.startswith(b"r") and rights.endswith(b"s") and int(offset, 16) == 0
