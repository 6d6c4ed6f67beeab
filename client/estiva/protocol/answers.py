"""From answers to errors: the classes that the server raises, raised again here."""

import json
from typing import Any

from estiva.errors import (
    BodyTimeout,
    Denied,
    ManifestTooLarge,
    NotFound,
    RegistryError,
    StorageFull,
    TooManyRequests,
    Unauthorized,
    Unavailable,
    Unsupported,
)
from estiva.protocol.steps import Response

_BY_STATUS: dict[int, type[RegistryError]] = {
    error.status: error
    for error in (
        *(BodyTimeout, Denied, ManifestTooLarge, NotFound, StorageFull),
        *(TooManyRequests, Unauthorized, Unavailable, Unsupported),
    )
}


def refusal(response: Response, otherwise: type[RegistryError] | None = None, about: str = "") -> RegistryError:
    """The error in this answer: by its code, else (HEAD has no body) `otherwise`, else by its status.

    A code that the specification does not know stays readable in the message.
    """
    code, message, detail = _first_error(response.body)
    kind = _of_code(code, response.status)
    if kind is None:
        kind = otherwise if otherwise and otherwise.status == response.status else _BY_STATUS.get(response.status)
    said = ": ".join(part for part in (code if code not in RegistryError.by_code else "", message) if part)
    text = said or (None if kind else f"the registry answered {response.status}")
    error = (kind or RegistryError)(text, detail=detail or about or None)
    error.headers = dict(response.headers)
    return error


def expect(
    response: Response, *statuses: int, otherwise: type[RegistryError] | None = None, about: str = ""
) -> Response:
    """The answer, where it has one of these statuses; else its error is raised.

    `about` is the error's detail where the registry gives none.
    """
    if response.status in statuses:
        return response
    raise refusal(response, otherwise, about)


def _of_code(code: str, status: int) -> type[RegistryError] | None:
    kind = RegistryError.by_code.get(code)
    if kind is None or kind.status == status:
        return kind
    return next((narrower for narrower in kind.__subclasses__() if narrower.status == status), kind)


def _first_error(body: bytes) -> tuple[str, str, Any]:
    try:
        error = json.loads(body)["errors"][0]
        return str(error.get("code", "")), str(error.get("message", "")), error.get("detail")
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        return "", "", None
