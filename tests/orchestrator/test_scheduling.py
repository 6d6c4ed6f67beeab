"""What tasks of a service get besides what their task definition says."""

from dataclasses import replace
from typing import Any

import pytest

from orchestrator.scheduling import propagated
from storage.metadata.task_definitions import ACTIVE, DefinitionRecord
from tests.fixtures.orchestration import service

OWN, DEFINED = [{"key": "team", "value": "sea"}], [{"key": "app", "value": "web"}]


@pytest.mark.parametrize(
    ("said", "tags"),
    [("SERVICE", OWN), ("TASK_DEFINITION", DEFINED), ("NONE", []), (None, [])],
    ids=["service", "task definition", "none", "unsaid"],
)
def test_tasks_get_the_tags_that_propagate_tags_names(said: str | None, tags: list[Any]) -> None:
    document = {"tags": OWN} if said is None else {"tags": OWN, "propagateTags": said}
    record = replace(service(), document=document)
    definition = DefinitionRecord("", "web", 1, ACTIVE, {}, {}, DEFINED, 0.0, None)

    assert propagated(record, definition) == tags
