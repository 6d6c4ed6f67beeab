"""Manifests: kept byte for byte, read only for what they refer to (OCI image-spec manifest.md, image-index.md)."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from estiva import mediatypes
from estiva.descriptor import Descriptor, string_map
from estiva.errors import ManifestInvalid

MAX_DEPTH = 32
MAX_DESCRIPTORS = 10_000
MAX_CONTAINERS = 100_000
# A string that does not end takes the rest with it, and nothing is tried twice: the time is linear whatever comes.
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)
_BRACKET = re.compile(rb"[{}\[\]]")
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a registry has to know of a manifest; the bytes themselves stay as they were pushed.

    `blobs` must be in the repository, `children` are the manifests of an index (or, for build caches, blobs
    listed as if they were), `subject` may be missing. `artifact_type` is what a referrers list shows.
    """

    media_type: str
    blobs: tuple[Descriptor, ...] = ()
    children: tuple[Descriptor, ...] = ()
    subject: Descriptor | None = None
    artifact_type: str | None = None
    annotations: Mapping[str, str] = field(default_factory=dict)


def parse_manifest(payload: bytes, content_type: str) -> Manifest:
    """The manifest in these bytes, pushed under this Content-Type; ManifestInvalid where it is none.

    Refused are: JSON with duplicate keys, with text that is no Unicode, beyond 32 levels, 100,000 objects and
    arrays or 10,000 descriptors; a `mediaType` member other than the Content-Type; a document that is an image and
    an index at once (CVE-2021-41190); schema 1.
    """
    value = _parse_json(payload)
    media_type = _media_type(value, mediatypes.essence(content_type))
    if media_type in mediatypes.SCHEMA1 or value.get("schemaVersion") == 1:
        raise ManifestInvalid("docker schema 1 manifests are not supported")
    if value.get("schemaVersion") != 2:
        raise ManifestInvalid("schemaVersion is not 2")
    if media_type in mediatypes.INDEXES:
        return _index(value, media_type)
    if media_type in mediatypes.IMAGES:
        return _image(value, media_type)
    raise ManifestInvalid("unsupported manifest media type", detail=media_type[:255])


def _image(value: dict[str, Any], media_type: str) -> Manifest:
    if "manifests" in value:
        raise ManifestInvalid("ambiguous manifest: an image manifest with manifests")
    config = Descriptor.parse(value.get("config"), "config")
    layers = _descriptors(value, "layers", required=media_type == mediatypes.DOCKER_MANIFEST)
    return Manifest(
        media_type,
        blobs=(config, *layers),
        subject=_subject(value),
        artifact_type=_own_artifact_type(value) or config.media_type,
        annotations=string_map(value.get("annotations"), "annotations"),
    )


def _index(value: dict[str, Any], media_type: str) -> Manifest:
    if "layers" in value or "config" in value:
        raise ManifestInvalid("ambiguous manifest: an index with layers or config")
    return Manifest(
        media_type,
        children=_descriptors(value, "manifests", required=True),
        subject=_subject(value),
        artifact_type=_own_artifact_type(value),
        annotations=string_map(value.get("annotations"), "annotations"),
    )


def _media_type(value: dict[str, Any], content_type: str) -> str:
    declared = value.get("mediaType")
    if declared is None:
        return content_type
    if not isinstance(declared, str) or declared != content_type:
        raise ManifestInvalid("mediaType differs from the Content-Type", detail=content_type[:255])
    return declared


def _own_artifact_type(value: dict[str, Any]) -> str | None:
    artifact_type = value.get("artifactType")
    if artifact_type is not None and not isinstance(artifact_type, str):
        raise ManifestInvalid("artifactType is not a string")
    return artifact_type or None


def _subject(value: dict[str, Any]) -> Descriptor | None:
    subject = value.get("subject")
    return None if subject is None else Descriptor.parse(subject, "subject")


def _descriptors(value: dict[str, Any], member: str, *, required: bool) -> tuple[Descriptor, ...]:
    entries = value.get(member)
    if entries is None and not required:
        return ()
    if not isinstance(entries, list):
        raise ManifestInvalid(f"{member} is not a list")
    if len(entries) > MAX_DESCRIPTORS:
        raise ManifestInvalid(f"{member} has more than {MAX_DESCRIPTORS} entries")
    return tuple(Descriptor.parse(entry, f"{member}[{index}]") for index, entry in enumerate(entries))


def _parse_json(payload: bytes) -> dict[str, Any]:
    _check_shape(payload)
    try:
        # Decoded here, strictly: json.loads alone would guess UTF-16 and let NaN pass.
        value = json.loads(
            payload.decode("utf-8"),
            object_pairs_hook=_object_without_duplicates,
            parse_constant=_refuse_constant,
        )
    except (ValueError, RecursionError) as error:
        reason = "not UTF-8" if isinstance(error, UnicodeDecodeError) else "malformed JSON"
        raise ManifestInvalid(f"the manifest is {reason}") from None
    if not isinstance(value, dict):
        raise ManifestInvalid("the manifest is not a JSON object")
    if _SURROGATE.search(payload):
        _check_unicode(value)
    return value


def _check_unicode(value: dict[str, Any]) -> None:
    """ManifestInvalid where an escape is half of a character: no database or client could take that text."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise ManifestInvalid("the manifest has text that is no Unicode") from None


def _check_shape(payload: bytes) -> None:
    """ManifestInvalid beyond MAX_DEPTH levels or MAX_CONTAINERS, found without recursion and before the parser runs."""
    depth = containers = 0
    for match in _BRACKET.finditer(_STRING.sub(b"", payload)):
        opens = match.group() in b"{["
        depth += 1 if opens else -1
        containers += opens
        if depth < 0:
            raise ManifestInvalid("the manifest is malformed JSON")
        if depth > MAX_DEPTH:
            raise ManifestInvalid(f"the manifest is nested deeper than {MAX_DEPTH} levels")
        if containers > MAX_CONTAINERS:
            raise ManifestInvalid(f"the manifest has more than {MAX_CONTAINERS} objects and arrays")


def _object_without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ManifestInvalid("a JSON object has the same key twice")
    return value


def _refuse_constant(name: str) -> Any:
    raise ManifestInvalid(f"{name} is not JSON")
