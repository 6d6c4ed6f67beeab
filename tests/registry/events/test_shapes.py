"""What webhooks are sent, to the letter."""

import json
from typing import Any

from estiva.digest import Digest
from estiva.reference import RepositoryName
from registry.events.shapes import TYPES, Format, Place, body_of
from storage.metadata.events import Action, Delivery

DIGEST, OLD = str(Digest.of(b"new")), str(Digest.of(b"old"))
PLACE = Place("000000000000", "us-east-1")


def delivery(action: Action = Action.PUSH, tag: str | None = "latest", **more: Any) -> Delivery:
    values: dict[str, Any] = {
        "id": 1,
        "webhook_id": 1,
        "event": "5f0c8a4e-0000-4000-8000-000000000000",
        "repository": RepositoryName("team/app"),
        "digest": DIGEST,
        "previous": None,
        "actor": "user/alice",
        "detail": {},
        "occurred_at": 1_800_000_000.25,
        "attempts": 1,
    }
    return Delivery(action=action, tag=tag, **(values | more))


def written(delivery: Delivery, form: Format) -> Any:
    return json.loads(body_of(delivery, form, PLACE).content)


def test_an_event_in_the_shape_of_eventbridge() -> None:
    assert written(delivery(), Format.EVENTBRIDGE) == {
        "version": "0",
        "id": "5f0c8a4e-0000-4000-8000-000000000000",
        "detail-type": "ECR Image Action",
        "source": "aws.ecr",
        "account": "000000000000",
        "time": "2027-01-15T08:00:00Z",
        "region": "us-east-1",
        "resources": [],
        "detail": {
            "result": "SUCCESS",
            "repository-name": "team/app",
            "image-digest": DIGEST,
            "action-type": "PUSH",
            "image-tag": "latest",
            "principal": "user/alice",
        },
    }
    assert body_of(delivery(), Format.EVENTBRIDGE, PLACE).media_type == "application/json"


def test_an_event_as_a_cloudevent() -> None:
    assert written(delivery(previous=OLD), Format.CLOUDEVENTS) == {
        "specversion": "1.0",
        "id": "5f0c8a4e-0000-4000-8000-000000000000",
        "source": "/estiva/us-east-1/000000000000",
        "type": "io.estiva.image.pushed",
        "subject": "team/app:latest",
        "time": "2027-01-15T08:00:00.250Z",
        "datacontenttype": "application/json",
        "data": {
            "repository": "team/app",
            "digest": DIGEST,
            "tag": "latest",
            "principal": "user/alice",
            "previousDigest": OLD,
        },
    }
    assert body_of(delivery(), Format.CLOUDEVENTS, PLACE).media_type == "application/cloudevents+json"


def test_what_expired_was_deleted_by_a_rule() -> None:
    expired = delivery(Action.EXPIRE, None, detail={"lifecycleRulePriority": 3}, actor="server")
    detail = written(expired, Format.EVENTBRIDGE)["detail"]
    assert (detail["action-type"], detail["lifecycle-rule-priority"]) == ("DELETE", 3)
    assert "image-tag" not in detail
    event = written(expired, Format.CLOUDEVENTS)
    assert (event["type"], event["subject"]) == ("io.estiva.image.expired", f"team/app@{DIGEST}")
    assert event["data"]["lifecycleRulePriority"] == 3


def test_a_tag_that_moved_says_from_where() -> None:
    assert written(delivery(previous=OLD), Format.EVENTBRIDGE)["detail"]["previous-digest"] == OLD


def test_another_accounts_image_is_of_that_account() -> None:
    other = delivery(repository=RepositoryName("team/app", "111122223333"))
    assert written(other, Format.EVENTBRIDGE)["account"] == "111122223333"
    assert written(other, Format.CLOUDEVENTS)["source"] == "/estiva/us-east-1/111122223333"


def test_every_action_has_a_type() -> None:
    assert set(TYPES) == set(Action)
