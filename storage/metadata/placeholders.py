"""From `:name` parameters to PostgreSQL's `$n`: each statement is translated once."""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

NOW = "date_part('epoch', statement_timestamp())"
_PARAMETER = re.compile(r"'(?:[^']|'')*'|(?<!:):([a-z_][a-z0-9_]*)")


class Numbered(NamedTuple):
    """A statement with numbered parameters, and the names of the values in that order."""

    sql: str
    names: tuple[str, ...]

    def values(self, parameters: Mapping[str, Any]) -> list[Any]:
        """The values in the order of their numbers. KeyError where one was not given."""
        return [parameters[name] for name in self.names]


def numbered(sql: str) -> Numbered:
    """The statement with `$n` for each `:name`, and the server's clock for `:now`; literals stay as they are."""
    numbers: dict[str, int] = {}

    def replace(match: re.Match[str]) -> str:
        name = match[1]
        if name is None:
            return match[0]
        if name == "now":
            return NOW
        return f"${numbers.setdefault(name, len(numbers) + 1)}"

    return Numbered(_PARAMETER.sub(replace, sql), tuple(numbers))
