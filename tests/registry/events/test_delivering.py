"""Deliveries: signed, at least once, in order, again after a failure, and given up in the end."""

from collections import Counter
from collections.abc import AsyncIterator, Mapping

import pytest

from auth.sealing import Seal
from estiva.digest import Digest
from estiva.reference import RepositoryName, Tag
from estiva_server.webhook_sender import WebhookSender
from registry.events.delivering import Delivering, DeliveryError, delay
from registry.events.shapes import Place
from registry.events.webhooks import WebhookExists, WebhookInvalid, Webhooks, WebhookUnknown
from storage.metadata import audit, events
from storage.metadata.audit import SERVER, Actor
from storage.metadata.events import Action, Backlog, Event
from storage.metadata.sqlite import SQLiteDatabase
from tests.fixtures.facts import NAME, count, select
from tests.registry.events.receiver import receiving, verify

ALICE = Actor("user/alice")
PLACE = Place("000000000000", "us-east-1")
SEAL = Seal(bytes(32))
HOOK = "https://hooks.example/"


class Counts:
    """Counts in plain sight."""

    def __init__(self) -> None:
        self.results: Counter[str] = Counter()
        self.seen = Backlog(0, None, 0)

    def delivery(self, result: str) -> None:
        self.results[result] += 1

    def backlog(self, backlog: Backlog) -> None:
        self.seen = backlog


class Sent:
    """A sender that keeps what it is given, and fails as often as it is told to."""

    def __init__(self, failures: int = 0) -> None:
        self.failures = failures
        self.urls: list[str] = []

    async def send(self, url: str, content: bytes, headers: Mapping[str, str]) -> None:
        self.urls.append(url)
        if self.failures:
            self.failures -= 1
            raise DeliveryError("status 500")


@pytest.fixture
def hooks(database: SQLiteDatabase) -> Webhooks:
    return Webhooks(database, SEAL, private=True)


@pytest.fixture
async def sender() -> AsyncIterator[WebhookSender]:
    sender = WebhookSender(private=True)
    yield sender
    sender.close()


async def tell(database: SQLiteDatabase, *tags: str, name: RepositoryName = NAME) -> None:
    told = [Event(Action.PUSH, ALICE, Digest.of(b"x"), Tag(tag)) for tag in tags]
    await database.write(lambda: events.record(name, told))


async def all_due(database: SQLiteDatabase) -> None:
    """As if the time of waiting were over."""
    await database.write(lambda: select("UPDATE deliveries SET due_at = 0 RETURNING id"))


async def test_a_webhook_is_told_with_a_signature(
    database: SQLiteDatabase, hooks: Webhooks, sender: WebhookSender
) -> None:
    counts = Counts()
    with receiving() as receiver:
        _, secret = await hooks.create(ALICE, "hook", receiver.url, "cloudevents", None, "")
        await tell(database, "1", "2", "3")
        assert await Delivering(database, SEAL, sender, counts, PLACE, 60).run() == 3
        assert [document["data"]["tag"] for document in receiver.documents()] == ["1", "2", "3"]
        for headers, body in receiver.requests:
            assert verify(secret, headers, body)
            assert not verify(secret, headers, body + b" ")
            assert headers["content-type"] == "application/cloudevents+json"
        assert len({headers["webhook-id"] for headers, _ in receiver.requests}) == 3
    assert counts.results == {"delivered": 3}
    assert await count(database, "deliveries") == 0


async def test_what_fails_comes_again_as_the_same_event(
    database: SQLiteDatabase, hooks: Webhooks, sender: WebhookSender
) -> None:
    counts = Counts()
    delivering = Delivering(database, SEAL, sender, counts, PLACE, 60)
    with receiving(500, 302) as receiver:
        await hooks.create(ALICE, "hook", receiver.url, "eventbridge", None, "")
        await tell(database, "1", "2")
        for _ in range(3):
            await delivering.run()
            await all_due(database)
        assert [document["detail"]["image-tag"] for document in receiver.documents()] == ["1", "1", "1", "2"]
        assert len({headers["webhook-id"] for headers, _ in receiver.requests[:3]}) == 1
    assert counts.results == {"delivered": 2, "failed": 2}


async def test_a_receiver_that_is_not_there_is_tried_later(
    database: SQLiteDatabase, hooks: Webhooks, sender: WebhookSender
) -> None:
    await hooks.create(ALICE, "hook", "http://127.0.0.1:1/", "cloudevents", None, "")
    await tell(database, "1")
    await Delivering(database, SEAL, sender, Counts(), PLACE, 60).run()
    [(error, due, now)] = await database.read(
        select("SELECT last_error, due_at, occurred_at FROM deliveries WHERE attempts = 1")
    )
    assert "ConnectionRefusedError" in str(error)
    assert 2 < float(str(due)) - float(str(now)) < 20


async def test_private_addresses_are_refused_unless_allowed(database: SQLiteDatabase) -> None:
    sender = WebhookSender(private=False)
    with pytest.raises(DeliveryError, match="no address that may be spoken to"):
        await sender.send("https://127.0.0.1/", b"{}", {})
    with pytest.raises(DeliveryError, match="not an https URL"):
        await sender.send("http://192.0.2.1/", b"{}", {})
    sender.close()
    with pytest.raises(WebhookInvalid, match="not an https URL"):
        await Webhooks(database, SEAL, private=False).create(ALICE, "a", "http://a/", "cloudevents", None, "")


async def test_one_webhook_that_fails_does_not_keep_another_waiting(database: SQLiteDatabase, hooks: Webhooks) -> None:
    class OneFails(Sent):
        async def send(self, url: str, content: bytes, headers: Mapping[str, str]) -> None:
            await super().send(url, content, headers)
            if "bad" in url:
                raise DeliveryError("status 500")

    sent = OneFails()
    await hooks.create(ALICE, "good", HOOK + "good", "cloudevents", None, "")
    await hooks.create(ALICE, "bad", HOOK + "bad", "cloudevents", None, "")
    await tell(database, "1", "2")
    await Delivering(database, SEAL, sent, Counts(), PLACE, 60).run()
    assert Counter(sent.urls) == {HOOK + "good": 2, HOOK + "bad": 1}


async def test_what_is_too_late_is_given_up_and_can_be_tried_again(database: SQLiteDatabase, hooks: Webhooks) -> None:
    counts, sent = Counts(), Sent(failures=2)
    delivering = Delivering(database, SEAL, sent, counts, PLACE, expiry=-1)
    await hooks.create(ALICE, "hook", HOOK, "cloudevents", None, "")
    await tell(database, "1", "2")
    await delivering.run()
    assert counts.results == {"dead": 2}
    await delivering.look()
    assert (counts.seen.waiting, counts.seen.dead) == (0, 2)
    assert [row[5] for row in await hooks.failures("hook", 0, 10)] == ["1", "2"]
    assert await hooks.redeliver(ALICE, "hook") == 2
    await delivering.run()
    assert counts.results == {"dead": 2, "delivered": 2}


async def test_after_a_crash_between_sending_and_settling_the_event_comes_again(
    database: SQLiteDatabase, hooks: Webhooks, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = Sent()
    delivering = Delivering(database, SEAL, sent, Counts(), PLACE, 60)
    await hooks.create(ALICE, "hook", HOOK, "cloudevents", None, "")
    await tell(database, "1")
    with monkeypatch.context() as crash:
        crash.setattr(events, "settle", None)
        with pytest.raises(TypeError):
            await delivering.run()
    assert await delivering.run() == 0  # still claimed
    await all_due(database)
    assert await delivering.run() == 1
    assert len(sent.urls) == 2


def test_the_wait_doubles_up_to_an_hour() -> None:
    waits = [delay(attempts, lambda: 0.5) for attempts in range(1, 14)]
    assert waits[:4] == [5, 10, 20, 40]
    assert waits[-2:] == [3600, 3600]
    assert delay(10**6, lambda: 0.0) == 2700
    assert delay(1, lambda: 0.0) == 3.75


@pytest.mark.parametrize(
    ("name", "url", "form", "actions", "prefix", "reason"),
    [
        ("A", HOOK, "cloudevents", None, "", "a name has"),
        ("a", "ftp://a/", "cloudevents", None, "", "url is not"),
        ("a", "https://a:b@c/", "cloudevents", None, "", "url is not"),
        ("a", HOOK + "x" * 2048, "cloudevents", None, "", "url is not"),
        ("a", HOOK, "xml", None, "", "format is none of eventbridge, cloudevents"),
        ("a", HOOK, "cloudevents", ["push"], "", "actions are some of PUSH"),
        ("a", HOOK, "cloudevents", [["PUSH"]], "", "actions are some of PUSH"),
        ("a", HOOK, "cloudevents", [], "", "would never be told"),
        ("a", HOOK, "cloudevents", None, "Team/", "prefix does not begin"),
    ],
)
async def test_what_can_be_no_webhook_is_refused(
    hooks: Webhooks, name: str, url: str, form: str, actions: list[str] | None, prefix: str, reason: str
) -> None:
    with pytest.raises(WebhookInvalid) as refused:
        await hooks.create(ALICE, name, url, form, actions, prefix)
    assert reason in refused.value.text


async def test_managing_webhooks_leaves_a_trail_without_secrets(database: SQLiteDatabase, hooks: Webhooks) -> None:
    _, secret = await hooks.create(ALICE, "hook", HOOK, "cloudevents", ["PULL", "PULL"], "team/")
    assert (await hooks.find("hook")).actions == [Action.PULL]
    with pytest.raises(WebhookExists):
        await hooks.create(ALICE, "hook", HOOK, "cloudevents", None, "")
    await hooks.set_enabled(ALICE, "hook", enabled=False)
    await hooks.set_enabled(ALICE, "hook", enabled=True)
    assert await hooks.renew_secret(ALICE, "hook") != secret
    await hooks.delete(ALICE, "hook")
    for attempt in (hooks.find("hook"), hooks.delete(ALICE, "hook"), hooks.renew_secret(ALICE, "hook")):
        with pytest.raises(WebhookUnknown):
            await attempt
    records = await database.read(audit.page(1 << 62, 10, "webhook/hook"))
    assert [record.action for record in records] == [
        "DeleteWebhook",
        "RenewWebhookSecret",
        "EnableWebhook",
        "DisableWebhook",
        "CreateWebhook",
    ]
    assert "whsec" not in str(records)
    assert SERVER.name == "server"
