"""Refusals in AWS's words, and the one place where any error becomes one."""

import logging
from typing import Any

from auth.sigv4 import SignatureError
from estiva.errors import (
    BodyTimeout,
    Denied,
    NameUnknown,
    QuotaExceeded,
    RegistryError,
    SizeInvalid,
    StorageFull,
    TooManyRequests,
    Unauthorized,
    Unavailable,
)
from registry.api.body import BodyError
from registry.api.faults import as_registry_error

logger = logging.getLogger("estiva.aws")


class AwsError(Exception):
    """A refusal: `code` is an exception's name in the service's model, or one that all services have.

    `members` are further members of that exception, such as `lastValidByteReceived`.
    """

    def __init__(self, code: str, message: str, status: int = 400, **members: Any) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status
        self.members = members


def invalid_parameter(name: str, constraint: str) -> AwsError:
    """A parameter that is not what it has to be, in ECR's own words."""
    return AwsError(
        "InvalidParameterException", f"Invalid parameter at '{name}' failed to satisfy constraint: '{constraint}'"
    )


_DOCUMENTS = {"ecs": "ecs"}


def not_implemented(service: str, operation: str) -> AwsError:
    """An operation that AWS has and this server has not. 501: clients neither try again nor hide the reason."""
    return AwsError(
        "NotImplementedException",
        f"{service} {operation} is not implemented by this server (see docs/{_DOCUMENTS.get(service, 'ecr')}.md).",
        501,
    )


_SAID = (
    (QuotaExceeded, "LimitExceededException", 400),
    (Denied, "AccessDeniedException", 400),
    (Unauthorized, "UnrecognizedClientException", 400),
    (TooManyRequests, "ThrottlingException", 400),
    (NameUnknown, "RepositoryNotFoundException", 400),
    (BodyTimeout, "RequestTimeoutException", 408),
    (SizeInvalid, "RequestEntityTooLargeException", 413),
    (StorageFull, "ServerException", 507),
    (Unavailable, "ServerException", 503),
)


def as_aws_error(error: Exception) -> AwsError:
    """What the client is told of this error; what only operators may know goes to the log."""
    if isinstance(error, AwsError):
        return error
    if isinstance(error, SignatureError):
        return AwsError(error.code, str(error))
    if isinstance(error, RegistryError | BodyError | OSError):
        refusal = as_registry_error(error)
        for kind, code, status in _SAID:
            if isinstance(refusal, kind):
                return AwsError(code, refusal.text, status)
        if refusal.status < 500:
            return AwsError("InvalidParameterException", refusal.text)
        return AwsError("ServerException", refusal.text, refusal.status)
    logger.exception("unexpected error", exc_info=error)
    return AwsError("ServerException", "internal error", 500)
