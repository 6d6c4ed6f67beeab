"""A stream on its way into an upload: all that is done with it happens in the threads that bring it."""

from collections.abc import Awaitable, Callable
from typing import Protocol

from storage.blobs import Upload

Write = Callable[[memoryview], None]


class Stream(Protocol):
    """A request's body: calls `write` with each piece and, after the last of a whole one, `end`, in worker threads.

    Never two calls at once, and none after it returned or raised. Returns the length.
    """

    def __call__(self, write: Write, end: Callable[[], None]) -> Awaitable[int]: ...


class StreamedUpload:
    """An upload that is opened with its stream's first piece and let go of after the last, with no hop in between."""

    def __init__(self, opened: Callable[[], Upload], writing: Callable[[Upload], Write]) -> None:
        self._opened = opened
        self._writing = writing
        self._write: Write | None = None
        self.upload: Upload | None = None
        """The upload while it is held: after the stream has broken off, somebody else's to let go of."""
        self.offset = 0
        """Where the upload ends, once it has been let go of."""

    def write(self, data: memoryview) -> None:
        """Add a piece. What opening the upload raises, and writing to it."""
        write = self._write or self._begin()[1]
        write(data)

    def end(self) -> None:
        """Let go. What opening an upload that got no piece raises, and closing it."""
        upload = self.upload or self._begin()[0]
        self.offset = upload.offset
        self.upload = None
        upload.close()

    def _begin(self) -> tuple[Upload, Write]:
        upload = self.upload = self._opened()
        write = self._write = self._writing(upload)
        return upload, write
