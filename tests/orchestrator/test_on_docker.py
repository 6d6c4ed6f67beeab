"""From nothing to services on a real Docker Engine, as a user would: the behaviours of the orchestrator, by name."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.serving_tasks import TaskServer, get, web
from tests.serving import free_port

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


def test_behaviour_09_from_a_push_to_a_service_and_back_with_the_aws_command(
    server: TaskServer, tmp_path: Path
) -> None:
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


def register(server: TaskServer, image: str | None = None, **changes: Any) -> str:
    """A revision of `app`, whose image is ours: FAMILY:REVISION."""
    container = web(image or f"{server.host}/app:1", **changes)
    made = server.ecs.register_task_definition(family="app", containerDefinitions=[container])["taskDefinition"]
    return f"app:{made['revision']}"


def steady(server: TaskServer, service: str, revision: str | None = None) -> Any:
    """The service, once one deployment is left, complete."""
    found = server.service(service)
    (*rest, last) = found["deployments"]
    done = not rest and last["rolloutState"] == "COMPLETED" and found["runningCount"] == found["desiredCount"]
    return found if done and (revision is None or last["taskDefinition"].endswith(revision)) else None


def traefik(server: TaskServer) -> Any:
    """The services that Traefik's HTTP provider would be told of."""
    return json.loads(server.api("clusters/default/targets/traefik")).get("http", {}).get("services", {})


def test_behaviour_04_a_killed_container_is_replaced(server: TaskServer) -> None:
    server.push("app", "1", "one")
    server.ecs.create_service(serviceName="kept", taskDefinition=register(server), desiredCount=1)
    server.until(lambda: steady(server, "kept"))
    (task,) = server.tasks(serviceName="kept")
    published = {"loadBalancer": {"servers": [{"url": f"http://127.0.0.1:{port_of(task)}"}]}}
    server.until(lambda: traefik(server).get("kept-web-80") == published)
    server.docker.docker("kill", task["containers"][0]["runtimeId"])
    ended = server.until(lambda: is_stopped(server, task["taskArn"]))
    assert (ended["stopCode"], ended["containers"][0]["exitCode"]) == ("EssentialContainerExited", 137)
    server.until(lambda: running(server, "kept"))


def test_behaviour_06_a_broken_image_opens_the_breaker_and_the_old_one_stays_and_is_deployed_again(
    server: TaskServer,
) -> None:
    server.push("app", "1", "one")
    good = register(server)
    server.ecs.create_service(serviceName="broken", taskDefinition=good, desiredCount=1)
    server.until(lambda: steady(server, "broken"))
    bad = register(server, command=["sh", "-c", "echo no such table >&2; exit 3"])
    waited = server.estiva("services", "update", "broken", "--definition", bad, "--wait", "200")
    assert waited.returncode == 1
    assert "service broken: the deployment did not hold: " in waited.stderr
    assert "exited with 3" in waited.stderr
    server.until(lambda: any("rolling back" in one["message"] for one in server.service("broken")["events"]))
    server.until(lambda: "one" in said(server, "broken"))
    server.until(lambda: steady(server, "broken", good))
    told = " ".join(event["message"] for event in server.service("broken")["events"])
    assert "web exited with 3" in told
    assert "no such table" in told


def test_behaviour_07_a_server_that_is_killed_during_a_deployment_adopts_what_runs_and_goes_on(
    server: TaskServer,
) -> None:
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


def launched(server: TaskServer, revision: str) -> str:
    """The ARN of a task of that revision."""
    arn: str = server.ecs.run_task(taskDefinition=revision)["tasks"][0]["taskArn"]
    return arn


def runs(server: TaskServer, arn: str) -> Any:
    """The task, once it runs."""
    (found,) = server.ecs.describe_tasks(tasks=[arn])["tasks"]
    return found if found["lastStatus"] == "RUNNING" else None


def lines(server: TaskServer, arn: str, query: str = "") -> list[tuple[str, str]]:
    """What a task wrote: stream and text."""
    path = f"clusters/default/tasks/{arn.rpartition('/')[2]}/logs{query}"
    found = [json.loads(line) for line in server.api(path).splitlines()]
    return [(one["stream"], one["text"]) for one in found]


def test_behaviour_15_what_a_task_writes_can_be_read_also_when_it_is_gone(server: TaskServer) -> None:
    server.push("app", "1", "one")
    talks = register(server, command=["sh", "-c", "echo out; echo err >&2; exec sleep 600"], portMappings=[])
    arn = launched(server, talks)
    server.until(lambda: runs(server, arn))
    server.until(lambda: set(lines(server, arn)) == {("stdout", "out"), ("stderr", "err")})
    followed = server.following(f"clusters/default/tasks/{arn.rpartition('/')[2]}/logs?follow=1")
    server.ecs.stop_task(task=arn, reason="seen enough")
    ended = server.until(lambda: is_stopped(server, arn))
    assert (ended["stopCode"], ended["stoppedReason"]) == ("UserInitiated", "seen enough")
    assert {json.loads(line)["text"] for line in followed()} == {"out", "err"}
    assert set(lines(server, arn)) == {("stdout", "out"), ("stderr", "err")}
    assert len(lines(server, arn, "?tail=1")) == 1
    assert lines(server, arn, "?since=4102444800") == []


def test_behaviour_16_commands_run_in_a_task_with_their_input_and_exit_code(server: TaskServer) -> None:
    server.push("app", "1", "one")
    arn = launched(server, register(server))
    server.until(lambda: runs(server, arn))
    path = f"clusters/default/tasks/{arn.rpartition('/')[2]}/exec"
    body = {"command": ["sh", "-c", "cat; exit 7"], "stdin": "hello"}
    *output, last = [json.loads(line) for line in server.api(path, body).splitlines()]
    assert b"".join(base64.b64decode(one["data"]) for one in output if one["stream"] == "stdout") == b"hello"
    assert last == {"exit_code": 7}
    told = json.loads(server.api("audit?action=ExecuteCommand"))["records"][0]
    assert told["target"] == f"task/default/{arn.rpartition('/')[2]}"
    assert told["detail"] == {"container": "web", "program": "sh"}
    refused = server.estiva("exec", "--container", "other", arn, "--", "true")
    assert (refused.returncode, refused.stderr.strip()) == (1, "estiva: container is one of web")


def test_behaviour_01_a_task_runs_the_digest_that_its_tag_had_when_it_was_registered(server: TaskServer) -> None:
    digest = server.push("moved", "1", "before")
    container = web(f"{server.host}/moved:1")
    server.ecs.register_task_definition(family="moved", containerDefinitions=[container])
    assert server.push("moved", "1", "after") != digest
    arn = launched(server, "moved")
    task = server.until(lambda: runs(server, arn))
    assert task["containers"][0]["imageDigest"] == digest
    server.until(lambda: get(port_of(task)) == "before")


def test_behaviour_02_every_end_and_every_failed_start_is_told_in_one_true_sentence(server: TaskServer) -> None:
    server.push("app", "1", "one")
    absent = f"sha256:{64 * '0'}"
    nobody = f"127.0.0.1:{free_port()}"
    expected = {
        register(server, command=["sh", "-c", "exit 3"]): (3, "Essential container in task exited"),
        register(server, command=["/no/such/program"]): (127, "CannotStartContainerError: "),
        register(server, image=f"{server.host}/app:absent"): (
            None,
            f"CannotPullContainerError: {server.host}/app:absent: repository app has no tag absent",
        ),
        register(server, image=f"{server.host}/app@{absent}"): (None, "CannotPullContainerError: "),
        register(server, image=f"{nobody}/app:1"): (None, "CannotPullContainerError: "),
    }
    arns = {launched(server, revision): told for revision, told in expected.items()}
    for arn, (code, reason) in arns.items():
        ended = server.until(lambda arn=arn: is_stopped(server, arn))  # type: ignore[misc]
        assert ended["stoppedReason"].startswith(reason), ended
        assert ended["containers"][0].get("exitCode") == code
        assert ended["stopCode"] == ("EssentialContainerExited" if code == 3 else "TaskFailedToStart")


def test_behaviour_03_what_a_service_runs_is_not_deleted_until_the_service_is_gone(server: TaskServer) -> None:
    server.push("app", "1", "one")
    digest = server.push("kept", "1", "kept")
    revision = register(server, image=f"{server.host}/kept:1")
    server.ecs.create_service(serviceName="keeper", taskDefinition=revision, desiredCount=1)

    def delete() -> list[str]:
        asked = [{"imageDigest": digest}]
        done = server.ecr.batch_delete_image(repositoryName="kept", imageIds=asked)
        return [failure["failureReason"] for failure in done["failures"]]

    assert delete() == ["Requested image is in use by service default/keeper"]
    server.until(lambda: steady(server, "keeper"))
    assert delete() == ["Requested image is in use by service default/keeper"]
    server.ecs.delete_service(service="keeper", force=True)
    server.until(lambda: server.service("keeper")["status"] == "INACTIVE")
    server.until(lambda: delete() == [])


def test_behaviour_08_containers_start_in_the_order_that_they_depend_on_each_other(server: TaskServer) -> None:
    server.push("app", "1", "one")

    def container(name: str, script: str, **more: Any) -> dict[str, Any]:
        command = ["sh", "-c", script]
        return {
            "name": name,
            "image": f"{server.host}/app:1",
            "memory": 32,
            "command": command,
            "stopTimeout": 60,
        } | more

    stays = "trap 'exit 0' TERM; while :; do sleep 0.1; done"
    well = {"command": ["CMD-SHELL", "true"], "interval": 5, "timeout": 60}
    conditions = {"first": "START", "made": "COMPLETE", "checked": "SUCCESS", "db": "HEALTHY"}
    needs = [{"containerName": name, "condition": condition} for name, condition in conditions.items()]
    containers = [
        container("app", stays, dependsOn=needs),
        container("first", stays),
        container("made", "exit 3", essential=False),
        container("checked", "exit 0", essential=False),
        container("db", stays, healthCheck=well),
    ]
    server.ecs.register_task_definition(family="ordered", containerDefinitions=containers)
    arn = launched(server, "ordered")
    task = server.until(lambda: runs(server, arn))
    found = {one["name"]: one for one in task["containers"]}
    assert (found["made"]["exitCode"], found["checked"]["exitCode"]) == (3, 0)
    assert found["db"]["healthStatus"] == "HEALTHY"
    server.ecs.stop_task(task=arn)
    ended = server.until(lambda: is_stopped(server, arn))
    assert {one["exitCode"] for one in ended["containers"] if one["name"] in ("app", "first", "db")} == {0}


def test_behaviour_14_who_does_not_end_in_its_time_is_killed(server: TaskServer) -> None:
    server.push("app", "1", "one")
    scripts = {"trap 'exit 143' TERM; echo ready; while :; do sleep 0.1; done": (60, 143)}
    scripts |= {"trap '' TERM; echo ready; while :; do sleep 0.1; done": (2, 137)}
    arns = {
        launched(server, register(server, command=["sh", "-c", script], stopTimeout=patience, portMappings=[])): code
        for script, (patience, code) in scripts.items()
    }
    for arn, code in arns.items():
        server.until(lambda arn=arn: ("stdout", "ready") in lines_if_any(server, arn))  # type: ignore[misc]
        server.ecs.stop_task(task=arn)
        ended = server.until(lambda arn=arn: is_stopped(server, arn))  # type: ignore[misc]
        assert (ended["stopCode"], ended["containers"][0]["exitCode"]) == ("UserInitiated", code)


def lines_if_any(server: TaskServer, arn: str) -> list[tuple[str, str]]:
    """What a task wrote; nothing as long as it does not run."""
    return lines(server, arn) if runs(server, arn) else []


def test_behaviour_10_a_tag_that_is_pushed_is_deployed_where_that_is_asked_for_and_nowhere_else(
    server: TaskServer,
) -> None:
    server.push("app", "1", "before")
    tags = [{"key": "deploy-on-push", "value": "true"}]
    server.ecs.create_service(serviceName="unmoved", taskDefinition=register(server), desiredCount=1)
    server.ecs.create_service(serviceName="pushed", taskDefinition=register(server), desiredCount=1, tags=tags)
    server.until(lambda: steady(server, "pushed"))
    server.until(lambda: said(server, "pushed") == {"before"})
    server.push("app", "1", "after")
    server.until(lambda: steady(server, "pushed") and said(server, "pushed") == {"after"})
    unmoved = server.until(lambda: steady(server, "unmoved"))
    assert len(server.ecs.list_service_deployments(service="unmoved")["serviceDeployments"]) == 1
    assert (unmoved["runningCount"], said(server, "unmoved")) == (1, {"before"})
