"""Managing webhooks: where they are, of what they are told, and the secret that signs it."""

import re
from collections.abc import Sequence
from typing import Any

from auth.fetching import is_fetchable
from auth.sealing import Seal
from estiva.errors import RegistryError
from registry.events.shapes import Format
from registry.events.signing import make_secret
from storage.metadata import audit, events, webhooks
from storage.metadata.audit import Actor
from storage.metadata.database import Database, Row, Work
from storage.metadata.events import Action
from storage.metadata.webhooks import WebhookRecord

PURPOSE = "webhook secret"
LONGEST_URL = 2048
DEFAULT_ACTIONS = (Action.PUSH, Action.DELETE, Action.EXPIRE, Action.REPLICATE, Action.IMPORT)
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_PREFIX = re.compile(r"[a-z0-9._/-]{0,255}")


class WebhookInvalid(RegistryError):
    """A webhook that can't be: its name, address, form or actions."""

    code, status, message = "WEBHOOK_INVALID", 400, "invalid webhook"


class WebhookUnknown(RegistryError):
    """No webhook of that name."""

    code, status, message = "WEBHOOK_UNKNOWN", 404, "no such webhook"


class WebhookExists(RegistryError):
    """The name is taken."""

    code, status, message = "WEBHOOK_EXISTS", 409, "there is a webhook of that name"


class Webhooks:
    """Creates, changes and removes webhooks. `private` allows plain HTTP and private addresses."""

    def __init__(self, database: Database, seal: Seal, *, private: bool) -> None:
        self._database = database
        self._seal = seal
        self._private = private

    async def create(
        self, actor: Actor, name: str, url: str, form: str, actions: Sequence[str] | None, prefix: str
    ) -> tuple[WebhookRecord, str]:
        """A new webhook and its secret, which is shown this once. WebhookInvalid, WebhookExists.

        It is told of these actions, of repositories whose names begin with `prefix`; by default of all but pulls.
        """
        self._check(name, url, prefix)
        secret = make_secret()
        wanted = WebhookRecord(name, url, _format(form), _actions(actions), prefix, self._sealed(secret))

        def work() -> Work[WebhookRecord]:
            created = yield from webhooks.create(wanted)
            if created is None:
                raise WebhookExists(detail={"name": name})
            yield from audit.record(actor, "CreateWebhook", f"webhook/{name}", url=url, prefix=prefix)
            return created

        return await self._database.write(work), secret

    async def find(self, name: str) -> WebhookRecord:
        """The webhook of that name. WebhookUnknown."""
        return await self._database.read(_find(name))

    async def page(self, last: str, limit: int) -> list[WebhookRecord]:
        """At most `limit` webhooks after `last`, by name."""
        return await self._database.read(webhooks.page(last, limit))

    async def set_enabled(self, actor: Actor, name: str, *, enabled: bool) -> None:
        """Begin or stop to tell it. WebhookUnknown. What waited when it was stopped is delivered when it begins."""

        def work() -> Work[None]:
            found = yield from _find(name)
            yield from webhooks.set_enabled(found.id, enabled=enabled)
            yield from audit.record(actor, "EnableWebhook" if enabled else "DisableWebhook", f"webhook/{name}")

        await self._database.write(work)

    async def renew_secret(self, actor: Actor, name: str) -> str:
        """Give it another secret, which is shown this once; what is sent from now on has it. WebhookUnknown."""
        secret = make_secret()

        def work() -> Work[None]:
            found = yield from _find(name)
            yield from webhooks.set_secret(found.id, self._sealed(secret))
            yield from audit.record(actor, "RenewWebhookSecret", f"webhook/{name}")

        await self._database.write(work)
        return secret

    async def delete(self, actor: Actor, name: str) -> None:
        """Remove it, with what it has not been told yet. WebhookUnknown."""

        def work() -> Work[None]:
            found = yield from _find(name)
            yield from webhooks.delete(found.id)
            yield from audit.record(actor, "DeleteWebhook", f"webhook/{name}")

        await self._database.write(work)

    async def failures(self, name: str, last: int, limit: int) -> list[Row]:
        """A page of what was given up (see `storage.metadata.events.dead`). WebhookUnknown."""

        def work() -> Work[list[Row]]:
            found = yield from _find(name)
            return (yield from events.dead(found.id, last, limit))

        return await self._database.read(work())

    async def redeliver(self, actor: Actor, name: str) -> int:
        """Try everything again that was given up: how many events. WebhookUnknown."""

        def work() -> Work[int]:
            found = yield from _find(name)
            count = yield from events.revive(found.id)
            yield from audit.record(actor, "RedeliverEvents", f"webhook/{name}", count=count)
            return count

        return await self._database.write(work)

    def _sealed(self, secret: str) -> bytes:
        return self._seal.seal(PURPOSE, secret.encode())

    def _check(self, name: str, url: str, prefix: str) -> None:
        if _NAME.fullmatch(name) is None:
            raise WebhookInvalid("a name has 1 to 64 of a-z, 0-9, '.', '_' and '-'", detail=name[:64])
        if _PREFIX.fullmatch(prefix) is None:
            raise WebhookInvalid("prefix does not begin any repository's name", detail=prefix[:64])
        if len(url) > LONGEST_URL or not is_fetchable(url, private=self._private):
            raise WebhookInvalid("url is not an https URL" if not self._private else "url is not an http or https URL")


def _find(name: str) -> Work[WebhookRecord]:
    found = yield from webhooks.find(name)
    if found is None:
        raise WebhookUnknown(detail={"name": name[:64]})
    return found


def _format(text: str) -> str:
    try:
        return Format(text).value
    except ValueError:
        raise WebhookInvalid(f"format is none of {', '.join(Format)}", detail=text[:64]) from None


def _actions(texts: Sequence[Any] | None) -> Sequence[Action]:
    try:
        actions = DEFAULT_ACTIONS if texts is None else tuple(dict.fromkeys(Action(text) for text in texts))
    except (ValueError, TypeError):
        raise WebhookInvalid(f"actions are some of {', '.join(Action)}") from None
    if not actions:
        raise WebhookInvalid("a webhook without actions would never be told anything")
    return actions
