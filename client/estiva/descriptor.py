"""The descriptor: a typed pointer to content (OCI image-spec descriptor.md)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from estiva.digest import Digest
from estiva.errors import DigestInvalid, ManifestInvalid


@dataclass(frozen=True, slots=True)
class Descriptor:
    """What a manifest says of something it refers to."""

    media_type: str
    digest: Digest
    size: int
    artifact_type: str | None = None
    annotations: Mapping[str, str] = field(default_factory=dict)
    urls: tuple[str, ...] = ()

    @classmethod
    def parse(cls, value: Any, where: str) -> Self:
        """The descriptor in this JSON value; ManifestInvalid, naming `where`, when it is none."""
        if not isinstance(value, dict):
            raise ManifestInvalid(f"{where} is not a descriptor")
        media_type, size = value.get("mediaType"), value.get("size")
        if not isinstance(media_type, str) or not media_type:
            raise ManifestInvalid(f"{where} has no mediaType")
        if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size < 1 << 63:
            raise ManifestInvalid(f"{where} has no valid size")
        return cls(
            media_type,
            _digest(value.get("digest"), where),
            size,
            _artifact_type(value.get("artifactType"), where),
            string_map(value.get("annotations"), f"{where}.annotations"),
            _urls(value.get("urls"), where),
        )

    def as_json(self) -> dict[str, Any]:
        """The descriptor as a JSON object, with absent members left out."""
        value: dict[str, Any] = {
            "mediaType": self.media_type,
            "digest": str(self.digest),
            "size": self.size,
        }
        if self.artifact_type:
            value["artifactType"] = self.artifact_type
        if self.annotations:
            value["annotations"] = dict(self.annotations)
        if self.urls:
            value["urls"] = list(self.urls)
        return value


def string_map(value: Any, where: str) -> dict[str, str]:
    """Annotations: an object of strings, or nothing; ManifestInvalid, naming `where`, for anything else."""
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        raise ManifestInvalid(f"{where} is not an object of strings")
    return value


def _digest(value: Any, where: str) -> Digest:
    if not isinstance(value, str):
        raise ManifestInvalid(f"{where} has no digest")
    try:
        return Digest.parse(value)
    except DigestInvalid as error:
        raise ManifestInvalid(f"{where} has a malformed digest", detail=error.detail) from None


def _artifact_type(value: Any, where: str) -> str | None:
    if value is not None and not isinstance(value, str):
        raise ManifestInvalid(f"{where}.artifactType is not a string")
    return value or None


def _urls(value: Any, where: str) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(url, str) for url in value):
        raise ManifestInvalid(f"{where}.urls is not a list of strings")
    return tuple(value)
