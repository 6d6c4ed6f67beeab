"""What can go wrong, one class per error code of the OCI distribution specification.

The server raises these and one function turns them into the JSON envelope; a client raises the same
classes from that JSON. The names and default messages follow the table "Error Codes" of the specification.
"""

from collections.abc import Mapping
from typing import Any, ClassVar


class RegistryError(Exception):
    """A refusal in the protocol's own words: `code` and `status` are what goes on the wire.

    `detail` is any JSON value that helps the caller; it never holds a path, a secret or a traceback.
    `headers` are further response headers that the refusal demands, such as Retry-After.
    """

    code: ClassVar[str] = "UNKNOWN"
    status: ClassVar[int] = 500
    message: ClassVar[str] = "unknown error"
    by_code: ClassVar[dict[str, type["RegistryError"]]] = {}

    def __init__(
        self, message: str | None = None, *, detail: Any = None, headers: Mapping[str, str] | None = None
    ) -> None:
        self.text = message or self.message
        self.detail = detail
        self.headers: dict[str, str] = dict(headers or {})
        super().__init__(self.text)

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        # A subclass that narrows the status keeps the code of its parent, which stays the one found by code.
        RegistryError.by_code.setdefault(cls.code, cls)


class BlobUnknown(RegistryError):
    """The blob is not in this repository."""

    code, status, message = "BLOB_UNKNOWN", 404, "blob unknown to registry"


class BlobUploadInvalid(RegistryError):
    """The upload can't go on like this."""

    code, status, message = "BLOB_UPLOAD_INVALID", 400, "blob upload invalid"


class BlobUploadOutOfOrder(BlobUploadInvalid):
    """The chunk does not start where the upload ends; `headers` tell where it does."""

    status, message = 416, "chunk out of order"


class BlobUploadUnknown(RegistryError):
    """No such upload in this repository: cancelled, expired, finished or never begun."""

    code, status, message = "BLOB_UPLOAD_UNKNOWN", 404, "blob upload unknown to registry"


class DigestInvalid(RegistryError):
    """The digest is malformed, or the content does not have it."""

    code, status, message = "DIGEST_INVALID", 400, "provided digest did not match uploaded content"


class ManifestBlobUnknown(RegistryError):
    """The manifest refers to a blob or manifest that is not in this repository; `detail` names it."""

    code, status = "MANIFEST_BLOB_UNKNOWN", 400
    message = "manifest references a manifest or blob unknown to registry"


class ManifestInvalid(RegistryError):
    """The manifest is not one: JSON, media type or structure."""

    code, status, message = "MANIFEST_INVALID", 400, "manifest invalid"


class ManifestTooLarge(ManifestInvalid):
    """The manifest is larger than this registry takes."""

    status, message = 413, "manifest too large"


class ManifestUnknown(RegistryError):
    """No manifest of that tag or digest in this repository."""

    code, status, message = "MANIFEST_UNKNOWN", 404, "manifest unknown to registry"


class NameInvalid(RegistryError):
    """The repository's name, or a tag's, breaks the grammar."""

    code, status, message = "NAME_INVALID", 400, "invalid repository name"


class NameUnknown(RegistryError):
    """No such repository."""

    code, status, message = "NAME_UNKNOWN", 404, "repository name not known to registry"


class SizeInvalid(RegistryError):
    """The content is not as long as it was said to be."""

    code, status, message = "SIZE_INVALID", 400, "provided length did not match content length"


class RangeNotSatisfiable(SizeInvalid):
    """The asked range lies outside the content; `headers` hold its length."""

    status, message = 416, "requested range not satisfiable"


class Unauthorized(RegistryError):
    """Nobody is known to ask, or with a token that is not enough; `headers` hold the challenge."""

    code, status, message = "UNAUTHORIZED", 401, "authentication required"


class Denied(RegistryError):
    """Somebody known asks for something that policy denies."""

    code, status, message = "DENIED", 403, "requested access to the resource is denied"


class QuotaExceeded(Denied):
    """The content would be more than the repository, or the account, may hold; `detail` tells the figures in bytes."""

    message = "the quota is exceeded"


class TagImmutable(Denied):
    """The tag is another manifest's, and the repository lets it not move."""

    status, message = 400, "the tag is immutable"


class Unsupported(RegistryError):
    """The operation is not one that this resource has."""

    code, status, message = "UNSUPPORTED", 405, "the operation is unsupported"


class RequestInvalid(Unsupported):
    """A header or query value that no endpoint can take."""

    status, message = 400, "malformed request"


class NotFound(Unsupported):
    """No endpoint has this path."""

    status, message = 404, "no such endpoint"


class StillReferenced(Denied):
    """The content can't go while something else refers to it; `detail` names what does."""

    status, message = 409, "content is still referenced"


class ImageInUse(StillReferenced):
    """A running task or a service uses the image; `detail` names which."""

    message = "the image is in use"


class TooManyRequests(RegistryError):
    """Come back after the Retry-After in `headers`."""

    code, status, message = "TOOMANYREQUESTS", 429, "too many requests"


class BodyTimeout(RegistryError):
    """The request's body came too slowly, or stopped coming."""

    code, status, message = "REQUEST_TIMEOUT", 408, "the request body took too long to arrive"


class Unavailable(RegistryError):
    """The registry can't serve this just now; nothing was changed. Retry-After says when to come back."""

    code, status, message = "UNAVAILABLE", 503, "registry temporarily unavailable"

    def __init__(self, message: str | None = None, *, detail: Any = None, retry_after: int = 2) -> None:
        super().__init__(message, detail=detail, headers={"Retry-After": str(retry_after)})


class StorageFull(RegistryError):
    """There is no room for more; what is stored stays readable."""

    code, status, message = "INSUFFICIENT_STORAGE", 507, "no space left for new content"
