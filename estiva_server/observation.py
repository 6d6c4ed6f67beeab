"""Sees every request once: gives it an id, counts it, logs it. Plain ASGI, plus what connections answer alone."""

import itertools
import re
import secrets
from time import monotonic

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from estiva_server.http.observing import Observer
from estiva_server.http.simple import SimpleRequest
from estiva_server.logs import AccessEntry, AccessLog
from estiva_server.metrics import Tallies
from registry.api.passing import EXTENSION as PASSING

# Repeated answers are found by their target alone; these are the only routes that offer any.
_MANIFEST = b"/manifests/"
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
_SENDING = frozenset({"http.response.body", "http.response.zerocopysend", "http.response.pathsend"})


class Observation(Observer):
    """What one process saw: its tallies, and its access log where it keeps one."""

    def __init__(self, tallies: Tallies, log: AccessLog | None) -> None:
        self._tallies = tallies
        self._log = log

    def answered(self, request: SimpleRequest, label: str | None, status: int, sent: int, seconds: float) -> None:
        """See `Observer.answered`."""
        method = request.method.decode()
        if label is None:
            label = "manifest" if _MANIFEST in request.target else "blob"
            self._tallies.repeated += 1
        self._tallies.request(method, label, status, seconds, sent)
        if self._log is not None:
            client = request.client[0] if request.client else ""
            agent = request.fields.get(b"user-agent")
            entry = AccessEntry(request.id.decode(), client, method, request.target, status, sent, seconds, agent)
            self._log.write(entry)

    def refused(self, status: int, client: tuple[str, int] | None) -> None:
        """See `Observer.refused`."""
        self._tallies.refuse(status)

    def finished(self, scope: Scope, request_id: str, status: int, sent: int, seconds: float) -> None:
        """Count and log a request that the application answered (status 0: its client had left)."""
        self._tallies.request(scope["method"], scope["state"].get("route", "other"), status, seconds, sent)
        if self._log is not None:
            client = scope["client"][0] if scope.get("client") else ""
            agent = next((value for name, value in scope["headers"] if name == b"user-agent"), b"")
            target = scope.get("raw_path", b"")
            self._log.write(AccessEntry(request_id, client, scope["method"], target, status, sent, seconds, agent))


class ObservedApp:
    """Wraps an application so that every request of it is observed and carries an X-Request-Id."""

    def __init__(self, app: ASGIApp, observation: Observation) -> None:
        self._app = app
        self._observation = observation
        self._prefix = secrets.token_hex(6)
        self._counter = itertools.count(1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application (ASGI)."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = _Request(scope, send, self._request_id(scope))
        try:
            await self._app(scope, receive, request.send)
        finally:
            self._observation.finished(scope, request.id, request.status, request.sent, monotonic() - request.started)

    def _request_id(self, scope: Scope) -> str:
        """The client's own id where it is a sensible one, so that a request can be followed through proxies."""
        for name, value in scope["headers"]:
            if name == b"x-request-id":
                text: str = value.decode("latin-1")
                if _REQUEST_ID.fullmatch(text):
                    return text
        return f"{self._prefix}-{next(self._counter):x}"


class _Request:
    """A request on its way: what is sent in answer passes through here."""

    __slots__ = ("_bodiless", "_send", "id", "sent", "started", "status")

    def __init__(self, scope: Scope, send: Send, request_id: str) -> None:
        scope.setdefault("state", {})["request_id"] = request_id
        self.id = request_id
        self.status = 0
        self.sent = 0
        self.started = monotonic()
        self._bodiless = scope["method"] == "HEAD"  # endpoints answer it like GET; the server leaves the body out
        self._send = send

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"] = [*message.get("headers", ()), (b"x-request-id", self.id.encode())]
        elif message["type"] in _SENDING and not self._bodiless:
            self.sent += message.get("count") or len(message.get("body", b""))
        await self._send(message)
        if message["type"] == PASSING:
            self.sent += message["count"]  # which is now what was sent
