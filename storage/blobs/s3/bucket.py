"""The one door to boto3's S3: objects of one bucket, and what can go wrong with them in this project's words.

Trouble with the server, after boto3 has tried again with growing pauses, is an OSError. Every method blocks.
"""

import base64
import contextlib
import errno
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from itertools import islice
from time import time
from typing import Any

import boto3  # type: ignore[import-untyped]
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from urllib3.exceptions import HTTPError

from storage.blobs.s3.location import S3Location

TRIES = 6
CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 15.0
ASSEMBLY_SECONDS = 300.0
"""Servers that copy the bytes to put an object together or to copy it answer when they are done."""
CONNECTIONS = 64
DELETED_AT_ONCE = 1000

BROKEN_BODY = (BotoCoreError, HTTPError, OSError)
"""How the reading of an answer's body fails."""

_MISSING = frozenset({"NoSuchKey", "404", "NotFound"})
_CONFLICTS = frozenset({"PreconditionFailed", "412", "ConditionalRequestConflict", "409"})
_FULL = frozenset({"QuotaExceeded", "XMinioStorageFull", "InsufficientStorage", "StorageQuotaExceeded", "507"})


class ObjectMissingError(LookupError):
    """The bucket has no object of that name."""


class ConditionFailedError(RuntimeError):
    """The object is not, or no more, what the request asked for it to be."""


class MultipartMissingError(LookupError):
    """The multipart upload was completed or aborted, or its parts are not those that were named."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """A small object, and when it was written by the server's own clock."""

    body: bytes
    etag: str
    age: float
    """Seconds since it was written; the server counts whole ones."""


@dataclass(frozen=True, slots=True)
class Listed:
    """An object in a listing."""

    name: str
    size: int
    modified: float


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a multipart upload that the server has."""

    number: int
    etag: str
    size: int
    checksum: str | None = None


@dataclass(frozen=True, slots=True)
class Multipart:
    """A multipart upload in a listing."""

    name: str
    id: str
    initiated: float


class Bucket:
    """One bucket. Names are whole object names, prefix included.

    `session` is a `boto3.session.Session`: making one takes most of a second, and several buckets may share it.
    """

    def __init__(self, location: S3Location, session: Any = None) -> None:
        self._name = location.bucket
        self._checksums = location.checksums
        session = session or boto3.session.Session()
        self._client = _client(session, location, ANSWER_SECONDS)
        self._patient = _client(session, location, ASSEMBLY_SECONDS)
        public = location.public_endpoint
        self._public = _client(session, location, ANSWER_SECONDS, endpoint=public) if public else self._client

    def put(self, name: str, body: bytes, *, only_new: bool = False, replacing: str | None = None) -> str:
        """Store an object; its ETag. With a condition, ConditionFailedError where it does not hold (any more)."""
        conditions = {"IfNoneMatch": "*"} if only_new else {"IfMatch": replacing} if replacing else {}
        with _in_our_words("store"):
            answer = self._client.put_object(
                Bucket=self._name, Key=name, Body=body, **_TYPE, **conditions, **self._checksum(body)
            )
        return str(answer["ETag"])

    def fetch(self, name: str) -> Fetched:
        """A small object, whole. ObjectMissingError."""
        for left in reversed(range(TRIES)):
            with _in_our_words("read"):
                answer = self._client.get_object(Bucket=self._name, Key=name)
                try:
                    body = answer["Body"].read()
                    break
                except BROKEN_BODY:  # boto3 tries requests again, but not the reading of an answer's body
                    if not left:
                        raise
        date = answer["ResponseMetadata"]["HTTPHeaders"].get("date")
        now = parsedate_to_datetime(date).timestamp() if date else time()
        return Fetched(body, str(answer["ETag"]), now - answer["LastModified"].timestamp())

    def stream(self, name: str, offset: int = 0, etag: str | None = None) -> tuple[Any, int, str]:
        """The object's bytes from there on, not read yet, with the whole object's size and its ETag.

        With an ETag, ConditionFailedError where the object is another one. ObjectMissingError.
        """
        conditions: dict[str, str] = {"Range": f"bytes={offset}-"} if offset else {}
        if etag:
            conditions["IfMatch"] = etag
        with _in_our_words("read"):
            answer = self._client.get_object(Bucket=self._name, Key=name, **conditions)
        return answer["Body"], int(answer["ContentLength"]) + offset, str(answer["ETag"])

    def size(self, name: str) -> int:
        """The object's length. ObjectMissingError."""
        with _in_our_words("look up"):
            return int(self._client.head_object(Bucket=self._name, Key=name)["ContentLength"])

    def copy(self, source: str, target: str) -> None:
        """Copy an object within the bucket. ObjectMissingError."""
        with _in_our_words("copy"):
            self._patient.copy_object(Bucket=self._name, Key=target, CopySource=self._source(source))

    def delete(self, names: Iterable[str]) -> None:
        """Delete objects, a thousand with one request. Idempotent."""
        remaining = iter(names)
        while some := list(islice(remaining, DELETED_AT_ONCE)):
            with _in_our_words("delete"):
                answer = self._client.delete_objects(
                    Bucket=self._name, Delete={"Objects": [{"Key": name} for name in some], "Quiet": True}
                )
            refused = [error for error in answer.get("Errors", ()) if error.get("Code") not in _MISSING]
            if refused:
                raise OSError(errno.EIO, f"S3 did not delete {len(refused)} objects: {refused[0].get('Code')}")

    def listed(self, prefix: str, after: str = "") -> Iterator[Listed]:
        """The objects below a prefix whose names come after that one, in the order of their bytes, page by page."""
        pages = self._client.get_paginator("list_objects_v2")
        start = {"StartAfter": after} if after else {}
        with _in_our_words("list"):
            for page in pages.paginate(Bucket=self._name, Prefix=prefix, **start):
                for found in page.get("Contents", ()):
                    yield Listed(found["Key"], int(found["Size"]), found["LastModified"].timestamp())

    def begin_multipart(self, name: str) -> str:
        """Begin a multipart upload; its id. Of one whose beginning was repeated unheard, no other is left."""
        algorithm = {"ChecksumAlgorithm": "CRC32"} if self._checksums else {}
        with _in_our_words("begin a multipart upload"):
            answer = self._client.create_multipart_upload(Bucket=self._name, Key=name, **_TYPE, **algorithm)
        begun = str(answer["UploadId"])
        if answer["ResponseMetadata"].get("RetryAttempts"):
            for other in self.multiparts(name):
                if other.name == name and other.id != begun:
                    self.abort_multipart(name, other.id)
        return begun

    def put_part(self, name: str, multipart: str, number: int, body: bytes) -> Part:
        """Upload one part. MultipartMissingError."""
        checksum = self._checksum(body)
        with _in_our_words("store a part"):
            answer = self._client.upload_part(
                Bucket=self._name, Key=name, UploadId=multipart, PartNumber=number, Body=body, **checksum
            )
        return Part(number, str(answer["ETag"]), len(body), checksum.get("ChecksumCRC32"))

    def copy_part(self, name: str, multipart: str, number: int, source: tuple[str, int]) -> Part:
        """Make an object of the bucket (its name and size) a part, without fetching it. MultipartMissingError."""
        with _in_our_words("copy a part"):
            answer = self._patient.upload_part_copy(
                Bucket=self._name, Key=name, UploadId=multipart, PartNumber=number, CopySource=self._source(source[0])
            )
        result = answer["CopyPartResult"]
        return Part(number, str(result["ETag"]), source[1], result.get("ChecksumCRC32"))

    def parts(self, name: str, multipart: str) -> list[Part]:
        """The parts that the server has, in order. MultipartMissingError."""
        pages = self._client.get_paginator("list_parts")
        with _in_our_words("list parts"):
            return [
                Part(int(part["PartNumber"]), str(part["ETag"]), int(part["Size"]), part.get("ChecksumCRC32"))
                for page in pages.paginate(Bucket=self._name, Key=name, UploadId=multipart)
                for part in page.get("Parts", ())
            ]

    def complete_multipart(self, name: str, multipart: str, parts: Sequence[Part]) -> None:
        """Make exactly these parts the object. MultipartMissingError where the server has them no more, or others."""
        listed = [{"PartNumber": part.number, "ETag": part.etag, **_stated(part)} for part in parts]
        with _in_our_words("complete a multipart upload"):
            self._patient.complete_multipart_upload(
                Bucket=self._name, Key=name, UploadId=multipart, MultipartUpload={"Parts": listed}
            )

    def abort_multipart(self, name: str, multipart: str) -> None:
        """Forget a multipart upload and its parts. Idempotent."""
        with contextlib.suppress(MultipartMissingError, ObjectMissingError), _in_our_words("abort a multipart upload"):
            self._client.abort_multipart_upload(Bucket=self._name, Key=name, UploadId=multipart)

    def multiparts(self, prefix: str) -> Iterator[Multipart]:
        """The unfinished multipart uploads of names that begin like that."""
        pages = self._client.get_paginator("list_multipart_uploads")
        with _in_our_words("list multipart uploads"):
            for page in pages.paginate(Bucket=self._name, Prefix=prefix):
                for found in page.get("Uploads", ()):
                    yield Multipart(found["Key"], found["UploadId"], found["Initiated"].timestamp())

    def signed_url(self, name: str, seconds: int) -> str:
        """Where anybody may GET the object for so long. Asks nobody."""
        return self._signed(self._public, name, seconds)

    def own_url(self, name: str, seconds: int) -> str:
        """The same, at the endpoint that this process uses."""
        return self._signed(self._client, name, seconds)

    def _signed(self, client: Any, name: str, seconds: int) -> str:
        url: str = client.generate_presigned_url(
            "get_object", Params={"Bucket": self._name, "Key": name}, ExpiresIn=seconds
        )
        return url

    def _source(self, name: str) -> dict[str, str]:
        return {"Bucket": self._name, "Key": name}

    def _checksum(self, body: bytes) -> dict[str, str]:
        if not self._checksums:
            return {}
        return {"ChecksumCRC32": base64.b64encode(zlib.crc32(body).to_bytes(4, "big")).decode()}


_TYPE: Mapping[str, str] = {"ContentType": "application/octet-stream"}


def _stated(part: Part) -> dict[str, str]:
    return {"ChecksumCRC32": part.checksum} if part.checksum else {}


def _client(session: Any, location: S3Location, seconds: float, endpoint: str | None = None) -> Any:
    """A client that tries again by itself. It signs no bodies: a checksum tells the server what came, TLS hides it."""
    config = Config(
        signature_version="s3v4",
        connect_timeout=CONNECT_SECONDS,
        read_timeout=seconds,
        retries={"mode": "standard", "total_max_attempts": TRIES},
        max_pool_connections=CONNECTIONS,
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        s3={"addressing_style": "path" if location.path_style else "auto", "payload_signing_enabled": False},
    )
    region = location.region or session.region_name or "us-east-1"
    return session.client("s3", region_name=region, endpoint_url=endpoint or location.endpoint, config=config)


@contextlib.contextmanager
def _in_our_words(doing: str) -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        raise _translate(error, doing) from error
    except (BotoCoreError, HTTPError) as error:
        raise OSError(errno.EIO, f"S3 could not {doing}: {type(error).__name__}") from error


def _translate(error: ClientError, doing: str) -> Exception:
    code = str(error.response.get("Error", {}).get("Code", ""))
    status = str(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", ""))
    if code in ("NoSuchUpload", "InvalidPart"):
        return MultipartMissingError(code)
    if code in _MISSING:
        return ObjectMissingError(code)
    if code in _CONFLICTS or status in _CONFLICTS:
        return ConditionFailedError(code)
    number = errno.ENOSPC if code in _FULL or status in _FULL else errno.EIO
    return OSError(number, f"S3 could not {doing}: {status} {code}")
