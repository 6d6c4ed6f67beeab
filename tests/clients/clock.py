"""A registry's clock that tests set, so that what lasts minutes ends in the middle of a push."""

import os
from collections.abc import Mapping
from pathlib import Path

from tests.tools import absent


class Clock:
    """The time of day in a process that is started with `settings`; how time passes stays as it is."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "clock"
        self.set(0)

    @property
    def settings(self) -> Mapping[str, str]:
        """Environment variables."""
        found = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
        if not found:
            absent("libfaketime is not installed; scripts/install-tools installs it")
        return {
            "LD_PRELOAD": str(found[0]),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    def set(self, ahead: int) -> None:
        """Make it that many seconds ahead of the real one, at once; behind, if negative."""
        fresh = self._file.with_suffix(".new")
        fresh.write_text(f"{ahead:+d}\n")
        os.replace(fresh, self._file)
