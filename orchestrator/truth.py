"""Why an image cannot be had, from this registry's own records: an engine only says that it could not pull."""

from datetime import UTC, datetime

from estiva.digest import Digest
from estiva.reference import Tag
from orchestrator.own import ImageName
from storage.metadata import audit, manifests, repositories, tags
from storage.metadata.audit import Wanted
from storage.metadata.database import Database, Work

_LOOK_BACK = 50


class Truth:
    """Answers for images of this registry; of others it knows nothing."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def digest(self, image: ImageName) -> Digest | None:
        """What the image's tag is now; None where there is no such tag."""
        name, tag = image.name, Tag.parse(image.tag or "latest")
        if name is None:
            return None
        return await self._database.read(tags.target(name, tag))

    async def explain(self, image: ImageName, digest: Digest | None) -> str | None:
        """Why it cannot be had, in one sentence; None where nothing here stands in the way."""
        if image.name is None:
            return None
        return await self._database.read(_explain(image, digest))


def _explain(image: ImageName, digest: Digest | None) -> Work[str | None]:
    name = image.name
    assert name is not None
    if (yield from repositories.find(name)) is None:
        return f"there is no repository {name} in this registry"
    if digest is None:
        tag = Tag.parse(image.tag or "latest")
        if (yield from tags.target(name, tag)) is None:
            return f"repository {name} has no tag {tag}"
        return None
    if (yield from manifests.find(name, digest)) is not None:
        return None
    return f"{name}@{digest} is not in this registry{(yield from _deleted(image, digest))}"


def _deleted(image: ImageName, digest: Digest) -> Work[str]:
    """Who deleted it and when, where the audit trail has it."""
    for action, how in (("DeleteImage", "deleted"), ("ExpireImage", "expired")):
        wanted = Wanted(target=f"repository/{image.name}", action=action)
        for record in (yield from audit.query(2**62, _LOOK_BACK, wanted)):
            if record.detail.get("digest") == str(digest):
                rule = f" by rule {record.detail['rule']}" if "rule" in record.detail else ""
                at = datetime.fromtimestamp(record.at, UTC)
                return f": {record.actor} {how} it{rule} at {at:%Y-%m-%dT%H:%M:%SZ}"
    return ""
