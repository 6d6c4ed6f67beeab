"""From nothing to services on a real Docker Engine, as a user would: the behaviours of the orchestrator, by name."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.serving_tasks import TaskServer, get, web

pytestmark = [pytest.mark.real, pytest.mark.timeout(600)]


def port_of(task: dict[str, Any]) -> int:
    """Where the task's web server is."""
    port: int = task["containers"][0]["networkBindings"][0]["hostPort"]
    return port


def said(server: TaskServer, service: str) -> set[str | None]:
    """What the tasks of a service say."""
    return {get(port_of(task)) for task in server.tasks(serviceName=service)}


def is_stopped(server: TaskServer, task: str, cluster: str = "default") -> Any:
    """The task, once it has stopped."""
    (found,) = server.ecs.describe_tasks(cluster=cluster, tasks=[task])["tasks"]
    return found if found["lastStatus"] == "STOPPED" else None


def test_from_a_push_to_a_service_and_back_with_the_aws_command(server: TaskServer, tmp_path: Path) -> None:
    server.push("web", "1", "one")
    definition = tmp_path / "task.json"
    definition.write_text(json.dumps({"family": "web", "containerDefinitions": [web(f"{server.host}/web:1")]}))
    registered = server.aws("register-task-definition", "--cli-input-json", f"file://{definition}")
    assert registered["taskDefinition"]["revision"] == 1
    server.aws("create-cluster")
    ran = server.aws("run-task", "--task-definition", "web")
    assert ran["failures"] == []
    task = ran["tasks"][0]["taskArn"]
    server.aws("wait", "tasks-running", "--tasks", task)
    (running,) = server.ecs.describe_tasks(tasks=[task])["tasks"]
    assert get(port_of(running)) == "one"
    server.aws("stop-task", "--task", task)
    server.aws("wait", "tasks-stopped", "--tasks", task)
    assert is_stopped(server, task)["stopCode"] == "UserInitiated"

    server.aws("create-service", "--service-name", "web", "--task-definition", "web", "--desired-count", "3")
    server.aws("wait", "services-stable", "--services", "web")
    assert said(server, "web") == {"one"}
    server.push("web", "2", "two")
    definition.write_text(json.dumps({"family": "web", "containerDefinitions": [web(f"{server.host}/web:2")]}))
    server.aws("register-task-definition", "--cli-input-json", f"file://{definition}")
    server.aws("update-service", "--service", "web", "--task-definition", "web:2")
    server.aws("wait", "services-stable", "--services", "web")
    assert said(server, "web") == {"two"}
    (victim, *_) = server.tasks(serviceName="web")
    server.aws("stop-task", "--task", victim["taskArn"])
    server.until(lambda: is_stopped(server, victim["taskArn"]))
    server.aws("wait", "services-stable", "--services", "web")
    assert len(server.tasks(serviceName="web")) == 3
    server.aws("delete-service", "--service", "web", "--force")
    server.aws("wait", "services-inactive", "--services", "web")
    server.until(lambda: not server.containers())
