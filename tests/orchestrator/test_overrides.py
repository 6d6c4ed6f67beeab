"""What one task runs in place of what its definition says."""

from typing import Any

import pytest

from orchestrator.overrides import overridden, read
from orchestrator.parsing import parse, with_defaults
from orchestrator.rules import DefinitionInvalid
from storage.metadata.task_definitions import DefinitionRecord
from tests.orchestrator.test_parsing import container, document

GIVEN = document(container(environment=[{"name": "A", "value": "1"}], command=["serve"]))


def test_a_stored_revision_reads_as_it_was_registered() -> None:
    record = DefinitionRecord("", "web", 3, "ACTIVE", with_defaults(GIVEN), {}, [], 0.0)
    assert read(record) == parse(GIVEN, 3)


def test_command_environment_and_limits_are_overridden_and_nothing_else_is() -> None:
    given = {"name": "app", "command": ["x"], "environment": [{"name": "B", "value": "2"}], "memory": 128, "cpu": 5}
    overrides = {"containerOverrides": [given], "memory": "1 GB", "taskRoleArn": "arn:x"}
    changed = overridden(parse(GIVEN), {"overrides": overrides})
    app = changed.containers[0]
    assert (app.command, app.environment, app.memory, app.cpu) == (("x",), {"A": "1", "B": "2"}, 128, 5)
    assert (app.image, changed.memory) == ("127.0.0.1:5000/web:1", 1024)
    assert overridden(parse(GIVEN), {}) == parse(GIVEN)


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ({"containerOverrides": [{"name": "x"}]}, "Override for container named x is not a container"),
        ({"containerOverrides": [{"name": "app", "environmentFiles": [{"type": "s3"}]}]}, "environmentFiles is not"),
        ({"ephemeralStorage": {"sizeInGiB": 30}}, "overrides.ephemeralStorage is not supported"),
        ({"memory": "32"}, "greater than that of the task"),
        ({"memory": "lots"}, "Invalid 'memory' setting"),
    ],
    ids=str,
)
def test_an_override_that_can_not_be_is_refused(overrides: dict[str, Any], words: str) -> None:
    with pytest.raises(DefinitionInvalid, match=words):
        overridden(parse(GIVEN), {"overrides": overrides})
