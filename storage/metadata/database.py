"""The one seam between facts and the database that holds them.

A piece of work is a generator: it yields statements, gets their rows, and returns its result. It does no I/O of
its own, so the same work runs on SQLite (driven on a connection at hand) and on a server over the network.

SQL is the subset that SQLite and PostgreSQL share, with `:name` parameters. `:now` is the database's own clock,
in seconds since the epoch, and needs no value.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import Executor
from typing import Any, Literal, NamedTuple, Protocol, TypeVar

T = TypeVar("T")
Row = tuple[Any, ...]
Rows = Sequence[Row]


class Statement(NamedTuple):
    """One SQL statement and the values of its parameters; with `many`, the statement runs once for each of those.

    With `lock`, the selected rows are locked until the work ends: UPDATE against everybody else who locks, changes,
    deletes or refers to them, KEY SHARE against those who would delete them. SKIP LOCKED leaves out what others have
    locked. SQLite, which has one writer at a time, needs no such lock.

    With `news`, whoever keeps facts in memory has to hear of the commit also in the process that makes it: see
    `Database.news`.
    """

    sql: str
    parameters: Mapping[str, Any] = {}
    many: Sequence[Mapping[str, Any]] | None = None
    lock: Literal["UPDATE", "UPDATE SKIP LOCKED", "KEY SHARE"] | None = None
    news: bool = False


Work = Generator[Statement, Rows, T]


class ConstraintError(Exception):
    """A foreign key or a unique index refused the work; all of it was rolled back."""


class Database(Protocol):
    """Runs pieces of work. Trouble with the database itself is `estiva.errors.Unavailable` or `StorageFull`."""

    async def read(self, work: Work[T]) -> T:
        """The result of work that only selects."""
        ...

    async def write(self, work: Callable[[], Work[T]], *, durable: bool = True, serializable: bool = True) -> T:
        """The result of work in one transaction, committed when this returns; on any exception nothing is kept.

        The commit survives power loss, unless `durable` is false: then it survives the death of the process only.
        The work comes as if before or after all other work, never in the midst of it. With `serializable` false it
        need not: then it may only rely on what constraints and its own locks hold (decision 0016).
        Work may be run again from its start when the database asks for it. ConstraintError.
        """
        ...

    async def write_after(self, first: Callable[[], None], threads: Executor, work: Callable[[], Work[T]]) -> T:
        """The result of a durable `write` of the work, not serializable, which begins when `first` has returned.

        That runs in one of the threads; what it raises is raised here, and then nothing is written. Both happen to
        their end, whether or not the caller waits for it.
        """
        ...

    def version(self) -> int | None:
        """A number that has changed when any process committed anything since it was last asked for.

        Synchronous and cheap (microseconds); None where no such thing can be had.
        """
        ...

    def news(self) -> int | None:
        """As `version`, but the same number after commits of this process without a statement that is `news`.

        For what is kept of facts that only such statements change. None where no such thing can be had.
        """
        ...

    async def close(self) -> None:
        """Finish what was accepted, then let go of the database: whoever asks from now on gets Unavailable."""
        ...
