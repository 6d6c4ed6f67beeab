"""Lifecycle policies as documents."""

import json
from typing import Any

Json = dict[str, Any]


def rule(priority: int, status: str = "any", **selection: Any) -> Json:
    """A rule; without another count it keeps one image."""
    count = {} if "countType" in selection else {"countType": "imageCountMoreThan", "countNumber": 1}
    return {
        "rulePriority": priority,
        "selection": {"tagStatus": status} | count | selection,
        "action": {"type": "expire"},
    }


def days(number: int, count_type: str = "sinceImagePushed") -> Json:
    """The members of a selection that counts days."""
    return {"countType": count_type, "countUnit": "days", "countNumber": number}


def policy(*rules: Json) -> str:
    """The document with these rules."""
    return json.dumps({"rules": list(rules)})
