"""The policies that docs/policies.md shows are policies, and it names all there is."""

import re
from pathlib import Path

import pytest

from auth.policy import parse_identity_policy, parse_repository_policy
from auth.policy.actions import REQUIRED
from auth.policy.keys import KEY_FAMILIES, REQUEST_KEYS, VARIABLES
from auth.policy.managed import MANAGED_POLICIES

PAGE = (Path(__file__).parents[3] / "docs" / "policies.md").read_text()
EXAMPLES = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)


def test_there_are_examples() -> None:
    assert len(EXAMPLES) > 5


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_is_a_policy(example: str) -> None:
    (parse_repository_policy if "Principal" in example else parse_identity_policy)(example)


def test_every_key_variable_action_and_ready_made_policy_is_named() -> None:
    named = PAGE.lower()
    actions = {action.lower() for sets in REQUIRED.values() for actions in sets for action in actions}
    missing = [name for name in (*REQUEST_KEYS, *KEY_FAMILIES, *actions) if f"`{name}" not in named]
    missing += [name for name in VARIABLES if f"${{{name}" not in named]
    missing += [name for name in MANAGED_POLICIES if f"`{name}`" not in PAGE]
    assert missing == []
