"""Responses the connection gives by itself, to what cannot or must not reach the application."""

import http
from collections.abc import Callable, Iterable

ErrorBody = Callable[[int, str], tuple[str, bytes]]
"""Makes a refusal's body from status and reason: its media type and its bytes."""


def plain_text(status: int, reason: str) -> tuple[str, bytes]:
    """The body for whoever has no error format of their own."""
    return "text/plain; charset=utf-8", reason.encode()


class Refusal(Exception):
    """The request cannot be served; the connection closes after saying so."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


def refusal_bytes(refusal: Refusal, error_body: ErrorBody, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The whole response."""
    media_type, body = error_body(refusal.status, refusal.reason)
    lines = [b"HTTP/1.1 %d %s" % (refusal.status, http.HTTPStatus(refusal.status).phrase.encode())]
    lines += [b"%s: %s" % field for field in headers]
    lines += [b"content-type: " + media_type.encode(), b"content-length: %d" % len(body), b"connection: close"]
    return b"\r\n".join([*lines, b"", body])
