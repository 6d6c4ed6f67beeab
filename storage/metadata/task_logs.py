"""The last lines that the containers of stopped tasks wrote; they go when the task is forgotten."""

import json
from collections.abc import Sequence
from typing import NamedTuple

from storage.metadata.clusters import ClusterKey
from storage.metadata.database import Statement, Work

KEPT_LINES = 200
LONGEST_LINE = 4096
"""Characters; the rest of a longer line is not kept."""

PUT = """
INSERT INTO task_logs (account, cluster, task, container, lines) VALUES (:account, :cluster, :task, :container, :lines)
ON CONFLICT (account, cluster, task, container) DO UPDATE SET lines = excluded.lines
"""


class KeptLine(NamedTuple):
    """A line: when (Unix seconds), on which stream (stdout or stderr), and its text."""

    at: float
    stream: str
    text: str


def put(key: ClusterKey, task: str, container: str, lines: Sequence[KeptLine]) -> Work[None]:
    """Keep the last lines of a container, in place of what was kept before. ConstraintError where no task is so."""
    kept = [(line.at, line.stream, line.text[:LONGEST_LINE].replace("\0", "\ufffd")) for line in lines[-KEPT_LINES:]]
    values = {**key.parameters, "task": task, "container": container, "lines": json.dumps(kept)}
    yield Statement(PUT, values)


def find(key: ClusterKey, task: str, container: str) -> Work[list[KeptLine]]:
    """What was kept, oldest first; nothing where nothing was."""
    rows = yield Statement(
        "SELECT lines FROM task_logs WHERE account = :account AND cluster = :cluster AND task = :task "
        "AND container = :container",
        {**key.parameters, "task": task, "container": container},
    )
    return [KeptLine(*line) for line in json.loads(rows[0][0])] if rows else []
