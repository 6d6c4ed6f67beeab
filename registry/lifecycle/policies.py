"""Lifecycle policies of repositories: set, shown, removed, and tried out without removing anything."""

import random
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

from estiva.errors import NameUnknown, RegistryError
from estiva.reference import RepositoryName
from registry.lifecycle.judging import Judgement, judge
from registry.lifecycle.policy import parse_lifecycle_policy
from storage.metadata import audit, lifecycle, repositories
from storage.metadata.audit import Actor
from storage.metadata.database import Database, Work
from storage.metadata.lifecycle import LifecycleRecord, PreviewedImage, PreviewRecord


class LifecyclePolicyUnknown(RegistryError):
    """The repository has no lifecycle policy."""

    code, status, message = "LIFECYCLE_POLICY_UNKNOWN", 404, "the repository has no lifecycle policy"


class LifecyclePreviewUnknown(RegistryError):
    """No preview of a lifecycle policy was asked for."""

    code, status, message = "LIFECYCLE_PREVIEW_UNKNOWN", 404, "the repository has no preview of a lifecycle policy"


@dataclass(frozen=True, slots=True)
class Preview:
    """What a policy would do to a repository as it is now."""

    document: str
    judgement: Judgement


class LifecyclePolicies:
    """Stores policies that have been understood. A new one is carried out within `every` seconds."""

    def __init__(self, database: Database, threads: Executor, every: float) -> None:
        self._database = database
        self._threads = threads
        self._every = every

    async def put(self, actor: Actor, name: RepositoryName, document: str) -> None:
        """Set the repository's policy. LifecyclePolicyInvalid, NameUnknown."""
        parse_lifecycle_policy(document)
        # Not at once, so that whoever made a mistake can take it back; and not all repositories at the same time.
        delay = self._every * random.uniform(0.1, 1.0)  # noqa: S311 - no secret

        def work() -> Work[None]:
            if not (yield from lifecycle.put(name, document, delay)):
                raise NameUnknown(detail={"name": name.text})
            yield from audit.record(actor, "PutLifecyclePolicy", f"repository/{name}")

        await self._database.write(work)

    async def find(self, name: RepositoryName) -> LifecycleRecord:
        """The repository's policy. NameUnknown, LifecyclePolicyUnknown."""

        def work() -> Work[LifecycleRecord]:
            yield from _repository(name)
            return _known((yield from lifecycle.find(name)))

        return await self._database.read(work())

    async def delete(self, actor: Actor, name: RepositoryName) -> LifecycleRecord:
        """Remove the repository's policy: the one that it had. NameUnknown, LifecyclePolicyUnknown."""

        def work() -> Work[LifecycleRecord]:
            yield from _repository(name)
            deleted = _known((yield from lifecycle.delete(name)))
            yield from audit.record(actor, "DeleteLifecyclePolicy", f"repository/{name}")
            return deleted

        return await self._database.write(work)

    async def preview(self, name: RepositoryName, document: str | None = None) -> Preview:
        """What that policy, or the repository's own, would do now. Nothing is removed, and nothing kept.

        LifecyclePolicyInvalid, NameUnknown, LifecyclePolicyUnknown.
        """
        repository = await self._database.read(_repository(name))
        text = (await self.find(name)).document if document is None else document
        return Preview(text, await judge(self._database, self._threads, repository, parse_lifecycle_policy(text)))

    async def start_preview(self, name: RepositoryName, document: str | None = None) -> Preview:
        """The same, kept for `find_preview` until the next one."""
        preview = await self.preview(name, document)
        images = [
            PreviewedImage(str(one.image.digest), one.image.tags, one.image.pushed_at, one.rule.priority)
            for one in preview.judgement.expiring
        ]

        def work() -> Work[None]:
            repository = yield from _repository(name)
            yield from lifecycle.enter_preview(repository, preview.document, images)

        await self._database.write(work, durable=False)
        return preview

    async def find_preview(
        self, name: RepositoryName, last: str, limit: int
    ) -> tuple[PreviewRecord, Sequence[PreviewedImage]]:
        """The preview that was kept, and at most `limit` of its images after digest `last`.

        NameUnknown, LifecyclePreviewUnknown.
        """

        def work() -> Work[tuple[PreviewRecord, list[PreviewedImage]]]:
            yield from _repository(name)
            preview = yield from lifecycle.find_preview(name)
            if preview is None:
                raise LifecyclePreviewUnknown(detail={"name": name.text})
            return preview, (yield from lifecycle.previewed(preview.repository, last, limit))

        return await self._database.read(work())


def _repository(name: RepositoryName) -> Work[int]:
    repository = yield from repositories.find(name)
    if repository is None:
        raise NameUnknown(detail={"name": name.text})
    return repository


def _known(record: LifecycleRecord | None) -> LifecycleRecord:
    if record is None:
        raise LifecyclePolicyUnknown
    return record
