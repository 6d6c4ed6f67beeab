"""Values and the details of errors, as people read them."""

import json
from datetime import UTC, datetime
from typing import Any

from estiva.cli.failing import line


def cell(value: Any) -> str:
    """A value of an answer on one line; of a time, its moment."""
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):  # times are the only numbers with a fraction
        return f"{datetime.fromtimestamp(value, UTC):%Y-%m-%dT%H:%M:%SZ}"
    if isinstance(value, list):
        return ", ".join(cell(entry) for entry in value) or "-"
    if isinstance(value, dict):
        return json.dumps(value)
    return line(str(value))


def with_details(text: str, detail: Any) -> str:
    """What is wrong, and what it is about where the text does not say that already: `no such user (user: alice)`."""
    if not detail:
        return text
    about = cell(detail)
    if isinstance(detail, dict):
        about = ", ".join(f"{line(str(name))}: {cell(value)}" for name, value in detail.items())
    return text if about in text else f"{text} ({about})"
