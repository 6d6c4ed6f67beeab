"""Back-pressure: below a reserve of free room nothing more is taken in, while pulls, deletes and collections go on."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic

from estiva.errors import StorageFull
from storage.blobs import Room

logger = logging.getLogger("estiva.registry")

GOOD_FOR = 1.0
"""Seconds for which enough room counts as enough; too little is asked about each time, so that room counts at once."""
RETRY_AFTER = 60


@dataclass(frozen=True, slots=True)
class ReserveSize:
    """How much shall stay free: bytes, and a share of the whole; the larger counts."""

    bytes: int = 0
    share: float = 0.0

    @classmethod
    def parse(cls, text: str) -> "ReserveSize":
        """Of `268435456` or `1.5%`; ValueError for anything else, and for 100 % and more."""
        if text.isascii() and text.isdigit():
            return cls(bytes=int(text))
        number, percent, rest = text.partition("%")
        whole, _, fraction = number.partition(".")
        if not percent or rest or not f"{whole}{fraction}".isdigit() or not number.isascii():
            raise ValueError("is neither a number of bytes nor a percentage such as 1%")
        share = float(number) / 100
        if share >= 1:
            raise ValueError("would leave no room for anything")
        return cls(share=share)

    def of(self, total: int) -> int:
        """Bytes to be kept free of so many."""
        return max(self.bytes, int(total * self.share))


class Reserve:
    """Watches the room of a blob store. One per process; any thread may ask."""

    def __init__(
        self, room: Callable[[], Room | None], size: ReserveSize, clock: Callable[[], float] = monotonic
    ) -> None:
        self._room = room
        self._size = size
        self._clock = clock
        self._enough_until = 0.0
        self._short = False

    def require(self) -> None:
        """Return where more may be taken in; StorageFull, and a line in the log at first, where it may not.

        Microseconds on local disk. What comes in within GOOD_FOR seconds of an answer is not seen by it.
        """
        now = self._clock()
        if now < self._enough_until:
            return
        if self.is_short():
            raise StorageFull(
                "storage is nearly full: nothing more is taken in until room is made; pulls go on",
                headers={"Retry-After": str(RETRY_AFTER)},
            )
        self._enough_until = now + GOOD_FOR

    def is_short(self) -> bool:
        """Whether less is free than the reserve, asked now. OSError where the store can't say."""
        room = self._room()
        short = room is not None and room.free < self._size.of(room.total)
        if short != self._short:
            self._short = short
            self._tell(room)
        return short

    def figures(self) -> tuple[int, int] | None:
        """Bytes that are free and bytes to be kept free, asked now; None where there is no limit. OSError."""
        room = self._room()
        return None if room is None else (room.free, self._size.of(room.total))

    def _tell(self, room: Room | None) -> None:
        if self._short and room is not None:
            logger.warning(
                "storage is below its reserve (%d of %d bytes free, %d reserved): pushes are refused with 507",
                *(room.free, room.total, self._size.of(room.total)),
            )
        else:
            logger.info("storage is above its reserve again: pushes are taken")


def anything() -> None:
    """What is asked in place of `Reserve.require` where there is no limit."""
