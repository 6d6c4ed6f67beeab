"""What every folder of tests may use."""

from collections.abc import Callable

import pytest

from tests.tools import find_tool

pytest_plugins = [
    "tests.fixtures.database",
    "tests.fixtures.docker",
    "tests.fixtures.image",
    "tests.fixtures.podman",
    "tests.fixtures.registry",
    "tests.fixtures.s3",
    "tests.fixtures.blob_stores",  # after what it imports, whose asserts would not be rewritten otherwise
    "tests.fixtures.serving_tasks",
    "tests.fixtures.two_engines",
]


@pytest.fixture(scope="session")
def require_tool() -> Callable[[str], str]:
    """`require_tool(name)` gives a program's path; where it is absent the test is skipped, in CI it fails."""
    return find_tool
