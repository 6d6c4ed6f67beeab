"""Carrying lifecycle policies out: on a schedule that all processes share, or when somebody asks."""

import contextlib
import random
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from functools import partial

from estiva.digest import Digest
from estiva.reference import RepositoryName, Tag
from registry.lifecycle.images import doomed, fallback_tags
from registry.lifecycle.judging import Expiring, Judgement, judge, parents_first
from registry.lifecycle.policies import LifecyclePolicyUnknown
from registry.lifecycle.policy import parse_lifecycle_policy
from registry.users import DigestUsers
from storage.metadata import audit, clock, events, lifecycle, manifests, repositories
from storage.metadata.audit import SERVER, Actor
from storage.metadata.database import ConstraintError, Database, Work
from storage.metadata.events import Action, Event
from storage.metadata.lifecycle import LifecycleRecord

LEASE = 600.0
"""Seconds for which a repository belongs to the process that carries its policy out; it asks for more as it goes."""
REST = 86400.0
"""Seconds for which nothing expires by itself after a jump of the clock: time for somebody to set it right."""
REMOVED_AT_ONCE = 50
"""Manifests in one transaction, about: some milliseconds, so that pushes hardly wait."""


@dataclass(frozen=True, slots=True)
class Kept:
    """An image that a rule expires, and why it is still there: its user, or that it is no longer as it was judged."""

    digest: Digest
    tags: Sequence[str]
    reason: str


@dataclass(slots=True)
class Run:
    """What became of a repository's images."""

    images: int = 0
    expired: list[Expiring] = field(default_factory=list)
    kept: list[Kept] = field(default_factory=list)
    superseded: bool = False
    """Whether the policy was changed meanwhile: then the rest waits for the next run."""


class _SupersededError(Exception):
    """The policy is no longer the one that was judged by."""


class LifecycleRuns:
    """Removes what policies expire. Any number of processes may do so at the same time."""

    def __init__(self, database: Database, threads: Executor, users: DigestUsers, every: float) -> None:
        self._database = database
        self._threads = threads
        self._users = users
        self._every = every
        self._presence = clock.Presence()

    async def run_due(self) -> dict[RepositoryName, Run]:
        """Carry out every policy that is due, one after the other; what others have taken is theirs.

        None for a day after a jump of the clock, or an hour after an absence: images that seem old may be new.
        """
        done: dict[RepositoryName, Run] = {}
        while await self._clock_ran_evenly():
            name = await self._database.write(lambda: lifecycle.take(LEASE), durable=False)
            if name is None:
                break
            with contextlib.suppress(LifecyclePolicyUnknown):  # it was removed just now
                done[name] = await self.run(name)
        return done

    async def run(self, name: RepositoryName, actor: Actor = SERVER) -> Run:
        """Carry the repository's policy out now; by itself, only where the clock can be believed.

        LifecyclePolicyUnknown.
        """
        found = await self._database.read(_policy(name))
        if found is None:
            raise LifecyclePolicyUnknown(detail={"name": name.text})
        repository, record = found
        judgement = await judge(self._database, self._threads, repository, parse_lifecycle_policy(record.document))
        run = Run(judgement.images)
        if actor is SERVER and not await self._clock_ran_evenly():  # it may have jumped just before the judgement
            return run
        try:
            for batch in _batches(judgement.expiring):
                await self._remove(name, repository, record, batch, judgement, run, actor)
        except _SupersededError:
            run.superseded = True
            return run
        await self._database.write(lambda: self._finish(name, repository, run, actor))
        return run

    async def _clock_ran_evenly(self) -> bool:
        work = partial(clock.ran_evenly, "lifecycle", REST, present=self._presence.since_last())
        return await self._database.write(work, durable=False, serializable=False)

    async def _remove(
        self,
        name: RepositoryName,
        repository: int,
        record: LifecycleRecord,
        batch: Sequence[Expiring],
        judgement: Judgement,
        run: Run,
        actor: Actor,
    ) -> None:
        def work() -> Work[list[Kept | Expiring]]:
            current = yield from lifecycle.find(name)
            if current is None or current.updated_at != record.updated_at:
                raise _SupersededError
            yield from lifecycle.keep(repository, LEASE)
            need, outcomes = judgement.need.copy(), []
            for one in batch:
                reason = yield from self._expire(name, repository, one, doomed(one.image, need), actor)
                if reason is None:
                    need.subtract(one.image.members)
                outcomes.append(one if reason is None else Kept(one.image.digest, one.image.tags, reason))
            return outcomes

        try:
            outcomes = await self._database.write(work)
        except ConstraintError:  # somebody pushed an index of one of these at the same moment
            outcomes = [Kept(one.image.digest, one.image.tags, "changed") for one in batch]
        for outcome in outcomes:
            if isinstance(outcome, Kept):
                run.kept.append(outcome)
            else:
                run.expired.append(outcome)
                judgement.need.subtract(outcome.image.members)

    def _expire(
        self, name: RepositoryName, repository: int, one: Expiring, goes: frozenset[Digest], actor: Actor
    ) -> Work[str | None]:
        """Remove an image, None; or why it stays."""
        if not (yield from _is_as_judged(repository, one, goes)):
            return "changed"
        used = yield from self._users.users(name, sorted(one.image.members, key=str))
        for digest in sorted(used, key=str):
            return f"used by {used[digest]}"
        for digest in parents_first(sorted(goes, key=str), one.facts):
            yield from manifests.delete_with_tags(name, digest)
        detail = {"lifecycleRulePriority": one.rule.priority}
        image, tags = one.image, tuple(map(Tag, one.image.tags)) or (None,)
        yield from events.record(name, [Event(Action.EXPIRE, actor, image.digest, tag, detail) for tag in tags])
        about = {
            "digest": str(image.digest),
            "tags": list(image.tags),
            "rule": one.rule.priority,
            "manifests": len(goes),
        }
        yield from audit.record(actor, "ExpireImage", f"repository/{name}", **about)
        return None

    def _finish(self, name: RepositoryName, repository: int, run: Run, actor: Actor) -> Work[None]:
        yield from lifecycle.evaluated(repository, self._every * random.uniform(0.9, 1.1))  # noqa: S311 - no secret
        if run.expired or run.kept or actor is not SERVER:
            counts = {"images": run.images, "expired": len(run.expired), "kept": len(run.kept)}
            yield from audit.record(actor, "RunLifecyclePolicy", f"repository/{name}", **counts)


def _policy(name: RepositoryName) -> Work[tuple[int, LifecycleRecord] | None]:
    repository = yield from repositories.find(name)
    record = yield from lifecycle.find(name)
    return None if repository is None or record is None else (repository, record)


def _is_as_judged(repository: int, one: Expiring, goes: frozenset[Digest]) -> Work[bool]:
    """Whether all of it is still what was judged, and nothing that came since needs or refers to what goes."""
    for digest, facts in one.facts.items():
        if (yield from lifecycle.one(repository, digest)) != facts:
            return False
    for digest in goes:
        attached = yield from lifecycle.attached(repository, digest, fallback_tags(digest))
        if not attached <= {str(member) for member in goes}:
            return False
    return True


def _batches(expiring: Sequence[Expiring]) -> list[list[Expiring]]:
    batches: list[list[Expiring]] = []
    room = 0
    for one in expiring:
        if room <= 0:
            batches.append([])
            room = REMOVED_AT_ONCE
        batches[-1].append(one)
        room -= len(one.image.members)
    return batches
