"""What an engine tells of a container, understood: the answers are an engine's, as it gave them."""

import pytest

from orchestrator.engines import ContainerStatus, ContainerView
from orchestrator.engines.docker_views import container_view, seconds

NEVER = "0001-01-01T00:00:00Z"
EARLIER, LATER = "2026-07-01T10:00:00.123456789Z", "2026-07-01T10:00:00.123999999Z"


def view(started: str, finished: str, status: str = "exited", **state: object) -> ContainerView:
    """Of a container in that state."""
    inspected = {
        "Id": "1" * 64,
        "Created": "2026-07-01T09:59:59Z",
        "Config": {"Image": "registry.test/app", "Labels": {"dev.estiva.container": "app"}},
        "HostConfig": {"NetworkMode": "estiva"},
        "NetworkSettings": {"Ports": {}, "Networks": {}},
        "State": {"Status": status, "StartedAt": started, "FinishedAt": finished, "ExitCode": 3, **state},
    }
    return container_view(inspected, None, 0, None)


def test_an_end_is_told_as_the_engine_tells_it() -> None:
    app = view(EARLIER, LATER)

    assert (app.status, app.exit_code) == (ContainerStatus.STOPPED, 3)
    assert (app.started_at, app.finished_at) == (seconds(EARLIER), seconds(LATER))


def test_never_ends_before_it_began_although_engines_tell_that() -> None:
    """Docker 20.10 notes the start after the container was started, and hears from containerd when it ended."""
    app = view(LATER, EARLIER)

    assert app.started_at == seconds(LATER)
    assert app.finished_at == app.started_at


@pytest.mark.parametrize(("status", "started"), [("created", NEVER), ("running", EARLIER)])
def test_what_has_not_ended_has_no_end(status: str, started: str) -> None:
    app = view(started, NEVER, status)

    assert (app.exit_code, app.finished_at) == (None, None)
    assert app.started_at == seconds(started)


def test_was_killed_for_its_memory_only_when_it_is_dead() -> None:
    assert view(EARLIER, NEVER, "running", OOMKilled=True).reason is None
    assert view(EARLIER, LATER, OOMKilled=True).reason == "OutOfMemoryError: Container killed due to memory usage"
