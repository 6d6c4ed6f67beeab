"""Progress on a terminal: a bar for each layer, with its rate and the time that remains."""

import threading
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    ProgressColumn,
    Task,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.progress import Progress as Display
from rich.text import Text

from estiva.cli.transfers import readable
from estiva.descriptor import Descriptor
from estiva.digest import Digest
from estiva.progress import Outcome, Progress

_SHOWN = 12
_WIDE = 72
"""Columns of a terminal on which all that is said of a blob stands in one line."""
_WIDTH = 16
"""Of a bar: with all that stands beside it, it fits into 80 columns."""
_WORDS: dict[Outcome, str] = {"done": "done", "exists": "is there already", "mounted": "mounted"}


class _Rate(TransferSpeedColumn):
    """In the units of the sizes beside it."""

    def render(self, task: Task) -> Text:
        """Bytes per second, nothing where none have come."""
        speed = task.finished_speed or task.speed
        return Text(f"{readable(int(speed))}/s" if speed else "", style="progress.data.speed")


def _columns() -> list[ProgressColumn]:
    rest = [DownloadColumn(binary_units=True), _Rate(), TimeRemainingColumn(compact=True)]
    return [TextColumn("{task.description}"), BarColumn(_WIDTH), *rest, TextColumn("{task.fields[outcome]}")]


def _few_columns() -> list[ProgressColumn]:
    """What fits into 40 columns, a line for each blob."""
    return [TextColumn("{task.description}"), BarColumn(_WIDTH // 2), TaskProgressColumn(), _Rate()]


class Bars(Progress):
    """Shows how each blob goes; small ones, such as configs, are shown too: they are part of what is waited for."""

    def __init__(self, console: Console | None = None) -> None:
        console = console or Console(stderr=True)
        self._display = Display(*(_columns if console.width >= _WIDE else _few_columns)(), console=console)
        self._tasks: dict[Digest, TaskID] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        self._display.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._display.stop()

    def began(self, blob: Descriptor) -> None:
        """Show a bar for it."""
        self._task(blob)

    def moved(self, blob: Descriptor, count: int) -> None:
        """Move its bar."""
        self._display.update(self._task(blob), advance=count)

    def ended(self, blob: Descriptor, outcome: Outcome) -> None:
        """Say how it ended."""
        self._display.update(self._task(blob), completed=blob.size, outcome=_WORDS[outcome])

    def _task(self, blob: Descriptor) -> TaskID:
        with self._lock:
            if blob.digest not in self._tasks:
                name = blob.digest.hex[:_SHOWN]
                self._tasks[blob.digest] = self._display.add_task(name, total=blob.size, outcome="")
            return self._tasks[blob.digest]
