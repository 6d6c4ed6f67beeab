"""How much of request bodies may be in memory at once."""

from estiva.errors import Unavailable

PER_REQUEST = 64 * 1024
"""What each request may hold without asking: about what its connection's buffers hold anyway."""
ALL = 128 * 1024 * 1024


class Room:
    """A number of bytes that the requests of one process share. Used from the event loop's thread only."""

    def __init__(self, size: int = ALL) -> None:
        self._left = size

    def enter(self) -> "Place":
        """A place for one request's body, empty yet."""
        return Place(self)

    def take(self, size: int) -> None:
        """Take so much of what is left; Unavailable where that is too little."""
        if size > self._left:
            raise Unavailable("too many large requests at once")
        self._left -= size

    def give(self, size: int) -> None:
        """Give so much back."""
        self._left += size


class Place:
    """What one request holds of a room."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._held = 0

    def hold(self, size: int) -> None:
        """Hold `size` bytes in all, if that is more than before; Unavailable where there is no room for them."""
        beyond = size - PER_REQUEST - self._held
        if beyond > 0:
            self._room.take(beyond)
            self._held += beyond

    def leave(self) -> None:
        """Give everything back. Idempotent."""
        self._room.give(self._held)
        self._held = 0
