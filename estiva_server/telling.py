"""Puts the parts together that tell webhooks of events, for one process."""

from dataclasses import dataclass

from estiva_server.config import Settings
from estiva_server.metrics import Tallies
from estiva_server.security import Security
from estiva_server.webhook_sender import WebhookSender
from registry.events.delivering import Delivering
from registry.events.shapes import Place
from registry.events.webhooks import Webhooks
from storage.metadata.database import Database

DELIVER_EVERY = 1.0
LOOK_EVERY = 15.0


@dataclass(frozen=True, slots=True)
class Telling:
    """Who is told of events, and whoever tells them."""

    webhooks: Webhooks
    delivering: Delivering
    sender: WebhookSender

    async def deliver(self) -> None:
        """Deliver what is due."""
        await self.delivering.run()

    def close(self) -> None:
        """End the threads when what they send has been answered."""
        self.sender.close()


def build_telling(settings: Settings, database: Database, security: Security, tallies: Tallies) -> Telling:
    """The parts, on these."""
    sender = WebhookSender(private=settings.private_webhooks)
    place = Place(settings.account, settings.region)
    return Telling(
        Webhooks(database, security.seal, private=settings.private_webhooks),
        Delivering(database, security.seal, sender, tallies.events, place, settings.event_expiry),
        sender,
    )
