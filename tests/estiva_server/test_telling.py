"""A server that runs tells webhooks by itself, also after it was ended in between."""

import json
import time
from pathlib import Path
from typing import Any

from tests.registry.events.receiver import Receiver, receiving, verify
from tests.security.secured import KEY_ID, KEY_SECRET, Content, digest_of, secured

KEY = {"admin_access_key_id": KEY_ID, "admin_secret_access_key": KEY_SECRET, "private_webhooks": "true"}
PATIENCE = 30.0


def told(receiver: Receiver, count: int) -> list[Any]:
    """What the receiver was told, once that is as much."""
    end = time.monotonic() + PATIENCE
    while len(receiver.requests) < count and time.monotonic() < end:
        time.sleep(0.05)
    return receiver.documents()


def test_a_webhook_hears_of_a_push_and_of_a_deletion_with_who_did_it(tmp_path: Path) -> None:
    content = Content.of("team/app")
    with receiving() as receiver, secured(tmp_path, workers="2", **KEY) as registry:
        body = {"name": "ci", "url": receiver.url, "prefix": "team/"}
        secret = json.loads(registry.done("POST", "/webhooks", body).body)["secret"]
        registry.push(content)
        registry.push(Content.of("other/app"))
        registry.done("DELETE", "/repositories/other/app")
        [pushed] = told(receiver, 1)
        assert (pushed["type"], pushed["subject"]) == ("io.estiva.image.pushed", "team/app:v1")
        assert pushed["data"]["digest"] == digest_of(content.manifest)
        assert pushed["data"]["principal"] == "user/admin"
        assert all(verify(secret, headers, body) for headers, body in receiver.requests)


def test_what_could_not_be_told_is_told_by_the_next_start(tmp_path: Path) -> None:
    with receiving(503) as receiver:
        with secured(tmp_path, **KEY) as registry:
            body = {"name": "ci", "url": receiver.url, "format": "eventbridge"}
            registry.done("POST", "/webhooks", body)
            registry.push(Content.of("team/app"))
            first = told(receiver, 1)
        with secured(tmp_path, **KEY):
            events = told(receiver, 2)
    assert first[0]["id"] == events[-1]["id"]
    assert events[-1]["detail"]["repository-name"] == "team/app"
