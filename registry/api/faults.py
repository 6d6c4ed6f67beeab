"""The one place where an error becomes a response of the registry API."""

import errno
import json
import logging
from typing import Any

from starlette.responses import Response

from estiva.errors import BodyTimeout, RegistryError, RequestInvalid, SizeInvalid, StorageFull, Unavailable
from registry.api.body import BodyError, BodyTimedOut, BodyTooLarge

logger = logging.getLogger("estiva.registry")

NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def envelope(code: str, message: str, detail: Any = None) -> bytes:
    """The error document of the specification, with one error in it."""
    error: dict[str, Any] = {"code": code, "message": message}
    if detail is not None:
        error["detail"] = detail
    return json.dumps({"errors": [error]}, separators=(",", ":")).encode()


def as_registry_error(error: Exception) -> RegistryError:
    """The refusal that tells the client of this error; what only operators may know goes to the log."""
    if isinstance(error, RegistryError):
        return error
    if isinstance(error, BodyError):
        return _body_error(error)
    if isinstance(error, OSError):
        # The error's own text names files: it is for the log only.
        logger.error("storage failed: %s", error)
        return StorageFull() if error.errno in NO_ROOM else Unavailable("storage can't serve this just now")
    logger.exception("unexpected error", exc_info=error)
    return RegistryError("internal error")


def response_to(error: Exception) -> Response:
    """The response to a request that ended in this error."""
    refusal = as_registry_error(error)
    return Response(
        envelope(refusal.code, refusal.text, refusal.detail),
        status_code=refusal.status,
        headers=refusal.headers,
        media_type="application/json",
    )


def _body_error(error: BodyError) -> RegistryError:
    if isinstance(error, BodyTimedOut):
        return BodyTimeout()
    if isinstance(error, BodyTooLarge):
        return SizeInvalid("the request body is too large")
    return RequestInvalid("malformed request body")
