"""What an event looks like on the wire: EventBridge's `ECR Image Action`, or CloudEvents 1.0 in JSON."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from storage.metadata.events import Action, Delivery


class Format(StrEnum):
    """In which form a webhook is told."""

    EVENTBRIDGE = "eventbridge"
    CLOUDEVENTS = "cloudevents"


@dataclass(frozen=True, slots=True)
class Body:
    """A request's body, and what it is."""

    content: bytes
    media_type: str


@dataclass(frozen=True, slots=True)
class Place:
    """Where events come from: the server's own account and region."""

    account: str
    region: str


TYPES = {
    Action.PUSH: "io.estiva.image.pushed",
    Action.DELETE: "io.estiva.image.deleted",
    Action.EXPIRE: "io.estiva.image.expired",
    Action.PULL: "io.estiva.image.pulled",
    Action.REPLICATE: "io.estiva.image.replicated",
    Action.IMPORT: "io.estiva.image.imported",
}


def body_of(delivery: Delivery, form: Format, place: Place) -> Body:
    """The event as the webhook wants it."""
    shape, media_type = _SHAPES[form]
    return Body(json.dumps(shape(delivery, place), separators=(",", ":")).encode(), media_type)


def eventbridge(delivery: Delivery, place: Place) -> dict[str, Any]:
    """As ECR sends it to EventBridge; members that ECR's have not come after those that they have.

    What a lifecycle policy removes has the action DELETE and a `lifecycle-rule-priority`. What came from an upstream is
    another kind of event there.
    """
    action = Action.DELETE if delivery.action is Action.EXPIRE else delivery.action
    is_import = action is Action.IMPORT
    detail = {"repository-name": delivery.repository.text, "image-digest": delivery.digest}
    detail |= {"sync-status": "SUCCESS"} if is_import else {"result": "SUCCESS", "action-type": action.value}
    if delivery.tag is not None:
        detail["image-tag"] = delivery.tag
    more = {**({"principal": delivery.actor} if delivery.actor else {}), **_more(delivery)}
    return {
        "version": "0",
        "id": delivery.event,
        "detail-type": "ECR Pull Through Cache Action" if is_import else "ECR Image Action",
        "source": "aws.ecr",
        "account": _account(delivery, place),
        "time": _time(delivery.occurred_at, "seconds"),
        "region": place.region,
        "resources": [],
        "detail": detail | {_dashed(name): value for name, value in more.items()},
    }


def cloudevent(delivery: Delivery, place: Place) -> dict[str, Any]:
    """As CloudEvents 1.0 has it (specification, sections "Required Attributes" and "JSON Event Format")."""
    reference = f":{delivery.tag}" if delivery.tag is not None else f"@{delivery.digest}"
    data = {
        "repository": delivery.repository.text,
        "digest": delivery.digest,
        "tag": delivery.tag,
        "principal": delivery.actor or None,
        **_more(delivery),
    }
    return {
        "specversion": "1.0",
        "id": delivery.event,
        "source": f"/estiva/{place.region}/{_account(delivery, place)}",
        "type": TYPES[delivery.action],
        "subject": delivery.repository.text + reference,
        "time": _time(delivery.occurred_at, "milliseconds"),
        "datacontenttype": "application/json",
        "data": {name: value for name, value in data.items() if value is not None},
    }


def _more(delivery: Delivery) -> Mapping[str, Any]:
    previous = {} if delivery.previous is None else {"previousDigest": delivery.previous}
    return {**previous, **delivery.detail}


def _account(delivery: Delivery, place: Place) -> str:
    return delivery.repository.account or place.account


def _dashed(name: str) -> str:
    return "".join(f"-{letter.lower()}" if letter.isupper() else letter for letter in name)


def _time(at: float, precision: str) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec=precision).replace("+00:00", "Z")


_SHAPES: Mapping[Format, tuple[Callable[[Delivery, Place], dict[str, Any]], str]] = {
    Format.EVENTBRIDGE: (eventbridge, "application/json"),
    Format.CLOUDEVENTS: (cloudevent, "application/cloudevents+json"),
}
