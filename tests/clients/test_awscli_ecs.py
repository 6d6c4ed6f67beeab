"""The aws command's own words for ECS, against a server without an engine."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.test_awscli import Aws
from tests.security.secured import secured

CONTAINER = [{"name": "web", "image": "example.org/web:1", "memory": 64, "portMappings": [{"containerPort": 80}]}]


@pytest.fixture(scope="module")
def aws(scratch: Path) -> Iterator[Aws]:
    folder = scratch / "ecs"
    folder.mkdir()
    with secured(folder, orchestrator="false") as served:
        yield Aws(served, folder)


def asked(aws: Aws, *words: str) -> str:
    return aws.text("ecs", *words, "--output", "text")


def test_what_the_manual_begins_with_works_word_for_word(aws: Aws) -> None:
    query = ("--query", "cluster.clusterArn")
    arn = "arn:aws:ecs:us-east-1:000000000000:cluster/default"
    assert asked(aws, "create-cluster", *query) == arn
    definition = ("--family", "web", "--container-definitions", json.dumps(CONTAINER))
    registered = asked(aws, "register-task-definition", *definition, "--query", "taskDefinition.taskDefinitionArn")
    assert registered.endswith(":task-definition/web:1")
    assert asked(aws, "list-task-definitions", "--query", "taskDefinitionArns") == registered
    engine = ("--attributes", "name=engine,value=unix:///nowhere")
    instance = asked(aws, "register-container-instance", *engine, "--query", "containerInstance.containerInstanceArn")
    ran = asked(aws, "run-task", "--task-definition", "web", "--query", "failures[].[arn,reason]")
    assert ran.split() == [instance, "AGENT"]
    service = ("--service-name", "web", "--task-definition", "web", "--desired-count", "1")
    assert asked(aws, "create-service", *service, "--query", "service.status") == "ACTIVE"
    assert (
        asked(aws, "update-service", "--service", "web", "--desired-count", "0", "--query", "service.desiredCount")
        == "0"
    )
    assert asked(aws, "list-services", "--query", "serviceArns").endswith(":service/default/web")
    assert asked(aws, "delete-service", "--service", "web", "--query", "service.status") == "INACTIVE"
    asked(aws, "wait", "services-inactive", "--services", "web")
    asked(aws, "deregister-container-instance", "--container-instance", instance)
    assert asked(aws, "delete-cluster", "--cluster", "default", "--query", "cluster.status") == "INACTIVE"
