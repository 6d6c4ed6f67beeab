"""The answer door: answers a simple request in the call that brought its bytes, by memory or by asking at once.

Everything it is not sure of it leaves to the parser and the application, so it may be narrow but never wrong.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import Literal, Protocol

from uvicorn.server import ServerState

from .answers import Answer, AnswerCache, Reply
from .observing import Observer
from .settings import ConnectionSettings
from .simple import Fields, FieldSections, RequestIds, SimpleRequest

_VERSION = b" HTTP/1.1\r\n"

AtOnce = Callable[[SimpleRequest], Reply | None]
"""Asks the application for its answer here and now; None where that would have to wait, or is not for it to say."""


class Visitor(Protocol):
    """What the door needs of a connection."""

    client: tuple[str, int] | None
    scheme: Literal["http", "https"] | None
    server_state: ServerState
    offers_sendfile: bool

    def write_answer(self, head: bytes, body: bytes, close: bool) -> None:
        """Write a whole response."""

    def send_answer(self, head: bytes, file: int, length: int, close: bool, done: Callable[[int], None]) -> None:
        """Send a response whose body is a whole open file, close that, and call `done` with the bytes sent.

        Raises OSError when it cannot begin; the file then stays the caller's.
        """


@dataclass(slots=True)
class _Given:
    """An answer about to be written."""

    request: SimpleRequest
    answer: Answer
    label: str | None
    started: float


class Door:
    """Answers what it can from an AnswerCache, or with what the application says at once."""

    def __init__(
        self, settings: ConnectionSettings, answers: AnswerCache, observer: Observer, at_once: AtOnce | None = None
    ) -> None:
        self._answers = answers
        self._observer = observer
        self._at_once = at_once
        self._admits = settings.admits
        self._inline = settings.inline_file_bytes
        self._longest = settings.target_bytes
        self._get = b"GET " + settings.answer_prefix
        self._head = b"HEAD " + settings.answer_prefix
        self._post = b"POST " + settings.answer_prefix
        self._sections = FieldSections()
        self._ids = RequestIds()
        self._fields: list[tuple[bytes, bytes]] | None = None
        self._tail = b""

    def answer(self, visitor: Visitor, data: bytes) -> bool:
        """Answer `data` if it is exactly one simple request whose answer is remembered, or can be had at once."""
        started = monotonic()
        if data.startswith(self._get):
            start = 4
        elif data.startswith(self._head):
            start = 5
        else:
            return data.startswith(self._post) and self._answer_post(visitor, data, started)
        end = data.find(_VERSION, start, start + self._longest)
        if end < 0:
            return False
        fields = self._sections.recognise(data[end + 9 :])
        if fields is None or fields.says_empty:
            return False
        target = data[start:end]
        answer = self._answers.get(target, fields.authorization, started)
        if answer is None and self._at_once is None:
            return False
        request = self._request(visitor, data[: start - 1], target, fields)
        if answer is not None:
            admitted = self._admits is None or self._admits(request)
            return admitted and self._give(visitor, _Given(request, answer, None, started))
        given = self._ask(request, started)
        return given is not None and self._give(visitor, given)

    def _answer_post(self, visitor: Visitor, data: bytes, started: float) -> bool:
        """Answer a POST without a body, which is a deed: what it was answered is neither remembered nor looked up."""
        # Who posts a body mostly sends some of it along: that is no section to be known again.
        end = data.find(_VERSION, 5, 5 + self._longest) if data.endswith(b"\r\n\r\n") else -1
        if end < 0 or self._at_once is None:
            return False
        fields = self._sections.recognise(data[end + 9 :])
        if fields is None or not fields.says_empty:
            return False
        given = self._ask(self._request(visitor, data[:4], data[5:end], fields), started)
        return given is not None and self._give(visitor, given)

    def _request(self, visitor: Visitor, method: bytes, target: bytes, fields: Fields) -> SimpleRequest:
        request = SimpleRequest(method, target, fields, self._ids.next())
        request.client = visitor.client
        request.scheme = visitor.scheme or "http"
        return request

    def _ask(self, request: SimpleRequest, started: float) -> _Given | None:
        """What the application says at once, remembered where that may be."""
        reply = self._at_once(request) if self._at_once is not None else None
        if reply is None:
            return None
        if reply.lasting and request.method != b"POST":
            self._answers.put(request.target, request.fields.authorization, reply.answer)
        return _Given(request, reply.answer, reply.label, started)

    def _give(self, visitor: Visitor, given: _Given) -> bool:
        request, answer = given.request, given.answer
        body = b""
        if request.method != b"HEAD":
            if not answer.file:
                body = answer.body
            elif answer.length <= self._inline:
                read = answer.read_file()
                if read is None:
                    self._answers.drop(request.target, request.fields.authorization)
                    return False
                body = read
            else:
                return self._send(visitor, given)
        visitor.write_answer(self._response_head(visitor, request, answer), body, request.fields.close)
        self._observer.answered(request, given.label, answer.status, len(body), monotonic() - given.started)
        return True

    def _send(self, visitor: Visitor, given: _Given) -> bool:
        request, answer = given.request, given.answer
        if not visitor.offers_sendfile:
            return False
        file = answer.open_file()
        if file is None:
            self._answers.drop(request.target, request.fields.authorization)
            return False
        head = self._response_head(visitor, request, answer)

        def sent(count: int) -> None:
            self._observer.answered(request, given.label, answer.status, count, monotonic() - given.started)

        try:
            visitor.send_answer(head, file, answer.length, request.fields.close, sent)
        except OSError:  # no descriptor left
            os.close(file)
            return False
        return True

    def _response_head(self, visitor: Visitor, request: SimpleRequest, answer: Answer) -> bytes:
        fields = visitor.server_state.default_headers  # a new list each second, with the Date of that second
        if fields is not self._fields:
            self._fields = fields
            self._tail = b"".join(b"%s: %s\r\n" % field for field in fields) + b"x-request-id: "
        end = b"\r\nconnection: close\r\n\r\n" if request.fields.close else b"\r\n\r\n"
        return b"".join((answer.head, self._tail, request.id, end))
