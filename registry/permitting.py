"""What goes with its tags goes only if every one of them may: asked before, and held to in the transaction itself.

What policies say of a tag so holds for all that it goes with, named by digest or not.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import TypeVar

from auth.access import IMAGE_TAG, Access, Caller, refuse
from auth.policy.actions import BATCH_DELETE_IMAGE, DELETE_REPOSITORY
from estiva.errors import Denied, Unavailable
from estiva.reference import RepositoryName, Tag
from storage.metadata.database import Database, Work
from storage.metadata.tags import TagsMovedError

T = TypeVar("T")

Permit = Callable[[Sequence[Tag]], Awaitable[None]]
"""Returns where all these tags may be removed; raises what refuses it otherwise."""
ASKED_AT_ONCE = 1000
DECIDED_AT_ONCE = 100
MOST_TRIES = 10


async def permit_images(access: Access, caller: Caller, name: RepositoryName) -> Permit | None:
    """Decides for each tag that goes with an image; None where nothing depends on tags. Unauthorized, Denied."""
    arn = access.repository_arn(name)

    async def decide(**context: str) -> frozenset[str]:
        verdict = await access.decide(caller, BATCH_DELETE_IMAGE, arn, **context)
        refuse(caller, verdict)
        return verdict.depends_on

    return await _by_tag(decide)


async def permit_repository(access: Access, caller: Caller, name: RepositoryName) -> Permit | None:
    """Decides for each tag that goes with a repository; None where nothing depends on tags. Unauthorized, Denied.

    The right to delete the repository does for all its images, as in ECR; a Deny of deleting one of them stops it.
    """
    arn = access.repository_arn(name)

    async def decide(**context: str) -> frozenset[str]:
        whole = await access.decide(caller, DELETE_REPOSITORY, arn, **context)
        refuse(caller, whole)
        image = await access.decide(caller, BATCH_DELETE_IMAGE, arn, **context)
        if image.denied:
            raise Denied(detail="not allowed by policy")
        return whole.depends_on | image.depends_on

    return await _by_tag(decide)


async def _by_tag(decide: Callable[..., Awaitable[frozenset[str]]]) -> Permit | None:
    if IMAGE_TAG not in await decide():
        return None

    async def permit(tags: Sequence[Tag]) -> None:
        for place, tag in enumerate(tags):
            if place % DECIDED_AT_ONCE == 0:
                await asyncio.sleep(0)  # there may be any number: others get their turn
            await decide(**{IMAGE_TAG: tag.text})

    return permit


async def with_permission(
    database: Database,
    permit: Permit | None,
    page: Callable[[str, int], Work[list[str]]],
    remove: Callable[[Collection[str] | None], Work[T]],
    *,
    serializable: bool = True,
) -> T:
    """The result of `remove`, done in one transaction with no other tags than those that `permit` was asked about.

    `page` gives tags after one, at most so many; `remove` raises TagsMovedError where it meets others, and begins
    anew once these have been asked about. Without `permit`, every tag may go. Unavailable where tags never rest.
    """
    permitted: set[str] | None = None if permit is None else set()
    for _ in range(MOST_TRIES):
        if permit is not None and permitted is not None:
            await _ask(database, permit, page, permitted)
        try:
            return await database.write(lambda: remove(permitted), serializable=serializable)
        except TagsMovedError:
            continue
    raise Unavailable("the tags are being moved all the time")


async def _ask(
    database: Database, permit: Permit, page: Callable[[str, int], Work[list[str]]], permitted: set[str]
) -> None:
    last, more = "", True
    while more:
        found = await database.read(page(last, ASKED_AT_ONCE))
        await permit([Tag(tag) for tag in found if tag not in permitted])
        permitted.update(found)
        more, last = len(found) == ASKED_AT_ONCE, found[-1] if found else last
