"""Which deployments their gates hold back, and why: judged by what this registry has recorded of their images."""

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from estiva.digest import Digest
from estiva.errors import RegistryError
from estiva.manifest import parse_manifest
from estiva.mediatypes import INDEXES
from estiva.reference import RepositoryName, Tag
from orchestrator import gates
from orchestrator.facts import ClusterFacts, ReadDefinition, ServiceFacts
from orchestrator.gates import GateInvalid, Gates
from orchestrator.own import ImageName, OwnRegistry
from orchestrator.signatures import ARTIFACT_TYPES, TAG_END, Keys, is_signed
from orchestrator.state import Deployment, RolloutState, ServiceStatus
from storage.metadata import manifests, mutability, repositories, scans
from storage.metadata.database import Database, Work

ReadBlob = Callable[[RepositoryName, Digest], Awaitable[bytes | None]]
"""The content of a small blob of a repository; None where it is not there. RegistryError."""
MOST_SIGNATURES = 100
"""Of one kind, of one image: how many are looked at."""
REMEMBERED = 10_000
_SPENT = frozenset([scans.FAILED, scans.UNSUPPORTED])


@dataclass(frozen=True, slots=True)
class GateParts:
    """What gates are judged with: the public keys by name, and whether this server has a scanner at all."""

    own: OwnRegistry
    read: ReadDefinition
    blob: ReadBlob
    keys: Keys = field(default_factory=dict)
    scans: bool = False

    def refusal(self, tags: Sequence[Mapping[str, str]]) -> str | None:
        """Why a service cannot have these tags: a gate that cannot be judged here is none. None: it can."""
        try:
            asked = gates.parse(tags)
        except GateInvalid as error:
            return str(error)
        if asked.severity is not None and not self.scans:
            return f"{gates.SCAN}: this server has no scanner."
        if asked.key is not None and asked.key not in self.keys:
            return f"{gates.SIGNATURE}: this server has no public key of the name {asked.key!r}."
        return None


class Gating:
    """Judges the deployments of one process's clusters."""

    def __init__(self, database: Database, parts: GateParts) -> None:
        self._database = database
        self._parts = parts
        self._judged: dict[tuple[str, str, str], bool] = {}
        """(key, subject, signature) → whether it is one: content does not change under its digest."""

    async def held(self, facts: ClusterFacts) -> Mapping[str, str]:
        """Deployment → why it may not begin. Those that have begun, and ways back, are not asked again."""
        found = {}
        begun = {task.deployment for task in facts.tasks.values()}
        for service in facts.services.values():
            deployment = _beginning(service)
            if deployment is None or deployment.deployment_id in begun:
                continue
            why = await self._why(facts, service, deployment)
            if why is not None:
                found[deployment.deployment_id] = why
        return found

    async def _why(self, facts: ClusterFacts, service: ServiceFacts, deployment: Deployment) -> str | None:
        tags = service.record.document.get("tags", ())
        refused = self._parts.refusal(tags)
        if refused is not None:
            return refused
        asked = gates.parse(tags)
        record = facts.definitions.get((deployment.family, deployment.revision))
        if not asked.any or record is None:
            return None
        for container in self._parts.read(record).containers:
            digest = deployment.images.get(container.name)
            try:
                why = await self._image(asked, self._parts.own.parse(container.image), digest)
            except RegistryError as error:
                why = f"it cannot be judged now: {error.text}"
            if why is not None:
                return f"{container.image}: {why}"
        return None

    async def _image(self, asked: Gates, image: ImageName, pinned: Digest | None) -> str | None:
        digest = pinned or image.digest
        if image.name is None:
            return "the image is not of this registry, which can say nothing of it."
        if digest is None:
            return "there is no such image."
        name = image.name
        if asked.immutable and image.digest is None:
            tag = Tag.parse(image.tag or "latest")
            if not await self._database.read(_is_fixed(name, tag)):
                return f"{gates.TAG}: the tag {tag} can be moved."
        if asked.severity is not None:
            why = await self._database.read(_findings(name, digest, asked.severity))
            if why is not None:
                return f"{gates.SCAN}: {why}"
        if asked.key is not None and not await self._is_signed(name, digest, asked.key):
            return f"{gates.SIGNATURE}: {digest} has no signature by the key {asked.key!r}."
        return None

    async def _is_signed(self, name: RepositoryName, subject: Digest, key: str) -> bool:
        for payload, media_type in await self._database.read(_signatures(name, subject)):
            for layer in parse_manifest(payload, media_type).blobs[1:]:
                asked = (key, str(subject), json.dumps(layer.as_json(), sort_keys=True))
                judged = self._judged.get(asked)
                if judged is None:
                    content = await self._parts.blob(name, layer.digest)
                    if content is None:
                        continue
                    judged = is_signed(subject, layer, content, self._parts.keys[key])
                    self._remember(asked, judged)
                if judged:
                    return True
        return False

    def _remember(self, asked: tuple[str, str, str], judged: bool) -> None:
        if len(self._judged) >= REMEMBERED:
            self._judged.clear()
        self._judged[asked] = judged


def _beginning(service: ServiceFacts) -> Deployment | None:
    """The deployment that the service moves to, where gates are asked before it does."""
    if service.service.status is not ServiceStatus.ACTIVE:
        return None
    primary = next((each for each in service.current if each.primary), None)
    if primary is None or primary.rollout is not RolloutState.IN_PROGRESS or primary.rollback_of is not None:
        return None
    return primary


def _is_fixed(name: RepositoryName, tag: Tag) -> Work[bool]:
    repository = yield from repositories.find(name)
    return repository is not None and (yield from mutability.read(repository)).fixes(tag)


def _findings(name: RepositoryName, digest: Digest, severity: str) -> Work[str | None]:
    """Why an image does not pass a scan gate; of an index, each of its images has to."""
    stored = yield from manifests.find(name, digest)
    if stored is None:
        return f"{digest} is not here."
    images = [digest]
    if stored.media_type in INDEXES:
        images = _images(stored.payload)
    for image in images:
        scan = yield from scans.find(name, image)
        if scan is None:
            return f"{image} has not been scanned."
        if scan.status in _SPENT:
            return f"{image} could not be scanned: {scan.description}"
        if scan.status != scans.COMPLETE:
            return f"{image} is being scanned."
        found = gates.worst(scan.counts, severity)
        if found is not None:
            return f"{image} has findings: {found}."
    return None


def _images(payload: bytes) -> list[Digest]:
    """The images of an index; what is for no platform (a build's provenance) is none."""
    entries = json.loads(payload)["manifests"]
    platforms = [(one["digest"], one.get("platform")) for one in entries]
    return [Digest.parse(text) for text, one in platforms if not (isinstance(one, dict) and one.get("os") == "unknown")]


def _signatures(name: RepositoryName, subject: Digest) -> Work[list[tuple[bytes, str]]]:
    """Manifests that may be signatures of the subject: payload and media type."""
    found = []
    tagged = yield from manifests.find(name, Tag(f"{subject.algorithm.value}-{subject.hex}{TAG_END}"))
    if tagged is not None:
        found.append((tagged.payload, tagged.media_type))
    for kind in ARTIFACT_TYPES:
        for one in (yield from manifests.referrers(name, subject, kind, "", MOST_SIGNATURES)):
            stored = yield from manifests.find(name, one.digest)
            if stored is not None:
                found.append((stored.payload, stored.media_type))
    return found
