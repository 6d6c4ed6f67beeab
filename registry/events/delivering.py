"""Delivering events: at least once, one after the other for each repository, again and again until it is too late."""

import asyncio
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from auth.sealing import Seal, SealBrokenError
from registry.events.shapes import Format, Place, body_of
from registry.events.signing import signed_headers
from registry.events.webhooks import PURPOSE
from storage.metadata import events, webhooks
from storage.metadata.database import Database, Work
from storage.metadata.events import Backlog, Delivery
from storage.metadata.webhooks import WebhookRecord

AT_ONCE = 16
LEASE = 120.0
"""Seconds that deliveries belong to whoever took them: several times what sending them all can take."""
PATIENCE = 6
"""Attempts for which later events of a repository wait for an earlier one."""
FIRST_DELAY, LONGEST_DELAY = 5.0, 3600.0
FAILURES_KEPT = 14 * 86_400.0
"""Seconds for which what was given up can be looked at, and tried again."""


class DeliveryError(Exception):
    """The webhook was not told; the text says why, in one line without secrets."""


class Sender(Protocol):
    """Sends a request body."""

    async def send(self, url: str, content: bytes, headers: Mapping[str, str]) -> None:
        """POST it; return when the receiver has answered 2xx. DeliveryError, after some seconds at the latest."""
        ...


class DeliveryCounts(Protocol):
    """Counts what becomes of deliveries."""

    def delivery(self, result: str) -> None:
        """One more that was `delivered`, `failed` (it will be tried again) or given up (`dead`)."""
        ...

    def backlog(self, backlog: Backlog) -> None:
        """What waits now."""
        ...


@dataclass(frozen=True, slots=True)
class _Outcome:
    delivery: Delivery
    error: str | None


class Delivering:
    """Tells webhooks what they want to know. Any number of processes may do so at the same time."""

    def __init__(
        self, database: Database, seal: Seal, sender: Sender, counts: DeliveryCounts, place: Place, expiry: float
    ) -> None:
        self._database = database
        self._seal = seal
        self._sender = sender
        self._counts = counts
        self._place = place
        self._expiry = expiry

    async def run(self) -> int:
        """Deliver everything that is due: how many deliveries were tried."""
        tried = 0
        while await self._database.read(events.is_due()):
            claimed = await self._database.write(lambda: events.claim(AT_ONCE, LEASE, PATIENCE), durable=False)
            if not claimed:
                break
            outcomes = await asyncio.gather(*(self._deliver(delivery) for delivery in claimed))
            await self._database.write(lambda: self._settle(outcomes), durable=False)  # noqa: B023 - done before the next
            self._count(outcomes)
            tried += len(outcomes)
        return tried

    async def look(self) -> None:
        """Count what waits, and forget what was given up long ago."""
        backlog = await self._database.read(events.backlog())
        self._counts.backlog(backlog)
        if backlog.dead:
            await self._database.write(lambda: events.forget(FAILURES_KEPT), durable=False)

    async def _deliver(self, delivery: Delivery) -> _Outcome:
        webhook = await self._database.read(webhooks.by_id(delivery.webhook_id))
        if webhook is None:
            return _Outcome(delivery, None)  # it was removed, and its deliveries with it
        try:
            await self._send(webhook, delivery)
        except DeliveryError as error:
            return _Outcome(delivery, str(error))
        return _Outcome(delivery, None)

    async def _send(self, webhook: WebhookRecord, delivery: Delivery) -> None:
        try:
            secret = self._seal.unseal(PURPOSE, webhook.sealed_secret).decode()
        except SealBrokenError:
            raise DeliveryError("the webhook's secret was sealed with another master key") from None
        body = body_of(delivery, Format(webhook.format), self._place)
        headers = signed_headers(secret, delivery.event, int(time.time()), body.content)
        await self._sender.send(webhook.url, body.content, {"Content-Type": body.media_type, **headers})

    def _settle(self, outcomes: Sequence[_Outcome]) -> Work[None]:
        yield from events.settle([outcome.delivery.id for outcome in outcomes if outcome.error is None])
        for outcome in outcomes:
            if outcome.error is None:
                continue
            if self._is_too_late(outcome.delivery):
                yield from events.bury(outcome.delivery.id, outcome.error)
            else:
                later = delay(outcome.delivery.attempts)
                yield from events.postpone(outcome.delivery, later, outcome.error, PATIENCE)

    def _is_too_late(self, delivery: Delivery) -> bool:
        return time.time() - delivery.occurred_at > self._expiry

    def _count(self, outcomes: Sequence[_Outcome]) -> None:
        for outcome in outcomes:
            failed = "dead" if self._is_too_late(outcome.delivery) else "failed"
            self._counts.delivery("delivered" if outcome.error is None else failed)


def delay(attempts: int, chance: Callable[[], float] = random.random) -> float:
    """Seconds until the next attempt: twice as many each time up to an hour, and not the same for everybody."""
    longest: float = min(LONGEST_DELAY, FIRST_DELAY * 2.0 ** min(attempts - 1, 20))
    return longest * (0.75 + chance() / 2)
