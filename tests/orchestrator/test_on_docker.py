"""From nothing to services on a real Docker Engine, as a user would: the behaviours of the orchestrator, by name."""

import base64
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


def running(server: TaskServer, service: str) -> list[dict[str, Any]]:
    """The tasks of a service that run, and have their ports."""
    return [one for one in server.tasks(serviceName=service) if one["lastStatus"] == "RUNNING"]


def said(server: TaskServer, service: str) -> set[str | None]:
    """What the running tasks of a service say."""
    return {get(port_of(task)) for task in running(server, service)}


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
    server.until(lambda: said(server, "web") == {"one"})
    server.push("web", "2", "two")
    definition.write_text(json.dumps({"family": "web", "containerDefinitions": [web(f"{server.host}/web:2")]}))
    server.aws("register-task-definition", "--cli-input-json", f"file://{definition}")
    server.aws("update-service", "--service", "web", "--task-definition", "web:2")
    server.aws("wait", "services-stable", "--services", "web")
    assert "one" not in said(server, "web")
    server.until(lambda: said(server, "web") == {"two"})
    (victim, *_) = server.tasks(serviceName="web")
    server.aws("stop-task", "--task", victim["taskArn"])
    server.until(lambda: is_stopped(server, victim["taskArn"]))
    server.aws("wait", "services-stable", "--services", "web")
    assert len(server.tasks(serviceName="web")) == 3
    server.aws("delete-service", "--service", "web", "--force")
    server.aws("wait", "services-inactive", "--services", "web")
    server.until(lambda: not server.containers("web"))


def register(server: TaskServer, **changes: Any) -> str:
    """A revision of `app`, whose image is ours: FAMILY:REVISION."""
    container = web(f"{server.host}/app:1", **changes)
    made = server.ecs.register_task_definition(family="app", containerDefinitions=[container])["taskDefinition"]
    return f"app:{made['revision']}"


def steady(server: TaskServer, service: str, revision: str | None = None) -> Any:
    """The service, once one deployment is left, complete."""
    found = server.service(service)
    (*rest, last) = found["deployments"]
    done = not rest and last["rolloutState"] == "COMPLETED" and found["runningCount"] == found["desiredCount"]
    return found if done and (revision is None or last["taskDefinition"].endswith(revision)) else None


def test_a_killed_container_is_replaced(server: TaskServer) -> None:
    server.push("app", "1", "one")
    server.ecs.create_service(serviceName="kept", taskDefinition=register(server), desiredCount=1)
    server.until(lambda: steady(server, "kept"))
    (task,) = server.tasks(serviceName="kept")
    server.docker.docker("kill", task["containers"][0]["runtimeId"])
    ended = server.until(lambda: is_stopped(server, task["taskArn"]))
    assert (ended["stopCode"], ended["containers"][0]["exitCode"]) == ("EssentialContainerExited", 137)
    server.until(lambda: running(server, "kept"))


def test_a_broken_image_opens_the_breaker_and_the_old_one_stays_and_is_deployed_again(server: TaskServer) -> None:
    server.push("app", "1", "one")
    good = register(server)
    server.ecs.create_service(serviceName="broken", taskDefinition=good, desiredCount=1)
    server.until(lambda: steady(server, "broken"))
    bad = register(server, command=["sh", "-c", "echo no such table >&2; exit 3"])
    server.ecs.update_service(service="broken", taskDefinition=bad)
    server.until(lambda: any("rolling back" in one["message"] for one in server.service("broken")["events"]))
    server.until(lambda: "one" in said(server, "broken"))
    server.until(lambda: steady(server, "broken", good))
    told = " ".join(event["message"] for event in server.service("broken")["events"])
    assert "web exited with 3" in told
    assert "no such table" in told


def test_a_server_that_is_killed_during_a_deployment_adopts_what_runs_and_goes_on(server: TaskServer) -> None:
    server.push("app", "1", "one")
    server.ecs.create_service(serviceName="adopted", taskDefinition=register(server), desiredCount=3)
    server.until(lambda: steady(server, "adopted"))
    second = register(server, environment=[{"name": "NEW", "value": "1"}])
    server.ecs.update_service(service="adopted", taskDefinition=second)
    server.until(lambda: len(server.containers("adopted")) > 3)
    server.kill()
    assert len(server.containers("adopted")) >= 3
    server.start()
    server.until(lambda: steady(server, "adopted", second))
    assert len(server.tasks(serviceName="adopted")) == 3
    server.until(lambda: len(server.containers("adopted")) == 3)


def test_what_a_task_writes_can_be_read_and_commands_can_be_run_in_it(server: TaskServer) -> None:
    server.push("app", "1", "one")
    talks = register(server, command=["sh", "-c", "echo out; echo err >&2; exec sleep 600"], portMappings=[])
    arn = server.ecs.run_task(taskDefinition=talks)["tasks"][0]["taskArn"]
    server.until(lambda: server.ecs.describe_tasks(tasks=[arn])["tasks"][0]["lastStatus"] == "RUNNING")
    path = f"clusters/default/tasks/{arn.rpartition('/')[2]}"

    def lines(query: str = "") -> set[tuple[str, str]]:
        found = [json.loads(line) for line in server.api(f"{path}/logs{query}").splitlines()]
        return {(one["stream"], one["text"]) for one in found}

    server.until(lambda: lines() == {("stdout", "out"), ("stderr", "err")})
    body = {"command": ["sh", "-c", "cat; exit 7"], "stdin": "hello"}
    *output, last = [json.loads(line) for line in server.api(f"{path}/exec", body).splitlines()]
    assert b"".join(base64.b64decode(one["data"]) for one in output if one["stream"] == "stdout") == b"hello"
    assert last == {"exit_code": 7}
    server.ecs.stop_task(task=arn, reason="seen enough")
    ended = server.until(lambda: is_stopped(server, arn))
    assert (ended["stopCode"], ended["stoppedReason"]) == ("UserInitiated", "seen enough")
    assert lines() == {("stdout", "out"), ("stderr", "err")}
    assert len(lines("?tail=1")) == 1


def test_a_tag_that_is_pushed_is_deployed_where_that_is_asked_for(server: TaskServer) -> None:
    server.push("app", "1", "before")
    tags = [{"key": "deploy-on-push", "value": "true"}]
    server.ecs.create_service(serviceName="pushed", taskDefinition=register(server), desiredCount=1, tags=tags)
    server.until(lambda: steady(server, "pushed"))
    server.until(lambda: said(server, "pushed") == {"before"})
    server.push("app", "1", "after")
    server.until(lambda: steady(server, "pushed") and said(server, "pushed") == {"after"})


def test_a_tag_that_is_absent_fails_the_task_with_one_true_sentence(server: TaskServer) -> None:
    server.push("app", "1", "one")
    container = web(f"{server.host}/app:absent")
    server.ecs.register_task_definition(family="absent", containerDefinitions=[container])
    arn = server.ecs.run_task(taskDefinition="absent")["tasks"][0]["taskArn"]
    ended = server.until(lambda: is_stopped(server, arn))
    assert ended["stopCode"] == "TaskFailedToStart"
    told = f"CannotPullContainerError: {server.host}/app:absent: repository app has no tag absent"
    assert ended["stoppedReason"] == told
