"""The contract of all drivers on podman's socket, as far as podman keeps it (docs/orchestrator.md: Engines).

Left out is what needs a network, for which podman would change the machine's; commands in containers, and with them
what waits for health; events; what ends for its memory, and a program that is not there: of those it tells less.
"""

import pytest

from tests.contracts import test_engine as contract
from tests.fixtures.podman import PodmanWorld

pytestmark = [pytest.mark.real, pytest.mark.timeout(600)]


@pytest.fixture
def world(podman: PodmanWorld) -> PodmanWorld:
    """podman, where the contract has the fake and Docker."""
    return podman


test_tells_what_it_has = contract.test_tells_what_it_has
test_runs_a_task_and_tells_whose_it_is = contract.test_runs_a_task_and_tells_whose_it_is
test_advances_again_without_doing_anything_twice = contract.test_advances_again_without_doing_anything_twice
test_tells_an_exit_code = contract.test_tells_an_exit_code
test_says_that_an_image_is_not_there = contract.test_says_that_an_image_is_not_there
test_creates_nothing_from_an_image_that_was_not_pulled = contract.test_creates_nothing_from_an_image_that_was_not_pulled
test_stops_with_the_exit_code_that_the_container_chose = contract.test_stops_with_the_exit_code_that_the_container_chose
test_kills_what_does_not_stop_in_time = contract.test_kills_what_does_not_stop_in_time
test_stops_and_forgets_what_is_not_there = contract.test_stops_and_forgets_what_is_not_there
test_stops_twice = contract.test_stops_twice
test_forgets_a_task = contract.test_forgets_a_task
test_starts_what_depends_on_a_start_at_once = contract.test_starts_what_depends_on_a_start_at_once
test_starts_what_depends_on_an_end_after_it = contract.test_starts_what_depends_on_an_end_after_it
test_refuses_to_go_on_when_a_dependency_failed = contract.test_refuses_to_go_on_when_a_dependency_failed
test_starts_again_what_its_policy_says = contract.test_starts_again_what_its_policy_says
test_has_no_logs_of_what_is_not_there = contract.test_has_no_logs_of_what_is_not_there
test_tells_what_is_used = contract.test_tells_what_is_used
