"""Image ids: a digest, a tag, or both."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from estiva.digest import Digest
from estiva.errors import DigestInvalid, ManifestInvalid
from estiva.reference import Reference, Tag

Failure = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ImageId:
    """Which image is meant; `fault` says why none can be, in the form of a failure."""

    given: Mapping[str, str]
    digest: Digest | None = None
    tag: Tag | None = None
    fault: Failure | None = None

    @property
    def text(self) -> str:
        """The id as ECR's messages write it."""
        digest, tag = self.given.get("imageDigest", "null"), self.given.get("imageTag", "null")
        return f"{{imageDigest:'{digest[:200]}', imageTag:'{tag[:300]}'}}"

    def of(self, digest: str) -> Reference:
        """The digest of the image that was found for this id."""
        return self.digest or Digest.parse(digest)


def parse_ids(given: Sequence[Mapping[str, str]]) -> Iterator[ImageId]:
    """The ids, each once."""
    seen = set()
    for entry in given:
        key = (entry.get("imageDigest"), entry.get("imageTag"))
        if key not in seen:
            seen.add(key)
            yield _parse(entry)


def _parse(entry: Mapping[str, str]) -> ImageId:
    if "imageDigest" not in entry and "imageTag" not in entry:
        return ImageId(
            entry,
            fault=failure(
                entry, "MissingDigestAndTag", "Invalid request parameters: both tag and digest cannot be null"
            ),
        )
    try:
        digest = Digest.parse(entry["imageDigest"]) if "imageDigest" in entry else None
    except DigestInvalid:
        reason = "Invalid request parameters: image digest should satisfy the regex '[a-zA-Z0-9-_+.]+:[a-fA-F0-9]+'"
        return ImageId(entry, fault=failure(entry, "InvalidImageDigest", reason))
    try:
        tag = Tag.parse(entry["imageTag"]) if "imageTag" in entry else None
    except ManifestInvalid:
        return ImageId(entry, fault=failure(entry, "InvalidImageTag", "Invalid request parameters: no image tag"))
    return ImageId(entry, digest, tag)


def failure(given: Mapping[str, str], code: str, reason: str) -> Failure:
    """Why one of several images could not be had."""
    return {"imageId": dict(given), "failureCode": code, "failureReason": reason}
