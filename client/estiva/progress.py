"""How a transfer is going: what a caller may want to be told."""

from typing import Literal

from estiva.descriptor import Descriptor

Outcome = Literal["done", "exists", "mounted"]


class Progress:
    """Is told how each blob of a push, pull or copy goes; this one does nothing with it.

    Blobs move at the same time, so with `Client` the methods are called from several threads.
    """

    def began(self, blob: Descriptor) -> None:
        """The blob is next: `blob.size` bytes, unless it turns out to be there."""

    def moved(self, blob: Descriptor, count: int) -> None:
        """So many further bytes of it went over; negative where some have to go again."""

    def ended(self, blob: Descriptor, outcome: Outcome) -> None:
        """The blob is where it should be: transferred now, there already, or taken from another repository."""
