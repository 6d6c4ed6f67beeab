"""Repositories made and kept by name: created with settings, described, tagged."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from estiva.errors import NameUnknown, RegistryError
from estiva.reference import RepositoryName
from registry.creating import Template
from registry.listing import Page
from storage.metadata import audit, repositories, repository_settings
from storage.metadata.audit import Actor
from storage.metadata.database import Database, Work
from storage.metadata.mutability import Mode, TagMutability
from storage.metadata.repository_settings import RepositoryRecord

MOST_TAGS = 50


class RepositoryExists(RegistryError):
    """There is a repository of that name."""

    code, status, message = "REPOSITORY_EXISTS", 409, "the repository exists already"


class TooManyTags(RegistryError):
    """A repository has at most MOST_TAGS tags of its own."""

    code, status, message = "TOO_MANY_TAGS", 400, f"a repository has at most {MOST_TAGS} tags"


@dataclass(frozen=True, slots=True)
class RepositorySettings:
    """What a repository is created with."""

    mutability: TagMutability = field(default_factory=TagMutability)
    scan_on_push: bool = False
    encryption: str = "AES256"
    tags: Mapping[str, str] = field(default_factory=dict)


class Repositories:
    """Creates, describes and changes repositories."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, actor: Actor, name: RepositoryName, settings: RepositorySettings) -> RepositoryRecord:
        """A new, empty repository; durable when this returns. RepositoryExists, TooManyTags."""

        def work() -> Work[RepositoryRecord]:
            if (yield from repositories.find(name)) is not None:
                raise RepositoryExists(detail={"name": name.text})
            repository = yield from repositories.ensure(name)
            yield from repository_settings.set_mutability(repository, settings.mutability)
            yield from repository_settings.set_scan_on_push(repository, settings.scan_on_push)
            yield from repository_settings.set_encryption(repository, settings.encryption)
            yield from _put_tags(repository, settings.tags)
            yield from audit.record(actor, "CreateRepository", f"repository/{name}")
            return (yield from _known(name))

        return await self._database.write(work)

    async def find(self, name: RepositoryName) -> RepositoryRecord:
        """The repository with its settings. NameUnknown."""
        return await self._database.read(_known(name))

    async def page(self, account: str, last: str, limit: int) -> Page[RepositoryRecord]:
        """At most `limit` repositories of that account after name `last`."""
        found = await self._database.read(repository_settings.page(last, limit + 1, account))
        return Page(found[:limit], len(found) > limit)

    async def set_mutability(self, actor: Actor, name: RepositoryName, mutability: TagMutability) -> None:
        """Say which tags may move from now on. NameUnknown."""

        def work() -> Work[None]:
            found = yield from _known(name)
            yield from repository_settings.set_mutability(found.id, mutability)
            yield from audit.record(actor, "PutImageTagMutability", f"repository/{name}", mode=mutability.mode.value)

        await self._database.write(work)

    async def set_scan_on_push(self, actor: Actor, name: RepositoryName, scan_on_push: bool) -> None:
        """Say whether images are to be scanned when they are pushed. NameUnknown."""

        def work() -> Work[None]:
            found = yield from _known(name)
            yield from repository_settings.set_scan_on_push(found.id, scan_on_push)
            yield from audit.record(actor, "PutImageScanningConfiguration", f"repository/{name}", on_push=scan_on_push)

        await self._database.write(work)

    async def tags(self, name: RepositoryName) -> dict[str, str]:
        """The repository's own tags, by key. NameUnknown."""

        def work() -> Work[dict[str, str]]:
            return (yield from repository_settings.tags((yield from _known(name)).id))

        return await self._database.read(work())

    async def tag(self, actor: Actor, name: RepositoryName, values: Mapping[str, str]) -> None:
        """Set these tags, in place of older ones of the same keys. NameUnknown, TooManyTags."""

        def work() -> Work[None]:
            yield from _put_tags((yield from _known(name)).id, values)
            yield from audit.record(actor, "TagResource", f"repository/{name}", keys=sorted(values))

        await self._database.write(work)

    async def untag(self, actor: Actor, name: RepositoryName, keys: Sequence[str]) -> None:
        """Remove the tags of these keys. Idempotent. NameUnknown."""

        def work() -> Work[None]:
            yield from repository_settings.delete_tags((yield from _known(name)).id, keys)
            yield from audit.record(actor, "UntagResource", f"repository/{name}", keys=sorted(keys))

        await self._database.write(work)


def _known(name: RepositoryName) -> Work[RepositoryRecord]:
    found = yield from repository_settings.find(name)
    if found is None:
        raise NameUnknown(detail={"name": name.text})
    return found


def _put_tags(repository: int, values: Mapping[str, str]) -> Work[None]:
    yield from repository_settings.put_tags(repository, values)
    if len((yield from repository_settings.tags(repository))) > MOST_TAGS:
        raise TooManyTags


def scans_on_push(name: RepositoryName) -> Work[bool]:
    """Whether the repository's images are to be scanned when they are pushed."""
    found = yield from repository_settings.find(name)
    return found is not None and found.scan_on_push


def apply_template(repository: int, template: Template) -> Work[None]:
    """Make a new repository what its template says: which tags may move, and its own tags."""
    document = template.document
    filters = tuple(one["filter"] for one in document.get("imageTagMutabilityExclusionFilters", ()))
    mode = Mode(document.get("imageTagMutability", Mode.MUTABLE))
    yield from repository_settings.set_mutability(repository, TagMutability(mode, filters))
    yield from _put_tags(repository, {one["Key"]: one["Value"] for one in document.get("resourceTags", ())})
