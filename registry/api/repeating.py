"""Answers that hold until something is committed: If-None-Match, and answers that may be given again.

A connection that can repeat an answer by itself offers the scope extension `estiva.answer`: a callable that takes
the database's version from before the answer was looked up, its status, headers, and body or file. It gives the
answer again only to the same request with the same Authorization, and only while that version is the current one.
"""

from math import inf
from time import monotonic, time
from typing import Any, NamedTuple

from starlette.responses import Response

from estiva.digest import Digest
from registry.api.call import API_VERSION, Call
from registry.api.files import FileResponse
from storage.blobs.identity import Identity

EXTENSION = "estiva.answer"
SIGNED_IN_FOR = 30.0
NOT_SENDABLE = ".not-verified"


class WholeFile(NamedTuple):
    """A body that is a file, whole; if it is no longer the one of this identity, it has to be looked at again."""

    path: str
    size: int
    identity: Identity = b""


def unchanged_by(call: Call, digest: Digest) -> bool:
    """Whether the client has this content already (RFC 9110 section 13.1.2)."""
    header = call.headers.get("if-none-match")
    if header is None:
        return False
    known = {tag.strip().removeprefix("W/").strip('"') for tag in header.split(",")}
    return "*" in known or str(digest) in known


def unchanged(headers: dict[str, str]) -> Response:
    """304, with the headers that the whole answer would have had."""
    kept = {name: value for name, value in headers.items() if name not in ("Content-Length", "Content-Type")}
    return Response(status_code=304, headers=kept)


def repeatable(call: Call, response: Response | FileResponse, at_most: float = inf, sendable: bool = True) -> None:
    """Let the connection give this answer again, to this Authorization, while the database is at the call's version.

    For `at_most` so many seconds. A file that is not `sendable` is only spoken of: who asks for it comes here again.
    """
    remember: Any = (call.scope.get("extensions") or {}).get(EXTENSION)
    if remember is None or call.version is None or not call.lasting or at_most <= 0:
        return
    body = _file(response, sendable) if isinstance(response, FileResponse) else bytes(response.body)
    headers = [*response.raw_headers, API_VERSION, *call.further_headers]
    expires = monotonic() + min(at_most, _good_for(call))
    remember(call.version, response.status_code, headers, body, expires=expires)


def repeatable_head(call: Call, response: Response, size: int, at_most: float = inf) -> None:
    """The same for a HEAD whose body nobody here has: a GET comes here again."""
    remember: Any = (call.scope.get("extensions") or {}).get(EXTENSION)
    if remember is not None and call.version is not None and call.lasting:
        body = WholeFile(NOT_SENDABLE, size)
        headers = [*response.raw_headers, API_VERSION]
        remember(call.version, response.status_code, headers, body, expires=monotonic() + min(at_most, _good_for(call)))


def _file(response: FileResponse, sendable: bool) -> WholeFile:
    """The body; under a name that no file has where it may not be sent, so that a HEAD is answered and a GET is not."""
    path = response.file.name if sendable else response.file.name + NOT_SENDABLE
    return WholeFile(path, response.length, response.identity)


def _good_for(call: Call) -> float:
    """Seconds until the caller has to be looked at again, though nothing has changed: tokens and robots expire."""
    if call.caller.token is not None:
        return call.caller.token.expires - time()
    return inf if call.caller.principal.is_anonymous else SIGNED_IN_FOR
