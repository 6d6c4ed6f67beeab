"""Answers the application gave that may be given again without asking it.

The application adds one through the scope extension `estiva.answer` (see `Remember`); the door (door.py) gives
it again to any request for the same target with the same Authorization, for as long as the cache's version says
that nothing has changed.
"""

import functools
import http
import math
import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from storage.blobs.identity import Identity, identity_of

EXTENSION = "estiva.answer"

# Written anew for each response, or computed here from the body.
_PER_RESPONSE = frozenset({b"content-length", b"transfer-encoding", b"date", b"connection", b"x-request-id"})
_BODILESS = frozenset({204, 205, 206, 304})
_FIELDS = re.compile(rb"(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]+: [\t\x20-\x7e\x80-\xff]*\r\n)*")
_ENTRY_OVERHEAD = 600  # bytes of Python objects around an answer, about

Headers = Iterable[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class FileBody:
    """A response body that is a whole file, which is the one of this identity, where one is named."""

    path: str
    size: int
    identity: Identity = b""


class Remember(Protocol):
    """The scope extension `estiva.answer`: the response about to be sent may be given again.

    Call it for a GET or HEAD whose response depends on nothing but target and Authorization: `body` is always
    GET's. `version` is what the cache's version was *before* the facts behind the response were read; `expires`
    is a time of `time.monotonic()`.
    """

    def __call__(
        self, version: int, status: int, headers: Headers, body: bytes | FileBody, *, expires: float = math.inf
    ) -> None: ...


class Answer:
    """One remembered response."""

    __slots__ = ("_identity", "body", "cost", "expires", "file", "head", "length", "recent", "status", "version")

    def __init__(
        self, version: int, status: int, headers: Headers, body: bytes | FileBody, expires: float = math.inf
    ) -> None:
        if not 200 <= status <= 599 or status in _BODILESS:
            raise ValueError(f"a response with status {status} cannot be remembered")
        self.version = version
        self.status = status
        self.expires = expires
        self.recent = False
        if isinstance(body, bytes):
            self.file, self.body, self.length, self._identity = "", body, len(body), b""
        else:
            self.file, self.body, self.length, self._identity = body.path, b"", body.size, body.identity
        self.head = _head(status, headers, self.length)
        self.cost = len(self.head) + len(self.body) + len(self.file) + _ENTRY_OVERHEAD

    def open_file(self) -> int | None:
        """The file, open, or None when it is no longer there as it was."""
        try:
            file = os.open(self.file, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return None
        if identity_of(file) == self._identity if self._identity else os.fstat(file).st_size == self.length:
            return file
        os.close(file)
        return None

    def read_file(self) -> bytes | None:
        """The file's bytes, or None when it is no longer there as it was."""
        file = self.open_file()
        if file is None:
            return None
        try:
            data = os.pread(file, self.length + 1, 0)
        except OSError:
            return None
        finally:
            os.close(file)
        return data if len(data) == self.length else None


class Reply(NamedTuple):
    """A response that an application gave at once."""

    label: str
    """What the observer knows such requests by."""
    answer: Answer
    lasting: bool
    """Whether the answer may be given again, as long as its version is the current one."""


class AnswerCache:
    """A bounded store of answers, each valid only while `version()` is what it was when the answer was made.

    `version` must be cheap, must not raise and returns None when it cannot tell, in which case nothing is
    answered. Used from the event loop's thread only.
    """

    def __init__(
        self,
        version: Callable[[], int | None],
        *,
        max_entries: int = 16_384,
        max_bytes: int = 64 * 1024 * 1024,
        max_body_bytes: int = 256 * 1024,
    ) -> None:
        self._version = version
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._max_body_bytes = max_body_bytes
        self._answers: dict[tuple[bytes, bytes], Answer] = {}
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._answers)

    @property
    def bytes_held(self) -> int:
        """About how much memory the answers take."""
        return self._bytes

    def get(self, target: bytes, authorization: bytes, now: float) -> Answer | None:
        """The answer for this target and Authorization, if it is still valid at `now` (of `time.monotonic()`)."""
        answer = self._answers.get((target, authorization))
        if answer is None:
            return None
        version = self._version()
        if answer.version == version and now < answer.expires:
            answer.recent = True
            return answer
        if version is not None:
            self.drop(target, authorization)
        return None

    def put(self, target: bytes, authorization: bytes, answer: Answer) -> None:
        """Keep an answer, in place of an older one for the same key; large bodies are not kept."""
        self.drop(target, authorization)
        if len(answer.body) > self._max_body_bytes:
            return
        answer.cost += len(target) + len(authorization)
        self._answers[target, authorization] = answer
        self._bytes += answer.cost
        while len(self._answers) > self._max_entries or self._bytes > self._max_bytes:
            self._evict()

    def drop(self, target: bytes, authorization: bytes) -> None:
        """Forget one answer, if it is there."""
        answer = self._answers.pop((target, authorization), None)
        if answer is not None:
            self._bytes -= answer.cost

    def _evict(self) -> None:
        """Drop the oldest answer not used since it last came up here (each is spared once in a row at most)."""
        while True:
            key = next(iter(self._answers))
            answer = self._answers.pop(key)
            if not answer.recent:
                self._bytes -= answer.cost
                return
            answer.recent = False
            self._answers[key] = answer


class Remembering:
    """`Remember` for one request. It does not refer to the request's scope, which refers to it."""

    __slots__ = ("_answers", "_headers", "_target")

    def __init__(self, answers: AnswerCache, target: bytes, headers: Headers) -> None:
        self._answers = answers
        self._target = target
        self._headers = headers

    def __call__(
        self, version: int, status: int, headers: Headers, body: bytes | FileBody, *, expires: float = math.inf
    ) -> None:
        """See `Remember`."""
        authorization = [value for name, value in self._headers if name == b"authorization"]
        if len(authorization) > 1:
            return
        answer = Answer(version, status, headers, body, expires)
        self._answers.put(self._target, authorization[0] if authorization else b"", answer)


def _head(status: int, headers: Headers, length: int) -> bytes:
    """Status line and fields up to where the per-response ones follow."""
    named = [(name.lower(), value) for name, value in headers]
    lines = [b"%s: %s\r\n" % field for field in named if field[0] not in _PER_RESPONSE]
    fields = b"".join(lines)
    # As many ends of lines as lines: with the grammar, no field has smuggled in another.
    if not _FIELDS.fullmatch(fields) or fields.count(b"\n") != len(lines):
        raise ValueError("invalid header field")
    return b"%s%scontent-length: %d\r\n" % (_status_line(status), fields, length)


@functools.cache
def _status_line(status: int) -> bytes:
    try:
        phrase = http.HTTPStatus(status).phrase.encode()
    except ValueError:
        phrase = b""
    return b"HTTP/1.1 %d %s\r\n" % (status, phrase)
