"""Manifests, tags, repositories, referrers (distribution-spec, "Pull", "Content Discovery", "Content Management")."""

import json
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urljoin

from estiva import mediatypes
from estiva.descriptor import Descriptor
from estiva.digest import Algorithm, Digest
from estiva.errors import DigestInvalid, ManifestInvalid, ManifestUnknown, NameUnknown, NotFound, RegistryError
from estiva.imagereference import ImageReference
from estiva.manifest import parse_manifest
from estiva.protocol.answers import expect
from estiva.protocol.registry import Registry, Scopes
from estiva.protocol.steps import Response, Steps
from estiva.reference import Reference, RepositoryName, Tag

_ACCEPT = {"Accept": ", ".join(sorted(mediatypes.INDEXES | mediatypes.IMAGES))}
_NEXT = re.compile(r'<([^>]*)>\s*;[^,]*rel="?next"?')
_PAGE = 1000


@dataclass(frozen=True, slots=True)
class StoredManifest:
    """A manifest as the registry keeps it: exactly these bytes, under this digest."""

    digest: Digest
    media_type: str
    content: bytes

    @property
    def descriptor(self) -> Descriptor:
        """What an index would say of it."""
        return Descriptor(self.media_type, self.digest, len(self.content))


def pulling(name: RepositoryName) -> Scopes:
    """What reading from a repository needs."""
    return Scopes.parse(f"repository:{name}:pull")


def pushing(name: RepositoryName) -> Scopes:
    """What writing to a repository needs."""
    return Scopes.parse(f"repository:{name}:pull,push")


def deleting(name: RepositoryName) -> Scopes:
    """What deleting from a repository needs."""
    return Scopes.parse(f"repository:{name}:delete,pull")


def get_manifest(
    registry: Registry, name: RepositoryName, reference: Reference, scopes: Scopes | None = None
) -> Steps[StoredManifest]:
    """The manifest of a tag or digest; ManifestUnknown, or DigestInvalid where the bytes are others."""
    path = f"/v2/{name}/manifests/{reference}"
    response = yield from registry.ask("GET", path, scopes or pulling(name), _ACCEPT)
    expect(response, 200, otherwise=ManifestUnknown, about=_full(name, reference))
    algorithm = reference.algorithm if isinstance(reference, Digest) else Algorithm.SHA256
    digest = Digest.of(response.body, algorithm)
    said = response.header("docker-content-digest")
    if isinstance(reference, Digest) and digest != reference:
        raise DigestInvalid(f"the registry answers with another manifest than {reference}", detail=str(digest))
    if isinstance(reference, Tag) and said.startswith("sha256:") and said != str(digest):
        raise DigestInvalid(f"the registry's manifest is not what it says: {said}", detail=str(digest))
    return StoredManifest(digest, _media_type(response), response.body)


def find_manifest(registry: Registry, name: RepositoryName, reference: Reference) -> Steps[Descriptor | None]:
    """What a tag or digest points to, None where there is nothing: only asked for, not fetched, where that suffices."""
    response = yield from registry.ask("HEAD", f"/v2/{name}/manifests/{reference}", pushing(name), _ACCEPT)
    if response.status == 404:
        return None
    expect(response, 200, otherwise=ManifestUnknown)
    digest, length = response.header("docker-content-digest"), response.header("content-length")
    if not digest or not length.isdecimal():
        return (yield from get_manifest(registry, name, reference)).descriptor
    return Descriptor(mediatypes.essence(response.header("content-type")), Digest.parse(digest), int(length))


def put_manifest(
    registry: Registry,
    name: RepositoryName,
    reference: Reference,
    manifest: StoredManifest,
    scopes: Scopes | None = None,
) -> Steps[bool]:
    """Store a manifest under a tag or its digest; whether the registry itself lists it as its subject's referrer."""
    headers = {"Content-Type": manifest.media_type}
    path = f"/v2/{name}/manifests/{reference}"
    response = yield from registry.ask("PUT", path, scopes or pushing(name), headers, manifest.content)
    return bool(expect(response, 201).header("oci-subject"))


def delete_manifest(registry: Registry, name: RepositoryName, reference: Reference) -> Steps[None]:
    """Delete a tag, or a manifest by its digest; ManifestUnknown where it is not there."""
    response = yield from registry.ask("DELETE", f"/v2/{name}/manifests/{reference}", deleting(name))
    expect(response, 202, 200, 204, otherwise=ManifestUnknown, about=_full(name, reference))


def list_tags(registry: Registry, name: RepositoryName) -> Steps[list[str]]:
    """Every tag of a repository; NameUnknown where there is no such repository."""
    found = yield from _pages(registry, f"/v2/{name}/tags/list?n={_PAGE}", pulling(name), "tags")
    return [tag for tag in found if isinstance(tag, str)]


def list_repositories(registry: Registry) -> Steps[list[str]]:
    """Every repository that the caller may know of, where the registry tells."""
    scopes = Scopes.parse("registry:catalog:*")
    found = yield from _pages(registry, f"/v2/_catalog?n={_PAGE}", scopes, "repositories")
    return [name for name in found if isinstance(name, str)]


def list_referrers(
    registry: Registry, name: RepositoryName, subject: Digest, artifact_type: str = ""
) -> Steps[list[Descriptor]]:
    """What refers to a manifest, also in a registry without the referrers API (by the specification's fallback tag)."""
    query = "?" + urlencode({"artifactType": artifact_type}) if artifact_type else ""
    path = f"/v2/{name}/referrers/{subject}{query}"
    try:
        entries = yield from _pages(registry, path, pulling(name), "manifests")
    except (NotFound, NameUnknown):
        index = yield from _fallback_index(registry, name, subject)
        entries = index.get("manifests") or []
    found = [Descriptor.parse(entry, "the referrer") for entry in entries]
    return [one for one in found if not artifact_type or one.artifact_type == artifact_type]


def list_in_fallback(registry: Registry, name: RepositoryName, subject: Digest, referrer: Descriptor) -> Steps[None]:
    """Enter a referrer where the registry does not list it by itself (distribution-spec, "Referrers Tag Schema")."""
    index = yield from _fallback_index(registry, name, subject)
    entries = [entry for entry in index.get("manifests") or [] if entry.get("digest") != str(referrer.digest)]
    document = {
        "schemaVersion": 2,
        "mediaType": mediatypes.OCI_INDEX,
        "manifests": [*entries, referrer.as_json()],
    }
    content = json.dumps(document, separators=(",", ":")).encode()
    manifest = StoredManifest(Digest.of(content), mediatypes.OCI_INDEX, content)
    yield from put_manifest(registry, name, fallback_tag(subject), manifest)


def fallback_tag(subject: Digest) -> Tag:
    """The tag under which a registry without the referrers API keeps the list of a manifest's referrers."""
    return Tag.parse(f"{subject.algorithm.value[:32]}-{subject.hex[:64]}")


def resolve(registry: Registry, image: ImageReference) -> Steps[StoredManifest]:
    """The manifest that a reference names."""
    return (yield from get_manifest(registry, image.repository, image.or_latest))


def _full(name: RepositoryName, reference: Reference) -> str:
    return f"{name}{'@' if isinstance(reference, Digest) else ':'}{reference}"


def _fallback_index(registry: Registry, name: RepositoryName, subject: Digest) -> Steps[dict[str, Any]]:
    try:
        stored = yield from get_manifest(registry, name, fallback_tag(subject))
    except (ManifestUnknown, NameUnknown):
        return {}
    parse_manifest(stored.content, stored.media_type)
    index: dict[str, Any] = json.loads(stored.content)
    return index


def _pages(registry: Registry, path: str, scopes: Scopes, member: str) -> Steps[list[Any]]:
    found: list[Any] = []
    seen: set[str] = set()
    while path and path not in seen:
        seen.add(path)
        response = yield from registry.ask("GET", path, scopes)
        expect(response, 200, otherwise=NotFound)
        found += _members(response, member)
        link = _NEXT.search(response.header("link"))
        path = urljoin(response.url or path, link[1]) if link else ""
        if path.startswith("http") and not path.startswith(f"{registry.url}/"):
            raise RegistryError(f"{registry.host} continues its list on another host")
    return found


def _members(response: Response, member: str) -> list[Any]:
    try:
        entries = json.loads(response.body).get(member) or []
    except (ValueError, AttributeError):
        entries = None
    if not isinstance(entries, list):
        raise RegistryError("the registry answers with something that is no list")
    return entries


def _media_type(response: Response) -> str:
    media_type = mediatypes.essence(response.header("content-type"))
    if media_type in mediatypes.INDEXES | mediatypes.IMAGES | mediatypes.SCHEMA1:
        return media_type
    declared = _declared(response.body)
    if not isinstance(declared, str):
        raise ManifestInvalid("the registry's answer is no manifest", detail=media_type[:255])
    return declared


def _declared(content: bytes) -> Any:
    try:
        return json.loads(content).get("mediaType")
    except (ValueError, AttributeError):
        return None
