"""Webhooks: who wants to be told of events, and of which."""

from collections.abc import Sequence
from dataclasses import dataclass

from storage.metadata.database import Row, Statement, Work
from storage.metadata.events import Action

CREATE = """
INSERT INTO webhooks (name, url, format, actions, prefix, sealed_secret, enabled, created_at)
VALUES (:name, :url, :format, :actions, :prefix, :sealed_secret, TRUE, :now)
ON CONFLICT (name) DO NOTHING RETURNING id
"""
NEVER = 1e10
"""Seconds, far beyond anything."""
SELECT = "SELECT id, name, url, format, actions, prefix, sealed_secret, enabled, created_at FROM webhooks"
FIND = SELECT + " WHERE name = :name"
BY_ID = SELECT + " WHERE id = :id"
PAGE = SELECT + " WHERE name > :last ORDER BY name LIMIT :limit"


@dataclass(frozen=True, slots=True)
class WebhookRecord:
    """A webhook: where events of these actions go, of repositories whose names begin with `prefix`."""

    name: str
    url: str
    format: str
    actions: Sequence[Action]
    prefix: str
    sealed_secret: bytes
    id: int = 0
    enabled: bool = True
    created_at: float = 0.0


def create(webhook: WebhookRecord) -> Work[WebhookRecord | None]:
    """Enter a webhook; None where the name is taken."""
    values = {
        "name": webhook.name,
        "url": webhook.url,
        "format": webhook.format,
        "actions": f",{','.join(action.value for action in webhook.actions)},",
        "prefix": webhook.prefix,
        "sealed_secret": webhook.sealed_secret,
    }
    created = yield Statement(CREATE, values)
    return (yield from find(webhook.name)) if created else None


def find(name: str) -> Work[WebhookRecord | None]:
    """The webhook of that name."""
    rows = yield Statement(FIND, {"name": name})
    return _record(rows[0]) if rows else None


def by_id(number: int) -> Work[WebhookRecord | None]:
    """The webhook of that id."""
    rows = yield Statement(BY_ID, {"id": number})
    return _record(rows[0]) if rows else None


def page(last: str, limit: int) -> Work[list[WebhookRecord]]:
    """At most `limit` webhooks after `last`, by name."""
    rows = yield Statement(PAGE, {"last": last, "limit": limit})
    return [_record(row) for row in rows]


def set_enabled(number: int, *, enabled: bool) -> Work[None]:
    """Begin or stop to tell the webhook. What waited for it while it was told nothing waits on."""
    yield Statement("UPDATE webhooks SET enabled = :enabled WHERE id = :id", {"id": number, "enabled": enabled})
    due = "UPDATE deliveries SET due_at = :now + :delay WHERE webhook_id = :id AND dead = FALSE"
    yield Statement(due, {"id": number, "delay": 0.0 if enabled else NEVER})


def set_secret(number: int, sealed_secret: bytes) -> Work[None]:
    """Give the webhook another secret."""
    values = {"id": number, "sealed_secret": sealed_secret}
    yield Statement("UPDATE webhooks SET sealed_secret = :sealed_secret WHERE id = :id", values)


def delete(number: int) -> Work[None]:
    """Remove the webhook, with what it has not been told yet."""
    yield Statement("DELETE FROM webhooks WHERE id = :id", {"id": number})


def _record(row: Row) -> WebhookRecord:
    number, name, url, form, actions, prefix, sealed, enabled, created = row
    wanted = [Action(action) for action in actions.strip(",").split(",") if action]
    return WebhookRecord(name, url, form, wanted, prefix, bytes(sealed), number, bool(enabled), created)
