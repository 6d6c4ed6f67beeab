"""Events: what happened to images, kept for each webhook that wants to know until it has been told.

An event is written in the transaction of what it tells of, so neither is there without the other. Where no webhook
wants it, nothing is written.
"""

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from estiva.digest import Digest
from estiva.reference import RepositoryName, Tag
from storage.metadata.audit import Actor
from storage.metadata.database import Row, Statement, Work

ANYBODY = "SELECT 1 FROM webhooks WHERE enabled LIMIT 1"
RECORD = """
INSERT INTO deliveries
(webhook_id, event, action, repository, digest, tag, previous, actor, detail, occurred_at, due_at, attempts, dead)
SELECT webhooks.id, :event, :action, :repository, :digest, :tag,
(SELECT tags.digest FROM tags WHERE tags.name = :tag
AND tags.repository_id = (SELECT repositories.id FROM repositories WHERE repositories.name = :repository)),
:actor, :detail, :now, :now, 0, FALSE
FROM webhooks WHERE webhooks.enabled AND webhooks.actions LIKE '%,' || :action || ',%'
AND substr(:repository, 1, length(webhooks.prefix)) = webhooks.prefix
"""
# The condition on time is there twice: PostgreSQL looks again at the outer one where another process was quicker.
# An event waits for the earlier ones of its repository, but not for ever: see `patience`. Only the first of those that
# are due are looked at, as any number may wait behind one that fails.
CLAIM = """
UPDATE deliveries SET due_at = :now + :lease, attempts = attempts + 1
WHERE id IN (
SELECT due.id FROM (
SELECT id, webhook_id, repository, due_at FROM deliveries WHERE dead = FALSE AND due_at <= :now
ORDER BY due_at, id LIMIT 500
) AS due WHERE NOT EXISTS (
SELECT 1 FROM deliveries AS earlier
WHERE earlier.webhook_id = due.webhook_id AND earlier.repository = due.repository AND earlier.id < due.id
AND earlier.dead = FALSE AND earlier.attempts < :patience)
ORDER BY due.due_at, due.id LIMIT :limit
) AND due_at <= :now AND dead = FALSE
RETURNING id, webhook_id, event, action, repository, digest, tag, previous, actor, detail, occurred_at, attempts
"""
SETTLE = "DELETE FROM deliveries WHERE id = :id"
POSTPONE = "UPDATE deliveries SET due_at = :now + :delay, last_error = :error WHERE id = :id"
POSTPONE_LATER = """
UPDATE deliveries SET due_at = :now + :delay
WHERE webhook_id = :webhook AND repository = :repository AND id > :id AND dead = FALSE AND due_at < :now + :delay
"""
BURY = "UPDATE deliveries SET dead = TRUE, due_at = :now, last_error = :error WHERE id = :id"
REVIVE = """
UPDATE deliveries SET dead = FALSE, due_at = :now, attempts = 0
WHERE webhook_id = :webhook AND dead = TRUE RETURNING id
"""
FORGET = "DELETE FROM deliveries WHERE dead = TRUE AND due_at < :now - :age RETURNING id"
WAITING = """
SELECT dead, count(*), min(occurred_at) FROM
(SELECT dead, occurred_at FROM deliveries ORDER BY id LIMIT 100000) AS first
GROUP BY dead
"""
DEAD = """
SELECT id, event, action, repository, digest, tag, occurred_at, last_error FROM deliveries
WHERE webhook_id = :webhook AND dead = TRUE AND id > :last ORDER BY id LIMIT :limit
"""


class Action(StrEnum):
    """What happened to an image, in the words of EventBridge's `ECR Image Action` where it has one."""

    PUSH = "PUSH"
    DELETE = "DELETE"
    EXPIRE = "EXPIRE"
    PULL = "PULL"
    REPLICATE = "REPLICATE"
    IMPORT = "IMPORT"
    """It came here from the upstream of a pull-through cache rule."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to an image, or to one of its tags. `detail` is JSON that goes out as it is."""

    action: Action
    actor: Actor
    digest: Digest
    tag: Tag | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Delivery:
    """An event on its way to a webhook; `previous` is where its tag pointed before, `attempts` counts this one."""

    id: int
    webhook_id: int
    event: str
    action: Action
    repository: RepositoryName
    digest: str
    tag: str | None
    previous: str | None
    actor: str
    detail: Mapping[str, Any]
    occurred_at: float
    attempts: int


@dataclass(frozen=True, slots=True)
class Backlog:
    """How many deliveries wait, since when the oldest of them does, and how many were given up."""

    waiting: int
    oldest: float | None
    dead: int


def record(name: RepositoryName, events: Sequence[Event]) -> Work[None]:
    """Keep events of a repository for the webhooks that want them. Before what they tell of is done: see `previous`."""
    if not (yield Statement(ANYBODY)):
        return
    yield Statement(
        RECORD,
        many=[
            {
                "event": str(uuid.uuid4()),
                "action": event.action.value,
                "repository": name.key,
                "digest": str(event.digest),
                "tag": event.tag.text if event.tag else None,
                "actor": event.actor.name,
                "detail": json.dumps(dict(event.detail), sort_keys=True),
            }
            for event in events
        ],
    )


def is_due() -> Work[bool]:
    """Whether there is anything that `claim` might give."""
    return bool((yield Statement("SELECT 1 FROM deliveries WHERE dead = FALSE AND due_at <= :now LIMIT 1")))


def claim(limit: int, lease: float, patience: int) -> Work[list[Delivery]]:
    """At most `limit` deliveries that are due, oldest first, which nobody else gets for `lease` seconds.

    Of a repository, a webhook is told one event after the other; one that failed `patience` times is overtaken.
    """
    rows = yield Statement(CLAIM, {"limit": limit, "lease": lease, "patience": patience})
    return sorted((_delivery(row) for row in rows), key=lambda delivery: delivery.id)


def settle(delivered: Sequence[int]) -> Work[None]:
    """Forget what has been delivered."""
    yield Statement(SETTLE, many=[{"id": number} for number in delivered])


def postpone(delivery: Delivery, delay: float, error: str, patience: int) -> Work[None]:
    """Try again `delay` seconds from now, and until `patience` is at its end not to deliver later ones before."""
    values = {"id": delivery.id, "delay": delay}
    yield Statement(POSTPONE, {**values, "error": error[:500]})
    if delivery.attempts < patience:
        later = {"webhook": delivery.webhook_id, "repository": delivery.repository.key}
        yield Statement(POSTPONE_LATER, {**values, **later})


def bury(number: int, error: str) -> Work[None]:
    """Give a delivery up; it stays to be looked at, until `forget`."""
    yield Statement(BURY, {"id": number, "error": error[:500]})


def revive(webhook: int) -> Work[int]:
    """Try everything again that was given up for that webhook: how many deliveries."""
    return len((yield Statement(REVIVE, {"webhook": webhook})))


def forget(age: float) -> Work[int]:
    """Forget deliveries that were given up more than `age` seconds ago: how many."""
    return len((yield Statement(FORGET, {"age": age})))


def backlog() -> Work[Backlog]:
    """What waits, as far as 100,000 deliveries go."""
    rows = yield Statement(WAITING)
    counted = {bool(dead): (count, oldest) for dead, count, oldest in rows}
    waiting, oldest = counted.get(False, (0, None))
    return Backlog(waiting, oldest, counted.get(True, (0, None))[0])


def dead(webhook: int, last: int, limit: int) -> Work[list[Row]]:
    """At most `limit` deliveries after id `last` that were given up: id, event, action, repository, digest, tag,
    time and error of each.
    """
    return list((yield Statement(DEAD, {"webhook": webhook, "last": last, "limit": limit})))


def _delivery(row: Row) -> Delivery:
    number, webhook, event, action, repository, digest, tag, previous, actor, detail, occurred, attempts = row
    return Delivery(
        number,
        webhook,
        event,
        Action(action),
        RepositoryName.of_key(repository),
        digest,
        tag,
        previous if previous != digest else None,
        actor,
        json.loads(detail),
        occurred,
        attempts,
    )
