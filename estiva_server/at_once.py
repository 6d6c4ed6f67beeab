"""Asks the registry's API for an answer in the call that brought the request's bytes.

With facts in SQLite and blobs on local disk nothing that a GET does has to be waited for, nor a POST that begins an
upload where the repository is known, so the coroutine that answers it runs to its end when it is driven once: no task,
no messages, no second look at the request. It is the same coroutine that answers every other request; where it does
have to wait, it is dropped, and the request goes that way from its beginning. Kinds of requests that mostly wait are
soon left alone, and tried again now and then.

Dropping it must do no harm. A GET changes nothing. A POST that begins an upload waits for one thing here: that a
repository is created, which no one else does for it. Once begun the creation goes on by itself, and what the same
request then asks for finds the repository or waits behind its creation: it is created once, with one line in the audit
trail. Whether the caller may create it was decided before, and is decided again. An upload itself is begun after the
last wait, so none is left over.
"""

import asyncio
import math
import re
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AbstractContextManager
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope

from estiva_server.http import Answer, FileBody, Reply, SimpleRequest
from registry.api.arriving import ArrivingResponse
from registry.api.files import FileResponse
from registry.api.relaying import HandedOver, PassedOn
from registry.api.repeating import EXTENSION

Answered = Response | FileResponse | ArrivingResponse | PassedOn | HandedOver
Respond = Callable[[Scope, Receive], Coroutine[Any, Any, Answered | None]]

# Nothing in it is encoded or unusual: path and query are the target's own bytes.
_TARGET = re.compile(rb"(/v2/[A-Za-z0-9._~:/-]+/(manifests|blobs|tags|referrers)/[A-Za-z0-9._~:-]+)(?:\?([!-~]*))?")
# Begins an upload as docker does. With a query it may mount, which writes, or bring a blob.
_UPLOADS = re.compile(rb"(/v2/[A-Za-z0-9._~:/-]+/blobs/(uploads)/?)()")
_PATIENCE = 16
_REST = 256
_BODILESS = frozenset({204, 205, 206, 304})


class AtOnce:
    """What `estiva_server.http.AtOnce` asks for. One per process."""

    def __init__(self, respond: Respond, holding_version: Callable[[], AbstractContextManager[None]]) -> None:
        self._respond = respond
        self._holding_version = holding_version
        self._credit: dict[bytes, int] = {}
        """Of each kind of request: how often more it may wait for something before it is left alone; below 1, how many
        are left alone before one is tried."""

    def __call__(self, request: SimpleRequest) -> Reply | None:
        """The answer, None where it is not to be had at once."""
        is_post = request.method == b"POST"
        match = (_UPLOADS if is_post else _TARGET).fullmatch(request.target)
        # A password may have to be checked, which takes a thread.
        if match is None or request.fields.authorization[:6].lower() == b"basic " or self._left_alone(match[2]):
            return None
        path, kind, query = match.groups(b"")
        remembered: list[Answer] = []

        def remember(version: int, status: int, headers: Any, body: Any, *, expires: float = math.inf) -> None:
            remembered.append(Answer(version, status, headers, body, expires))

        scope = _scope(request, path, query)
        scope["extensions"] = {} if is_post else {EXTENSION: remember}
        response = self._driven(kind, self._respond(scope, _no_body))
        if response is None:
            return None
        label = scope["state"].get("route", "other")
        if remembered:
            _let_go(response)
            return Reply(label, remembered[0], lasting=True)
        answer = _answer(response)
        return Reply(label, answer, lasting=False) if answer is not None else None

    def _left_alone(self, kind: bytes) -> bool:
        credit = self._credit.get(kind, _PATIENCE)
        if credit < 1:
            self._credit[kind] = credit + 1
        return credit < 1

    def _driven(self, kind: bytes, answering: Coroutine[Any, Any, Answered | None]) -> Answered | None:
        """The coroutine's result, if it comes to its end without waiting."""
        with self._holding_version():
            try:
                awaited = answering.send(None)
            except StopIteration as done:
                self._credit[kind] = min(_PATIENCE, self._credit.get(kind, _PATIENCE) + 1)
                response: Answered | None = done.value
                return response
        left = self._credit.get(kind, _PATIENCE) - 1
        self._credit[kind] = left or 1 - _REST
        answering.close()
        if isinstance(awaited, asyncio.Future):
            awaited.cancel()
        return None


def _scope(request: SimpleRequest, path: bytes, query: bytes) -> Scope:
    return {
        "type": "http",
        "method": request.method.decode(),
        "scheme": request.scheme,
        "path": path.decode(),
        "raw_path": path,
        "query_string": query,
        "headers": request.fields.all,
        "client": request.client,
        "state": {},
    }


def _no_body() -> Awaitable[Any]:
    raise RuntimeError("a simple request has no body to be received")


def _answer(response: Answered) -> Answer | None:
    """The answer that this response is, where it is one that the connection can give."""
    _let_go(response)
    if isinstance(response, ArrivingResponse | PassedOn | HandedOver):
        return None
    if response.status_code in _BODILESS or (isinstance(response, FileResponse) and response.verify is not None):
        return None
    body: bytes | FileBody
    if isinstance(response, FileResponse):
        body = FileBody(response.file.name, response.length, response.identity)
    else:
        body = bytes(response.body)
    return Answer(0, response.status_code, response.raw_headers, body)


def _let_go(response: Answered) -> None:
    """Close the file that the answer names: it is opened when the answer is given, again and again if need be."""
    if isinstance(response, FileResponse | PassedOn):
        response.file.close()
    elif isinstance(response, HandedOver):
        response.body.close()
